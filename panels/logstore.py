"""The lines that a log view holds: bounded in bytes, numbered, with what a filter and a search find kept in step.

A line keeps its number for life, so that a cursor, marks and matches stay where they are while old lines go.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence

from backends.models import LogEntry

MAX_BYTES = 24 * 1024 * 1024
_ENTRY_BYTES = 400  # what a line costs besides its text: the struct, its time, its labels' dict
_BAD = ("error", "critical")

Wanted = Callable[[LogEntry], bool]


class LogStore:
    """`first` … `end - 1` are the numbers of the lines that are held; `shown` those that the filter lets through."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: list[LogEntry] = []
        self._bytes = 0
        self._offset = 0  # how many entries at the front of the list are gone already
        self.first = 0
        self._filter: Wanted | None = None
        self._search: Wanted | None = None
        self._shown: list[int] = []
        self.matches: list[int] = []
        self.errors: list[int] = []

    @property
    def end(self) -> int:
        """The number that the next line gets."""
        return self.first + len(self._entries) - self._offset

    def __len__(self) -> int:
        return len(self._entries) - self._offset

    def __getitem__(self, number: int) -> LogEntry:
        return self._entries[number - self.first + self._offset]

    @property
    def shown(self) -> Sequence[int]:
        """The numbers of the lines that the filter lets through, in order."""
        return range(self.first, self.end) if self._filter is None else self._shown

    def clear(self) -> None:
        """Forget all lines; numbers go on."""
        self.first = self.end
        self._entries, self._offset, self._bytes = [], 0, 0
        self._shown, self.matches, self.errors = [], [], []

    def append(self, entries: Iterable[LogEntry]) -> None:
        """More lines behind the last one; the oldest go where there are too many bytes."""
        for entry in entries:
            number = self.end
            self._entries.append(entry)
            self._bytes += _size(entry)
            self._note(number, entry)
        self._evict()

    def set_filter(self, wanted: Wanted | None) -> None:
        """Let only such lines through; None lets all."""
        self._filter = wanted
        self._shown = [] if wanted is None else [n for n in range(self.first, self.end) if wanted(self[n])]
        self._find()

    def set_search(self, wanted: Wanted | None) -> None:
        """Look for such lines among those that are shown."""
        self._search = wanted
        self._find()

    def next_of(self, numbers: Sequence[int], after: int, step: int) -> int | None:
        """Of ascending numbers the next one behind `after`, or before it with a negative `step`."""
        at = bisect_right(numbers, after) if step > 0 else bisect_left(numbers, after) - 1
        return numbers[at] if 0 <= at < len(numbers) else None

    def position(self, number: int) -> int:
        """Where a line is among those that are shown: its index, or that of the next one."""
        return bisect_left(self.shown, number)

    # ---- inside

    def _find(self) -> None:
        search = self._search
        self.matches = [n for n in self.shown if search(self[n])] if search else []
        self.errors = [n for n in self.shown if self[n].level in _BAD]

    def _note(self, number: int, entry: LogEntry) -> None:
        if self._filter is not None:
            if not self._filter(entry):
                return
            self._shown.append(number)
        if entry.level in _BAD:
            self.errors.append(number)
        if self._search is not None and self._search(entry):
            self.matches.append(number)

    def _evict(self) -> None:
        gone = 0
        while self._bytes > self._max_bytes and gone < len(self) - 1:
            self._bytes -= _size(self[self.first + gone])
            gone += 1
        if not gone:
            return
        self.first += gone
        self._offset += gone
        if self._offset > len(self._entries) // 4:
            del self._entries[: self._offset]
            self._offset = 0
        for numbers in (self._shown, self.matches, self.errors):
            del numbers[: bisect_left(numbers, self.first)]


def _size(entry: LogEntry) -> int:
    labels = sum(len(name) + len(value) + 120 for name, value in entry.labels.items())
    return _ENTRY_BYTES + 2 * len(entry.message) + labels


def with_words(query: str) -> Wanted | None:
    """Lines with all of these words, in any case and order, in their source or text; None for no words."""
    patterns = [re.compile(re.escape(word), re.IGNORECASE) for word in query.split()]
    if not patterns:
        return None
    return lambda entry: all(pattern.search(entry.message) or pattern.search(entry.source) for pattern in patterns)


def with_text(query: str) -> Wanted | None:
    """Lines with this text, in any case; None for no text."""
    text = query.strip()
    if not text:
        return None
    search = re.compile(re.escape(text), re.IGNORECASE).search
    return lambda entry: search(entry.message) is not None
