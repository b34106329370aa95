"""Which lines a `LogQuery` wants: asked of one line, of lines as they come, and of whole blocks of a file.

In a block, what cannot be wanted is left out before a line is read: by its pattern, or where warnings and worse are
asked, by the stems that each way to say so has.
"""

import re
from collections.abc import Hashable
from typing import Generic, TypeVar

from msgspec import structs

from backends.errors import BackendError
from backends.logs.levels import at_least
from backends.logs.lines import Read, plain, read_line
from backends.logs.messages import Backwards, Belonging
from backends.logs.wrappers import piece_of
from backends.models import LogEntry, LogLevel
from backends.patterns import Pattern
from backends.ports import LogQuery
from backends.text import clean

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
# Every word for a level and worse has one of these; they are looked for in a whole block.
_CRITICAL = ("crit", "fata", "ftl", "pani", "pnc", "emerg", "alert")
_ERROR = (*_CRITICAL, "err", "severe", "exception", "traceback", "caused by", "fail", "eror")
_STEMS: dict[LogLevel, tuple[str, ...]] = {
    "critical": _CRITICAL, "error": _ERROR,
    "warning": (*_ERROR, "warn", "wrn", "deprecat", "not responding", "cannot execute"),
}  # fmt: skip
# What is said without a word: letters, numbers, statuses. Each begins with letters that are found fast.
_FORMS = (
    r"\n[EFWC]\d{4,8} \d\d:", r" [EFWAC]\d{4,8} \d\d:| [EFWA]\d? ", r"\n\[[EWC] \d",
    r"\n<\d", r" <\d{1,3}>", r" # ",
    r"%[A-Z0-9_]+-[0-4]-", r'" [45]\d\d\b', r"\(HTTP/[\d.]+ [45]", r"/[\d+-]+ [45]\d\d ", r"P_[A-Z_]+/[45]\d\d ",
    r's\\?": ?\\?"[EWF]', r'"@l": ?"[EWF]', r'evel\\?"?[:=] ?\\?"?(?:\d|[EWFCA]\b)',
    r'everity(?:_?[nN]umber|_?[tT]ext)?\\?"?[:=] ?\\?"?\d', r'lvl\\?"?[:=] ?\\?"?\d', r'riority\\?"?[:=] ?\\?"?\d',
    r'RIORITY"?[:=] ?"?\d', r'tatus(?:_code)?\\?": ?\\?"?[45]\d\d',
    r" [45]\d\d (?:\d{3}|-) \d+ \d+ ", r" - [45]\d\d ", r" C \| ", r" [EW]! ", r" (?:Al|Cr|Em|Er|Wa)\(\d",
    r'Status": ?"?[45]\d\d', r'response_code": ?"?[45]\d\d', r' s="?[EWF]\b',
)  # fmt: skip

T = TypeVar("T")


