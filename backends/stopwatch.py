"""How long somebody else took, without the time that this host itself was late: its event loop runs whoever waits, and
an import or a starved processor would count as the other's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType

from msgspec import Struct

TICK_S = 0.01
IGNORED_S = 0.005
LONGEST = 2.0


class Took(Struct, frozen=True):
    """`seconds` are the least that it can have been, `late_s` what this host was late by meanwhile: the truth is
    between `seconds` and both together."""

    seconds: float
    late_s: float


class Stopwatch:
    """Runs from `with` to the end of the block, on the event loop, which it looks at each `TICK_S`."""

    def __enter__(self) -> "Stopwatch":
        self._loop = asyncio.get_running_loop()
        self._began, self._late_s, self._last_late_s = self._loop.time(), 0.0, 0.0
        self._look_again()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._next.cancel()

    def took(self) -> Took:
        """Until now."""
        late_s = self._late_s + self._overdue_s()
        return Took(max(0.0, self._loop.time() - self._began - late_s), late_s)

    def is_over(self, timeout_s: float) -> bool:
        """Whether more than `timeout_s` was had for an answer; after `LONGEST` times as long it is over anyway, unless
        the loop has only now come to its work."""
        took = self.took()
        whole_s = took.seconds + took.late_s
        return took.seconds >= timeout_s or (whole_s >= LONGEST * timeout_s and self._last_late_s == 0.0)

    def _look_again(self) -> None:
        self._due = self._loop.time() + TICK_S
        self._next = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._last_late_s = self._overdue_s()
        self._late_s += self._last_late_s
        self._look_again()

    def _overdue_s(self) -> float:
        overdue = self._loop.time() - self._due
        return overdue if overdue > IGNORED_S else 0.0


@contextlib.asynccontextmanager
async def timed(timeout_s: float) -> AsyncIterator[Stopwatch]:
    """A running stopwatch whose block raises TimeoutError once it had `timeout_s`; being late does not count."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:
        with Stopwatch() as watch:
            handle = loop.call_later(timeout_s, lambda: look())

            def look() -> None:
                nonlocal handle
                if watch.is_over(timeout_s):
                    scope.reschedule(loop.time())
                else:
                    handle = loop.call_later(max(TICK_S, timeout_s - watch.took().seconds), look)

            try:
                yield watch
            finally:
                handle.cancel()
