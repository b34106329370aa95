"""One line of a log, understood: its time, its level, its message. Pure functions, shared by every log adapter.

Known forms: text that starts with an ISO-8601 time (`T`, space or slashes; fraction after `.` or `,`; offset, `Z` or
none), JSON objects, and logfmt. What is not recognised is left null or `unknown`, never guessed.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from backends.models import LogEntry, LogLevel
from backends.text import clean, clean_labels

MAX_LINE_BYTES = 64 * 1024
MAX_LABELS = 32
NANOSECONDS = 1_000_000_000

_WORDS: dict[LogLevel, tuple[str, ...]] = {
    "debug": ("trace", "debug", "verbose", "fine", "finer", "finest"),
    "info": ("info", "information", "informational", "notice", "log"),
    "warning": ("warning", "warn"),
    "error": ("error", "err", "severe"),
    "critical": ("critical", "crit", "fatal", "panic", "alert", "emerg", "emergency"),
}
LEVEL_WORDS: dict[str, LogLevel] = {word: level for level, words in _WORDS.items() for word in words}
_RANK: dict[LogLevel, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}

_TIME = re.compile(
    r"[\[(]?(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?::\d\d)?)"
    r"(?:[.,](\d{1,9})\d*)?"
    r"(Z| ?UTC\b| ?[+-]\d\d:?\d\d\b|[+-]\d\d\b)?[\])]?"
)
_UPPER = "|".join(sorted((word.upper() for word in LEVEL_WORDS), key=len, reverse=True))
_ANY_CASE = "|".join(sorted((f"(?i:{word})" for word in LEVEL_WORDS), key=len, reverse=True))
_LEVEL = re.compile(
    rf"\b({_UPPER})\b"
    rf"|[\[(<]\s*({_ANY_CASE})\s*[\])>]"
    r"|\b(error|warning|fatal|critical):"
    r"|^(Traceback \(most recent)"
    r"|^[\w.]*(Error|Exception)(?::|$)"
)
_LEADING_LEVEL = re.compile(rf"(?:({_UPPER})\b|[\[(<]\s*({_ANY_CASE})\s*[\])>])\s?:?")
_SEPARATORS = re.compile(r"[ \t]*[-|:][ \t]+|[ \t]+")
_LEVEL_COLUMNS = 9  # the longest word, padded as `%(levelname)-8s ` does; more spaces than that are the message's own
_LEVEL_WITHIN = 120
_EARLIEST_S = 1e8  # 1973; a smaller number under a time's name is a duration

_LOGFMT_START = re.compile(r'[A-Za-z_@][\w.@-]*=(?:"|\S)')
_LOGFMT = re.compile(r'([A-Za-z_@][\w.@-]*)=("(?:[^"\\]|\\.)*"|\S*)')
_TIME_KEYS = ("ts", "time", "timestamp", "@timestamp", "datetime", "asctime")
_LEVEL_KEYS = ("level", "severity", "lvl", "levelname", "loglevel", "log.level")
_MESSAGE_KEYS = ("msg", "message", "event", "text")


def at_least(level: LogLevel, wanted: LogLevel | None) -> bool:
    """Whether `level` is as severe as `wanted`; an unknown one is only where nothing was wanted."""
    return wanted is None or wanted == "unknown" or _RANK.get(level, -1) >= _RANK[wanted]


def level_of(text: str) -> LogLevel:
    """The level that a line of text names near its start, else `unknown`."""
    found = _LEVEL.search(text, 0, _LEVEL_WITHIN)
    if found is None:
        return "unknown"
    word = found[1] or found[2] or found[3]
    return LEVEL_WORDS[word.lower()] if word else "error"


def leads_with_level(raw: bytes) -> bool:
    """Whether a line begins with its level, as in `ERROR: no such table` or `[warn] slow`."""
    return _LEADING_LEVEL.match(raw[:_LEVEL_WITHIN].decode("utf-8", "replace")) is not None


def nanoseconds(at: datetime) -> int:
    """An aware time as nanoseconds since the epoch, exactly."""
    whole = at.replace(microsecond=0)
    return int(whole.timestamp()) * NANOSECONDS + at.microsecond * 1000


@lru_cache(maxsize=4096)
def _second(text: str, offset: str, zone: ZoneInfo | None) -> datetime | None:
    """A whole second in UTC; log lines come in bunches, so most are found in the cache."""
    try:
        at = datetime.fromisoformat(text.replace("/", "-") + ("+00:00" if offset in ("Z", "UTC") else offset))
        if at.tzinfo is None:
            at = at.replace(tzinfo=zone) if zone else at.astimezone()
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _time(found: "re.Match[str]", zone: ZoneInfo | None) -> tuple[datetime, int] | None:
    second = _second(found[1], (found[3] or "").strip(), zone)
    if second is None:
        return None
    fraction = int((found[2] or "0").ljust(9, "0"))
    return second.replace(microsecond=fraction // 1000), nanoseconds(second) + fraction


def parse_time(value: Any, zone: ZoneInfo | None = None) -> tuple[datetime, int] | None:
    """(aware UTC time, nanoseconds since the epoch) of ISO-8601 text or of a number since the epoch, else None.

    A number is taken for seconds, milli-, micro- or nanoseconds by its size. A naive text is in `zone`, else local.
    """
    if isinstance(value, str):
        found = _TIME.match(value.strip())
        return _time(found, zone) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _EARLIEST_S <= value < 1e19:
        return None
    ns = int(value * 1e6) * 1000 if value < 1e11 else int(value)
    while ns < 1e17:
        ns *= 1000
    try:
        return datetime.fromtimestamp(ns // NANOSECONDS, UTC).replace(microsecond=ns % NANOSECONDS // 1000), ns
    except (ValueError, OverflowError, OSError):
        return None


def parse_line(
    raw: bytes,
    *,
    source: str,
    zone: ZoneInfo | None = None,
    encoding: str = "utf-8",
    labels: dict[str, str] | None = None,
) -> LogEntry:
    """One line as it stands in a file, of which at most `MAX_LINE_BYTES` are looked at. Never raises."""
    return parse_text(raw[:MAX_LINE_BYTES].decode(encoding, "replace"), source=source, zone=zone, labels=labels)


def parse_text(
    text: str, *, source: str, zone: ZoneInfo | None = None, labels: dict[str, str] | None = None
) -> LogEntry:
    """`parse_line` for text that is decoded already."""
    text = text.rstrip("\r\n")
    fields = _fields(text)
    if fields is not None:
        return _structured(fields, text, source, zone, labels)
    found = _TIME.match(text)
    at = _time(found, zone) if found else None
    rest = text[found.end() :] if found and at else text
    head = rest
    if at and (separator := _SEPARATORS.match(rest)):
        head = rest[separator.end() :]
    leading = _LEADING_LEVEL.match(head)
    if leading:
        level = LEVEL_WORDS[(leading[1] or leading[2]).lower()]
        head = _unpadded(head[leading.end() :], len(leading[0].rstrip(":")))
    else:
        level = level_of(head)
    return LogEntry(
        at=at[0] if at else None,
        at_ns=str(at[1]) if at else None,
        source=source,
        level=level,
        message=clean(head),
        labels=labels or {},
    )


def _unpadded(text: str, width: int) -> str:
    """`text` without a level's padding and one dash, but with an indent of its own."""
    spaces = len(text) - len(text.lstrip(" "))
    text = text[min(spaces, max(1, _LEVEL_COLUMNS - width)) :]
    return text[2:] if text.startswith(("- ", "| ")) else text


