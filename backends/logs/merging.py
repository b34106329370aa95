"""Lines of several sources in one order of time, though they arrive skewed: held back for a while, then handed out.

No line is dropped here. One that comes after younger ones were handed out is marked `late` and counted; what a source
itself had to skip is a line of its own (`gap`) and is counted too.
"""

import heapq
from collections import deque

from msgspec import structs

from backends.models import LogEntry
from backends.text import clean

WINDOW_S = 1.5
MAX_HELD = 50_000
NOTE_LABEL = "teal_note"
GAP_LABEL = "teal_missing_lines"


def gap(source: str, lines: int | None, why: str) -> LogEntry:
    """The line that stands where lines are missing; `lines` is None where nobody knows how many."""
    amount = "an unknown number of lines" if lines is None else f"{lines:,} line{'s' * (lines != 1)}"
    return LogEntry(
        at=None,
        source=source,
        level="warning",
        message=clean(f"{amount} missing here: {why}"),
        labels={GAP_LABEL: "" if lines is None else str(lines)},
    )


def note(source: str, words: str) -> LogEntry:
    """A line of the reader's own: nothing is missing, but what is shown is not all that was meant."""
    return LogEntry(at=None, source=source, level="warning", message=clean(words), labels={NOTE_LABEL: "true"})


def is_note(entry: LogEntry) -> bool:
    """Whether an entry is a note of the reader."""
    return NOTE_LABEL in entry.labels


def is_gap(entry: LogEntry) -> bool:
    """Whether an entry is not a line but says that some are missing."""
    return GAP_LABEL in entry.labels


def missing_lines(entry: LogEntry) -> int:
    """How many lines are missing at a gap, as far as that is known; 0 for a line."""
    return int(entry.labels.get(GAP_LABEL) or 0)


class Merger:
    """`push` what arrives, `pop` what is due. Times are seconds of one monotonic clock of the caller.

    A line is due once it, or an older or equal one's elder, was held for `window_s`: so lines that arrive less than
    that later than a younger one are put before it. Beyond `max_held` lines the oldest go out early (`early`), since
    memory is bounded; that costs order, never lines. A line without a time stays behind the one before it of its
    source.
    """

    def __init__(self, window_s: float = WINDOW_S, max_held: int = MAX_HELD) -> None:
        self._window_s, self._max_held = window_s, max_held
        self._heap: list[tuple[int, int, LogEntry]] = []
        self._arrivals: deque[tuple[float, int]] = deque()
        self._last_of: dict[str, int] = {}
        self._number = 0
        self._due = 0
        self._given = 0
        self.late = 0
        self.early = 0
        self.missing = 0
        self.gaps = 0

    @property
    def held(self) -> int:
        """How many lines wait."""
        return len(self._heap)

    def push(self, source: str, entry: LogEntry, now_s: float) -> None:
        """One line of a source as it arrives."""
        at = int(entry.at_ns) if entry.at_ns else self._last_of.get(source, self._given)
        self._last_of[source] = at
        if is_gap(entry):
            self.gaps += 1
            self.missing += missing_lines(entry)
        elif at < self._given:
            self.late += 1
            entry = structs.replace(entry, late=True)
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, entry))
        self._arrivals.append((now_s, at))

    def pop(self, now_s: float) -> list[LogEntry]:
        """What is due, oldest first."""
        while self._arrivals and self._arrivals[0][0] <= now_s - self._window_s:
            self._due = max(self._due, self._arrivals.popleft()[1])
        released: list[LogEntry] = []
        while self._heap and (self._heap[0][0] <= self._due or len(self._heap) > self._max_held):
            at, _, entry = heapq.heappop(self._heap)
            self.early += at > self._due
            self._given = max(self._given, at)
            released.append(entry)
        return released

    def flush(self) -> list[LogEntry]:
        """All that is held, oldest first."""
        return self.pop(float("inf"))
