"""Looks at a side that takes traffic, at a steady rate whatever an answer takes: one that is down is left at once."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Literal, NoReturn

from msgspec import Struct

from actions.endings import Failed

APART_S = 0.5
MAX_IN_FLIGHT = 8
_KEPT = 64

Seen = Literal["good", "down", "other", "all down", "rest down", "unreached", "unproven", "unread", "unseen"]
"""What one look came to. `down`: the side itself refused, failed or is unhealthy, asked directly or through the load
balancer. `all down`: so did the other side, or the load balancer can not be reached: it is not this side that failed.
`rest down`: only the other side does, which has the rest of the traffic. `unreached`: only the load balancer can not
be reached. `other`: another side answered. `unproven`: an answer that names no side. `unread`: the control object can
not be read. `unseen`: nobody could look."""


class Sample(Struct, frozen=True):
    """One look at a side that takes traffic, in a word and in words; `version` is what it runs."""

    seen: Seen
    detail: str
    version: str | None = None


class Looks:
    """Looks every `every_s`, each begun whether or not the one before has ended, and taken in that order."""

    def __init__(self, look: Callable[[], Awaitable[Sample]], every_s: float, fatal: frozenset[Seen]) -> None:
        """`fatal`: what ends it, seen twice in a row."""
        self._look = look
        self._every_s = every_s
        self._fatal = fatal
        self._taken: deque[tuple[Sample, float]] = deque(maxlen=_KEPT)
        self._first = asyncio.Event()
        self.count = 0
        self._amiss, self._amiss_why = 0, ""
        self._unproven, self._unproven_why = 0, ""

    @property
    def failed(self) -> str:
        """`, 30 of them failed (no nginx runs)`, with what the last of these saw; empty where none did."""
        return f", {self._amiss} of them failed ({self._amiss_why})" if self._amiss else ""

    @property
    def newest_began(self) -> float:
        """When the newest look that has ended began (`time.monotonic()`); 0.0 before the first."""
        return self._taken[-1][1] if self._taken else 0.0

    @property
    def newest(self) -> Sample:
        """The newest look that has ended."""
        return self._taken[-1][0] if self._taken else Sample("unseen", "not looked at yet")

    def unanswered(self, share: float) -> str:
        """That so many fresh requests got no answer that a side with `share` of them may be the one that hangs: half of
        its share; empty where it is fewer. A side that hung on its 20 % of users was promoted to all of them."""
        if not self._unproven or self._unproven < share * self.count / 2:
            return ""
        return f"{self._unproven} of {self.count} fresh requests got no answer: {self._unproven_why}"

    async def first(self) -> None:
        """Wait for one."""
        await self._first.wait()

    def in_a_row(self, *seen: Seen) -> bool:
        """Whether the newest looks, two or more and half a second apart, came to one of `seen`."""
        for sample, began in reversed(self._taken):
            if sample.seen not in seen:
                return False
            if self.newest_began - began >= APART_S:
                return True
        return False

    async def run(self) -> NoReturn:
        """A guard: raises Failed with what was seen where that is fatal, and what a look raises."""
        flying: deque[asyncio.Task[tuple[Sample, float]]] = deque()
        due = time.monotonic()
        try:
            while True:
                if len(flying) < MAX_IN_FLIGHT:
                    flying.append(asyncio.create_task(self._timed()))
                due = max(due + self._every_s, time.monotonic())
                while (left_s := due - time.monotonic()) > 0:
                    if not flying:
                        await asyncio.sleep(left_s)
                        break
                    await asyncio.wait({flying[0]}, timeout=left_s)
                    if flying[0].done():
                        self._take(*flying.popleft().result())
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    def _take(self, sample: Sample, began: float) -> None:
        self._taken.append((sample, began))
        self.count += 1
        if sample.seen not in ("good", "unseen"):
            self._amiss, self._amiss_why = self._amiss + 1, sample.detail
        if sample.seen == "unproven":
            self._unproven, self._unproven_why = self._unproven + 1, sample.detail
        self._first.set()
        if self.in_a_row(*self._fatal):
            raise Failed(sample.detail, "health_failed")

    async def _timed(self) -> tuple[Sample, float]:
        began = time.monotonic()
        return await self._look(), began
