"""How severe a line says it is: by a word, a letter, a number of its system, or a status of HTTP.

Sources: RFC 5424 6.2.1 (syslog), https://getpino.io/#/docs/api?id=levels and bunyan (10 … 60),
https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber, and the words that loggers print.
"""

import re
from functools import cache
from typing import Any

from backends.models import LogLevel

_WORDS: dict[LogLevel, tuple[str, ...]] = {
    "debug": ("trace", "debug", "verbose", "fine", "finer", "finest", *(f"debug{n}" for n in range(1, 6))),
    "info": ("info", "information", "informational", "notice", "log"),
    "warning": ("warning", "warn"),
    "error": ("error", "err", "severe"),
    "critical": ("critical", "crit", "fatal", "panic", "alert", "emerg", "emergency"),
}
_SHORT: dict[LogLevel, tuple[str, ...]] = {  # only where a level stands: zerolog, Serilog, logrus, .NET
    "debug": ("trc", "trce", "dbg", "dbug", "debu", "vrb"),
    "info": ("inf", "note", "default", "config", "success"),
    "warning": ("wrn", "deprecated"),
    "error": ("erro", "eror", "fail", "parse error"),
    "critical": ("ftl", "fata", "pnc", "pani", "dpanic", "fatal error"),
}
LEVEL_WORDS: dict[str, LogLevel] = {
    word: level for words in (_WORDS, _SHORT) for level, some in words.items() for word in some
}
_RANK: dict[LogLevel, int] = {"unknown": -1, "debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}
_LETTERS: dict[str, LogLevel] = {
    "V": "debug", "T": "debug", "D": "debug", "I": "info", "N": "info", "W": "warning", "E": "error", "C": "critical",
    "F": "critical", "A": "critical", ".": "debug", "-": "info", "*": "info", "#": "warning",
}  # fmt: skip
SYSLOG: tuple[LogLevel, ...] = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")
_OPENTELEMETRY: tuple[LogLevel, ...] = ("debug", "debug", "info", "warning", "error", "critical")
# https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#logseverity
_GOOGLE: dict[int, LogLevel] = {
    100: "debug", 200: "info", 300: "info", 400: "warning", 500: "error", 600: "critical", 700: "critical",
    800: "critical",
}  # fmt: skip
_PINO: dict[int, LogLevel] = {1: "debug", 2: "debug", 3: "info", 4: "warning", 5: "error", 6: "critical"}


def _any_of(words: "list[str]") -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_PLAIN = [word for words in _WORDS.values() for word in words]
_UPPER = _any_of([word.upper() for word in _PLAIN])
_LED_UPPER = _any_of([word.upper() for word in LEVEL_WORDS if word not in ("default", "config", "fail")])
_ANY_CASE = f"(?i:{_any_of([word for word in LEVEL_WORDS if word not in ('default', 'config', 'fail')])})"
_LED_ANY_CASE = "(?i:debug[1-5]?|trace|info|warning|warn|error|err|fatal|critical|crit|panic|dpanic|notice)"
_LEVEL = (
    rf"\b({_UPPER})\b"
    rf"|[\[(<]\s*({_ANY_CASE})\s*[\])>]"
    r"|\b([Ee]rror|[Ww]arning|[Ff]atal|[Cc]ritical|notice|info|debug):"
    r"|^(Traceback \(most recent|\s*Caused by: |Exception in thread \"|thread '.{1,60}' (?:\(\d+\) )?panicked at )"
    r"|^[\w.]*(?:Error|Exception)(?::|$)"
)
_LEADING = (
    rf"(?:({_LED_UPPER})\b|[\[(<]\s*({_ANY_CASE})\s*[\])>]|(trce|dbug|info|warn|fail|crit)(?=: [\w.+`]+\[\d+\]$))\s?:?"
)
_LEADING_AFTER_TIME = rf"{_LEADING}|(?:\[({_ANY_CASE})\]|({_LED_ANY_CASE})(?=[\s:\]|,]|$))\s?:?"
_PROSE = r"(?<!\b0 )(?<!\bno )\b(?:((?i:errors?)|failed|failure)|(?i:warn(?:ing)?)|not responding|cannot execute)\b"
_WITHIN = 120
_compiled = cache(re.compile)  # when a line comes: at import they would cost the console's first paint


def at_least(level: LogLevel, wanted: LogLevel | None) -> bool:
    """Whether `level` is as severe as `wanted`; an unknown one is only where nothing was wanted."""
    return wanted is None or wanted == "unknown" or _RANK[level] >= _RANK[wanted]


def worse(one: LogLevel, other: LogLevel) -> LogLevel:
    """The more severe of two levels; an unknown one is the least."""
    return one if _RANK[one] >= _RANK[other] else other


def level_of(text: str) -> LogLevel:
    """The level that a line of text names near its start, else `unknown`."""
    found = _compiled(_LEVEL).search(text, 0, _WITHIN)
    if found is None:
        return "unknown"
    word = found[1] or found[2] or found[3]
    return LEVEL_WORDS[word.lower()] if word else "error"


def level_of_prose(text: str) -> LogLevel:
    """Of a syslog message whose priority was not written: as lnav has it, by what went wrong in its words."""
    found = _compiled(_PROSE).search(text)
    return "unknown" if found is None else "error" if found[1] else "warning"


def leading_level(text: str, *, after_time: bool) -> tuple[LogLevel, int] | None:
    """(level, its length) where a text begins with its level; lower case counts only behind a time."""
    found = _compiled(_LEADING_AFTER_TIME if after_time else _LEADING).match(text[:_WITHIN])
    if found is None or found.lastindex is None:
        return None
    return LEVEL_WORDS[found[found.lastindex].lower()], found.end()


def level_of_word(word: str) -> LogLevel:
    """The level of what stands in the place of a level: a word or its letter, in any case. What is between two levels
    (slog's `ERROR+2`, MongoDB's `D1`) is the one that is named."""
    if word[-1:].isdecimal():
        word = re.sub(r"(?<=[A-Za-z])[+-]\d{1,3}$|(?<=^[A-Za-z])\d$", "", word)
    return LEVEL_WORDS.get(word.lower()) or _LETTERS.get(word.upper(), "unknown")


def level_of_syslog(priority: str) -> LogLevel:
    """Of syslog's facility and severity in one number."""
    return SYSLOG[int(priority) % 8] if int(priority) < 192 else "unknown"


def level_of_status(status: int) -> LogLevel:
    """Of an HTTP status: from 400 on it is an error, as lnav has it."""
    return "error" if status >= 400 else "info" if status > 0 else "unknown"


def level_of_number(number: int, *, opentelemetry: bool = False) -> LogLevel:
    """A number under a level's name: OpenTelemetry's 1 to 24, syslog's 0 to 7, those of pino and bunyan from 10 on,
    Google's from 100 on."""
    if opentelemetry:
        return _OPENTELEMETRY[(number - 1) // 4] if 1 <= number <= 24 else "unknown"
    if 0 <= number <= 7:
        return SYSLOG[number]
    if number in _GOOGLE:
        return _GOOGLE[number]
    return _PINO.get(number // 10, "unknown")


def level_of_value(value: Any, *, opentelemetry: bool = False) -> LogLevel:
    """Of a value under a level's name in JSON or logfmt: a word, a letter, a number, or an object that has one."""
    if isinstance(value, dict):
        value = value.get("name") or value.get("label")
    if isinstance(value, str):
        word = value.strip()
        if word.isascii() and word.isdigit():
            return level_of_value(int(word), opentelemetry=opentelemetry)
        return level_of_word(word)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6:
        return level_of_number(int(value), opentelemetry=opentelemetry)
    return "unknown"


def level_of_field(name: str, value: Any) -> LogLevel:
    """Of what stands in a field or a label that is called `name`."""
    last = name.rpartition(".")[2].lower().replace("_", "")
    return level_of_value(value, opentelemetry=last == "severitynumber")
