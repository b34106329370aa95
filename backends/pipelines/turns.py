"""Whose turn it is to be read, where each pipeline of a system costs a call: what runs or was touched from here each
time, every other in its turn, and what never ran last of all, so that hundreds cost no more than a few."""

import time
from collections.abc import Awaitable, Callable, Hashable, MutableMapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from msgspec import Struct

from backends.errors import BackendError
from backends.together import few_at_a_time

CALLS = 24
SIDE_BY_SIDE = 4
ROUNDS = 3  # a system may have no time for some of them
IDLE_S, NEVER_S = 30.0, 600.0
OURS_S = 120.0
K = TypeVar("K", bound=Hashable)


class _Turn(Struct, frozen=True):
    at: float
    is_open: bool
    is_empty: bool


class Turns(Generic[K]):
    """At most `CALLS` at a time, but all of them at first. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._turns: dict[K, _Turn] = {}
        self._touched: dict[K, float] = {}

    def read(self, name: K, *, is_open: bool, is_empty: bool) -> None:
        """It was read now; whether something of it runs, and whether it has no runs at all."""
        self._turns[name] = _Turn(time.monotonic(), is_open, is_empty)

    def touched(self, name: K) -> None:
        """Something of it was started or ended from here: it is read each time for a while."""
        self._touched[name] = time.monotonic()

    def read_at(self, name: K) -> float:
        """When; minus infinity for never."""
        return self._turns[name].at if name in self._turns else float("-inf")

    def age_s(self, name: K) -> float:
        """How long ago."""
        return time.monotonic() - self.read_at(name)

    def due(self, names: Sequence[K]) -> list[K]:
        """Those to be read now, out of all of them."""
        if not self._turns:
            return list(names)
        now = time.monotonic()
        first = {name for name in names if self._is_first(name, now)}
        due = (name for name in names if name in first or now - self.read_at(name) >= self._every(name))
        return sorted(due, key=lambda name: (name not in first, self.read_at(name)))[:CALLS]

    async def refresh(
        self, names: Sequence[K], read: Callable[[K], Awaitable[object]], known: MutableMapping[K, Any]
    ) -> None:
        """Read those of `names` that are due by `read`, which keeps what it has read in `known`; what is not found is
        taken out of it. Raises BackendError."""
        due = self.due(names)
        for _ in range(ROUNDS):
            due = await self._read(due, read, known)
            if not due:
                return
        # What was known before is shown with its age; of what never was, nothing would be a lie.
        unknown = [name for name in due if name not in known]
        if unknown or len(due) == len(names):
            await read((unknown or due)[0])

    async def _read(
        self, names: Sequence[K], read: Callable[[K], Awaitable[object]], known: MutableMapping[K, Any]
    ) -> list[K]:
        """Those of them that there was no time for. Raises BackendError."""
        left: list[K] = []

        async def one(name: K) -> None:
            try:
                await read(name)
            except BackendError as error:
                if error.kind == "not_found":  # deleted meanwhile
                    known.pop(name, None)
                    self._turns.pop(name, None)
                elif error.kind == "rate_limited":
                    left.append(name)
                else:
                    raise

        await few_at_a_time(SIDE_BY_SIDE, (partial(one, name) for name in names))
        return left

    def _is_first(self, name: K, now: float) -> bool:
        turn = self._turns.get(name)
        return now - self._touched.get(name, -OURS_S) < OURS_S or (turn is not None and turn.is_open)

    def _every(self, name: K) -> float:
        turn = self._turns.get(name)
        return NEVER_S if turn is not None and turn.is_empty else IDLE_S
