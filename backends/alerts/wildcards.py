"""Regular expressions of matchers, as far as they can be matched in time that is known before: alternatives of texts
with `.`, `.*` and `.+`. One that backtracks would hang the process of everybody who reads a file of silences."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from backends.errors import BackendError
from backends.models import Matcher

_PIECE = re.compile(
    r"(?P<any>\.[*+]?)|\\(?P<escaped>[^A-Za-z0-9])|(?P<text>[^\\.*+?()\[\]{}^$|])|(?P<other>.)", re.DOTALL
)
_ONE, _MANY = object(), object()

Pattern = tuple[object, ...]


@lru_cache(maxsize=1000)
def patterns_of(regex: str) -> tuple[Pattern, ...]:
    """The alternatives of `regex`. Raises BackendError(config) for what else a regular expression may hold."""
    found: list[list[object]] = [[]]
    for piece in _PIECE.finditer(regex):
        if piece["any"]:
            found[-1] += {".": [_ONE], ".*": [_MANY], ".+": [_ONE, _MANY]}[piece["any"]]
        elif piece["other"] == "|":
            found.append([])
        elif piece["other"]:
            words = f'"{regex}": of regular expressions only ., .*, .+ and | are known here'
            raise BackendError("config", words, fix="write the alternatives out")
        else:
            found[-1].append(piece["escaped"] or piece["text"])
    return tuple(map(tuple, found))


def matches(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether all `matchers` take `labels`; a label that is absent is "". Raises as `patterns_of`."""
    return all(_takes(matcher, labels.get(matcher.name, "")) == matcher.is_equal for matcher in matchers)


def _takes(matcher: Matcher, value: str) -> bool:
    if not matcher.is_regex:
        return value == matcher.value
    return any(_fits(pattern, value) for pattern in patterns_of(matcher.value))


def _fits(pattern: Pattern, text: str) -> bool:
    """The whole of `text`: the last `.*` takes one more where what follows it does not fit, and none before it does."""
    at = place = 0
    star = taken = -1
    while place < len(text):
        if at < len(pattern) and pattern[at] is _MANY:
            star, taken, at = at, place, at + 1
        elif at < len(pattern) and pattern[at] in (_ONE, text[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            taken += 1
            at, place = star + 1, taken
        else:
            return False
    return all(each is _MANY for each in pattern[at:])
