"""Fresh requests without a pause while traffic moves: who answered, from before the write until it is proven."""

import asyncio
import contextlib
import time
from collections import deque

from actions.tally import Probe, Tally, Times
from backends.deployments.common import ProbeResult

RATE_PER_S = 25.0
NEEDED = 20
MAX_IN_FLIGHT = 32
FIRST_ANSWER_S = 0.5


class Prober:
    """Asks at a steady rate, whatever an answer takes. `mark_write` is the zero of its `times`."""

    def __init__(self, tally: Tally, probe: Probe, *, every_s: float | None = None) -> None:
        """`every_s`: slower than usual, for what may take hours."""
        self._tally = tally
        self._probe = tally.counted(probe)
        self._interval = every_s or 1 / RATE_PER_S
        self._seen: list[ProbeResult] = []
        self._last: deque[ProbeResult] = deque(maxlen=NEEDED)
        self._flying: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()
        self._written_at: float | None = None

    async def start(self) -> None:
        """Begin, and wait a moment for the first answer: what is told covers the time before the write too."""
        if self._task is not None:
            return
        self._tally.begin()
        self._task = asyncio.create_task(self._run(), name="probes")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_ANSWER_S):
                await self._answered.wait()

    def hurry(self) -> None:
        """From now on at the usual rate: something is to be proven."""
        self._interval = 1 / RATE_PER_S

    @property
    def running(self) -> bool:
        """Whether requests are being sent."""
        return self._task is not None

    def mark_write(self) -> None:
        """The write begins now."""
        self._written_at = time.monotonic()
        self._tally.moving()

    def of_last(self, color: str) -> int:
        """How many of the last 20 answers came from `color`."""
        return sum(seen.color == color for seen in self._last)

    async def proven(self, color: str, deadline_s: float) -> bool:
        """Waits until the last 20 of 20 answers are `color`'s; False where the deadline comes first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while self.of_last(color) < NEEDED:
                    self._answered.clear()
                    await self._answered.wait()
        return self.of_last(color) >= NEEDED

    def answered(self, color: str, of_last: int) -> tuple[int, int]:
        """Of the newest answers since the write, at most `of_last`: how many came from `color`, and of how many."""
        zero = self._written_at or 0.0
        answers = [seen.color for seen in self._seen if seen.color is not None and seen.at >= zero][-of_last:]
        return answers.count(color), len(answers)

    async def next_answer(self, at_most_s: float) -> None:
        """Waits for one more answer, or until the time is over."""
        self._answered.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._answered.wait()

    def last_error(self) -> str:
        """Why the newest request that failed did."""
        return next((seen.error for seen in reversed(self._seen) if seen.color is None), "")

    def times(self, old: str, new: str) -> Times:
        """When `new` answered first and `old` last, so far; before the write is 0. `old` is empty where it stays,
        and as `new` where both sides answer with one version. Where another runner wrote, neither is known."""
        zero = self._written_at
        if zero is None:
            return Times()
        first_new = next((seen.at for seen in self._seen if seen.color == new and seen.at >= zero), None)
        last_old = next((seen.at for seen in reversed(self._seen) if seen.color == old != new), None)
        return Times(
            first_new_s=None if first_new is None else round(first_new - zero, 3),
            last_old_s=None if last_old is None else round(max(0.0, last_old - zero), 3),
        )

    async def stop(self) -> None:
        """End; requests that are under way are not counted."""
        tasks = [*self._flying, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            if len(self._flying) < MAX_IN_FLIGHT:
                task = asyncio.create_task(self._ask())
                self._flying.add(task)
                task.add_done_callback(self._flying.discard)
            due = max(due + self._interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _ask(self) -> None:
        seen = await self._probe()
        if seen is not None:
            self._seen.append(seen)
            self._last.append(seen)
            self._answered.set()
