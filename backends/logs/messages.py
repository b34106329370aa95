"""Lines that belong to the message before them: a stack trace has the level of its error where a level is asked for.

A message begins with a line that has a time, or a level before its text. What follows without either belongs to it; in
a stream whose messages have no times only what is indented, or looks like a trace.
"""

import re
from collections.abc import Hashable
from typing import Generic, TypeVar

from backends.logs.levels import at_least, worse
from backends.logs.lines import Read
from backends.models import LogLevel

T = TypeVar("T")
MAX_WAITING = 5000
_TRACE = re.compile(
    r"\s+\S|Caused by|Traceback|During handling of|The above exception|\.\.\. \d+ (?:more|common)|goroutine \d"
    r"|[\w.$]+(?:Error|Exception)\b|Stack trace:|#\d+ "
)


class Belonging:
    """The levels with which lines count, in the order in which they were written, stream by stream."""

    def __init__(self) -> None:
        self._messages: dict[Hashable, tuple[LogLevel, bool]] = {}

    def level(self, stream: Hashable, line: Read) -> LogLevel:
        """That of the line, or of its message where that one is worse."""
        level, timed = self._messages.get(stream, ("unknown", False))
        if line.leads:
            level, timed = line.level, line.timed
        elif timed or _TRACE.match(line.message):
            level = worse(line.level, level)
        else:
            level, timed = line.level, False
        self._messages[stream] = level, timed
        return level


class Backwards(Generic[T]):
    """The same for lines that come newest first: those of a message wait until its first line is known."""

    def __init__(self, wanted: LogLevel | None) -> None:
        self._wanted = wanted
        self._waiting: dict[Hashable, list[tuple[Read, T]]] = {}

    def feed(self, stream: Hashable, line: Read, item: T) -> list[T]:
        """The items that are known to be severe enough now, newest first."""
        if self._wanted is None:
            return [item]
        waiting = self._waiting.setdefault(stream, [])
        waiting.append((line, item))
        if not line.leads and len(waiting) < MAX_WAITING:
            return []
        del self._waiting[stream]
        return self._decided(waiting)

    def rest(self) -> list[T]:
        """Those whose first line did not come."""
        waiting, self._waiting = list(self._waiting.values()), {}
        return [item for lines in waiting for item in self._decided(lines)]

    @property
    def waits(self) -> bool:
        """Whether a line waits for the first one of its message."""
        return bool(self._waiting)

    def _decided(self, newest_first: list[tuple[Read, T]]) -> list[T]:
        message = Belonging()
        found = [item for line, item in reversed(newest_first) if at_least(message.level(None, line), self._wanted)]
        return found[::-1]
