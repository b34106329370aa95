"""Which lines a `LogQuery` wants: asked of one line, of lines as they come, and of whole blocks of a file.

In a block, what cannot be wanted is left out before a line is read: by its pattern, or where warnings and worse are
asked, by the stems that each way to say so has.
"""

import re
from bisect import bisect_right
from collections.abc import Hashable
from itertools import accumulate

from msgspec import structs

from backends.errors import BackendError
from backends.logs.levels import at_least
from backends.logs.lines import plain, read_line
from backends.logs.messages import Belonging
from backends.logs.patterns import Pattern
from backends.logs.wrappers import piece_of
from backends.models import LogEntry, LogLevel
from backends.ports import LogQuery
from backends.text import clean

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_BAD: tuple[LogLevel, ...] = ("warning", "error", "critical")
# Every word for warning or worse has one of these; they are looked for in a whole block.
_STEMS = (
    "err", "warn", "wrn", "crit", "fata", "ftl", "severe", "pani", "pnc", "emerg", "alert", "exception", "traceback",
    "caused by", "fail", "deprecat",
)  # fmt: skip
# What is said without a word: (any of these is in the block, then this is looked for).
_FORMS: tuple[tuple[tuple[str, ...], "re.Pattern[str]"], ...] = tuple(
    (gates, re.compile(form))
    for gates, form in (
        (("\nE", "\nF", "\nW", "\nC"), r"\n[EFWC]\d{4,8} \d\d:"),
        ((" E", " F", " W"), r" [EFWAC]\d{4,8} \d\d:| [EFWA]\d? "),
        (("\n[E", "\n[W", "\n[C"), r"\n\[[EWC] \d"),
        (("\n<",), r"\n<\d"),
        ((" <",), r" <\d{1,3}>"),
        ((" # ",), r" # "),
        (("%",), r"%[A-Z0-9_]+-[0-4]-"),
        (('" 4', '" 5'), r'" [45]\d\d\b'),
        (("HTTP/",), r"\(HTTP/[\d.]+ [45]"),
        (("haproxy",), r"/[\d+-]+ [45]\d\d "),
        (("TCP_", "UDP_"), r"(?:TCP|UDP)_[A-Z_]+/[45]\d\d "),
        (('"s"', '"@l"'), r'"(?:s|@l)": ?"[EWF]'),
        (
            ("evel", "everity", "lvl", "riority", "RIORITY"),
            r'(?i:evel|severity(?:_?number)?|lvl|priority)"?[:=] ?"?\d',
        ),
        (("tatus", "response_code"), r'(?:tatus(?:_code)?|response_code)": ?"?[45]\d\d'),
    )
)


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

    def takes(self, text: str, entry: LogEntry, stream: Hashable = "") -> bool:
        """Whether the next line of a stream is wanted: its text, and the entry that was made of it. To be asked of each
        line in its order, since a line counts with the level of the message that it belongs to."""
        if self.level is not None:
            level = self._belonging.level(stream, structs.replace(read_line(text), level=entry.level))
            if not at_least(level, self.level):
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
        seeds = self._seeds(block, lines)
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

    def _seeds(self, block: str, lines: list[str]) -> list[int] | None:
        """The numbers of the lines that may be wanted for themselves; None for all."""
        if self.pattern is not None:
            spans = self.pattern.lines_of(block)
            if "\\" in block and ('{"' in block or '="' in block):
                return [number for number, _ in self._with_escaped(block, spans)]
            return _numbers([start for start, _ in spans], lines)
        if self.level not in _BAD:
            return None
        return _numbers(_bad_places(block), lines)

    def _with_escaped(self, block: str, spans: list[tuple[int, int]]) -> list[tuple[int, str]]:
        assert self.pattern is not None
        lines = block.split("\n")
        found = set(_numbers([start for start, _ in spans], lines))
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


def _numbers(places: list[int], lines: list[str]) -> list[int]:
    """The numbers of the lines in which places of their block lie, ascending."""
    begins = [0, *accumulate(len(line) + 1 for line in lines)]
    return sorted({bisect_right(begins, place) - 1 for place in places})


def _bad_places(block: str) -> list[int]:
    """Where in a block a warning or worse may be said; one place a line and stem."""
    lowered = block.lower()  # a case-insensitive regular expression takes ten times as long
    if len(lowered) != len(block):
        lowered = block.translate(_ASCII_LOWER)  # there is a letter whose lower case is two: places would not fit
    places = []
    for stem in _STEMS:
        position = lowered.find(stem)
        while position >= 0:
            places.append(position)
            end = lowered.find("\n", position)
            position = lowered.find(stem, end) if end >= 0 else -1
    led = f"\n{block}"
    for gates, form in _FORMS:
        if any(gate in led for gate in gates):
            places += [min(found.end() - 2, len(block)) for found in form.finditer(led)]
    return places