def time_of(raw: bytes, zone: ZoneInfo | None = None, encoding: str = "utf-8") -> int | None:
    """Only the time of a line, in nanoseconds since the epoch."""
    text = raw[:MAX_LINE_BYTES].decode(encoding, "replace")
    if found := _TIME.match(text):
        at = _time(found, zone)
        return at[1] if at else None
    fields = _fields(text)
    at = _field_time(fields, zone) if fields else None
    return at[1] if at else None


def _fields(text: str) -> dict[str, Any] | None:
    """The keys and values of a JSON or logfmt line that says at least when, how bad or what; None for other text."""
    if text.startswith("{"):
        try:
            decoded = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return None
        fields = decoded if isinstance(decoded, dict) else None
    elif _LOGFMT_START.match(text):
        fields = {key: _unquoted(value) for key, value in _LOGFMT.findall(text)}
    else:
        return None
    known = fields and any(key in fields for key in (*_TIME_KEYS, *_LEVEL_KEYS, *_MESSAGE_KEYS))
    return fields if known else None


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
    return value


def _field_time(fields: dict[str, Any], zone: ZoneInfo | None) -> tuple[datetime, int] | None:
    value = _first(fields, _TIME_KEYS)
    if isinstance(value, str) and value.replace(".", "", 1).isdigit():
        value = float(value) if "." in value else int(value)
    return parse_time(value, zone)


def _first(fields: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((fields[key] for key in keys if fields.get(key) is not None), None)


def _structured(
    fields: dict[str, Any], text: str, source: str, zone: ZoneInfo | None, labels: dict[str, str] | None
) -> LogEntry:
    at = _field_time(fields, zone)
    message = _first(fields, _MESSAGE_KEYS)
    taken = {*_TIME_KEYS, *_LEVEL_KEYS, *_MESSAGE_KEYS}
    rest = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in fields.items()
        if key not in taken and value is not None
    }
    return LogEntry(
        at=at[0] if at else None,
        at_ns=str(at[1]) if at else None,
        source=source,
        level=LEVEL_WORDS.get(str(_first(fields, _LEVEL_KEYS)).lower(), "unknown"),
        message=clean(message if isinstance(message, str) else text),
        labels=(labels or {}) | clean_labels(dict(list(rest.items())[:MAX_LABELS])),
    )
