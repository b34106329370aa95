"""Whose turn it is to be read, where each pipeline of a system costs a call: what runs or was touched from here each
time, every other in its turn, and what never ran last of all, so that hundreds cost no more than a few."""

import time
from collections.abc import Sequence

from msgspec import Struct

CALLS = 24
IDLE_S, NEVER_S = 30.0, 600.0
OURS_S = 120.0


class _Turn(Struct, frozen=True):
    at: float
    is_open: bool
    is_empty: bool


class Turns:
    """At most `CALLS` at a time, but all of them at first. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}
        self._touched: dict[str, float] = {}

    def read(self, name: str, *, is_open: bool, is_empty: bool) -> None:
        """It was read now; whether something of it runs, and whether it has no runs at all."""
        self._turns[name] = _Turn(time.monotonic(), is_open, is_empty)

    def touched(self, name: str) -> None:
        """Something of it was started or ended from here: it is read each time for a while."""
        self._touched[name] = time.monotonic()

    def forget(self, name: str) -> None:
        """It is gone."""
        self._turns.pop(name, None)

    def read_at(self, name: str) -> float:
        """When; minus infinity for never."""
        return self._turns[name].at if name in self._turns else float("-inf")

    def age_s(self, name: str) -> float:
        """How long ago."""
        return time.monotonic() - self.read_at(name)

    def due(self, names: Sequence[str]) -> list[str]:
        """Those to be read now, out of all of them."""
        if not self._turns:
            return list(names)
        now = time.monotonic()
        first = sorted((name for name in names if self._is_first(name, now)), key=self.read_at)
        rest = [name for name in names if name not in set(first) and now - self.read_at(name) >= self._every(name)]
        return [*first, *sorted(rest, key=self.read_at)][:CALLS]

    def _is_first(self, name: str, now: float) -> bool:
        turn = self._turns.get(name)
        return now - self._touched.get(name, -OURS_S) < OURS_S or (turn is not None and turn.is_open)

    def _every(self, name: str) -> float:
        turn = self._turns.get(name)
        return NEVER_S if turn is not None and turn.is_empty else IDLE_S