class LineFilter:
    """The part of a `LogQuery` that is asked of every line. Raises BackendError(config) for a pattern that is none."""

    def __init__(self, query: LogQuery) -> None:
        self.since, self.until, self.level = query.since, query.until, query.level
        self.pattern = Pattern(query.grep) if query.grep else None
        self._belonging = Belonging()

    def accepts(self, entry: LogEntry) -> bool:
        """Level and time of a line alone; a line without a time lies behind one that was accepted."""
        return at_least(entry.level, self.level) and self.in_time(entry)

    def in_time(self, entry: LogEntry) -> bool:
        """The time alone."""
        at = entry.at
        return at is None or ((self.since is None or at >= self.since) and (self.until is None or at <= self.until))

    def matches(self, text: str) -> bool:
        """The pattern alone, on one line as written: without colors, or on what it says where that is escaped."""
        if self.pattern is None:
            return True
        text = plain(text)
        if (piece := piece_of(text)) is not None:
            text = plain(piece.text)
        return self.pattern.found_in(text) or (is_escaped(text) and self.pattern.found_in(read_line(text).message))

    def takes(self, text: str, entry: LogEntry, stream: Hashable = "", known: Read | None = None) -> bool:
        """Whether the next line of a stream is wanted: its text, and the entry that was made of it. To be asked of each
        line in its order, since a line counts with the level of the message that it belongs to."""
        if self.level is not None:
            line = known or structs.replace(read_line(text), level=entry.level)
            if not at_least(self._belonging.level(stream, line), self.level):
                return False
        return self.in_time(entry) and self.matches(text)

    def lines_of(self, block: str) -> list[str]:
        """Lines of a block that may be wanted, in their order, where no level is asked."""
        if self.pattern is None:
            return block.split("\n")
        spans = self.pattern.lines_of(block)
        if "\\" in block and ('{"' in block or '="' in block):
            return [line for _, line in self._with_escaped(block, spans)]
        return [block[start:end] for start, end in spans]

    def marked_lines(self, block: str, *, until_head: bool) -> list[tuple[str, bool]]:
        """The same where a level is asked: (line, whether it may be wanted), with all that is needed to know to which
        messages those belong. `until_head`: lines that follow the block wait for its last message."""
        lines = block.split("\n")
        seeds = self._seeds(block)
        if seeds is None:
            return [(line, True) for line in lines]
        marks: dict[int, bool] = dict.fromkeys(seeds, True)
        follows = self.pattern is None
        for number in seeds:
            self._mark_head(lines, number, marks)
            if follows:
                _mark_rest(lines, number + 1, marks)
        if follows:
            _mark_rest(lines, 0, marks)
        if until_head and lines:
            marks.setdefault(len(lines) - 1, False)
            self._mark_head(lines, len(lines) - 1, marks)
        return [(lines[number], marks[number]) for number in sorted(marks)]

    # ---- inside

    def _seeds(self, block: str) -> list[int] | None:
        """The numbers of the lines that may be wanted for themselves; None for all."""
        if self.pattern is not None:
            spans = self.pattern.lines_of(block)
            if "\\" in block and ('{"' in block or '="' in block):
                return [number for number, _ in self._with_escaped(block, spans)]
            return _numbers(block, [start for start, _ in spans])
        if self.level not in _STEMS:
            return None
        return _numbers(block, _bad_places(block, self.level))

    def _with_escaped(self, block: str, spans: list[tuple[int, int]]) -> list[tuple[int, str]]:
        assert self.pattern is not None
        lines = block.split("\n")
        found = set(_numbers(block, [start for start, _ in spans]))
        return [
            (number, line)
            for number, line in enumerate(lines)
            if number in found or (is_escaped(line) and self.pattern.found_in(read_line(line).message))
        ]

    @staticmethod
    def _mark_head(lines: list[str], number: int, marks: dict[int, bool]) -> None:
        """Mark the lines above one up to the first of its message."""
        while number > 0 and not read_line(lines[number]).leads:
            number -= 1
            if number in marks:
                return
            marks[number] = False


class TakenBackwards(Generic[T]):
    """`LineFilter.takes` for lines that come newest first; `item` is what stands for a line."""

    def __init__(self, wanted: LineFilter) -> None:
        self._wanted = wanted
        self._backwards: Backwards[T | None] = Backwards(wanted.level)

    def feed(self, text: str, entry: LogEntry, item: T, stream: Hashable = "") -> list[T]:
        """The items of this stream that are known to be wanted now, newest first."""
        wanted = self._wanted.in_time(entry) and self._wanted.matches(text)
        if self._wanted.level is None:
            return [item] if wanted else []
        line = structs.replace(read_line(text), level=entry.level)
        return [one for one in self._backwards.feed(stream, line, item if wanted else None) if one is not None]

    def rest(self) -> list[T]:
        """Those of messages whose first line did not come."""
        return [one for one in self._backwards.rest() if one is not None]


def _mark_rest(lines: list[str], number: int, marks: dict[int, bool]) -> None:
    """Mark the lines from a number on that begin no message as wanted."""
    while number < len(lines) and not marks.get(number) and not read_line(lines[number]).leads:
        marks[number] = True
        number += 1


def is_escaped(line: str) -> bool:
    """Whether what a line of JSON or logfmt says is written otherwise than it is shown."""
    return "\\" in line and ('{"' in line or '="' in line)


def line_filter(query: LogQuery, name: str) -> LineFilter:
    """The filter of a query to the source `name`. Raises BackendError(config) for a `grep` that is none."""
    try:
        return LineFilter(query)
    except BackendError as error:
        raise BackendError(error.kind, clean(f"logs {name}: {error.message}"), fix="escape it") from None


def _numbers(block: str, places: list[int]) -> list[int]:
    """The numbers of the lines in which places of a block lie, ascending."""
    numbers: list[int] = []
    number = position = 0
    for place in sorted(places):
        number += block.count("\n", position, place)
        position = max(position, place)
        if not numbers or numbers[-1] != number:
            numbers.append(number)
    return numbers


def _bad_places(block: str, level: LogLevel) -> list[int]:
    """Where in a block a level or worse may be said; one place a line and stem."""
    lowered = block.lower()  # a case-insensitive regular expression takes ten times as long
    if len(lowered) != len(block):
        lowered = block.translate(_ASCII_LOWER)  # there is a letter whose lower case is two: places would not fit
    places = []
    for stem in _STEMS[level]:
        position = lowered.find(stem)
        while position >= 0:
            places.append(position)
            end = lowered.find("\n", position)
            position = lowered.find(stem, end) if end >= 0 else -1
    led = f"\n{block}"
    for form in _FORMS:
        places += [min(found.end() - 2, len(block)) for found in re.finditer(form, led)]
    return places
