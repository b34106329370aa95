"""A circuit breaker: what waited for the journal in vain is not waited for again by the reads behind it."""

from collections.abc import Callable
from typing import TypeVar

from actions.journal.errors import JournalError
from actions.journal.lease import steady_clock

T = TypeVar("T")

SLOW_S, SLOW_FOR_S = 0.5, 1.0


class Breaker:
    """Open for `SLOW_FOR_S` after a read that took longer than `SLOW_S` and failed."""

    def __init__(self) -> None:
        self._open_until = float("-inf")
        self._error: JournalError | None = None

    def read(self, ask: Callable[[], T]) -> T:
        """What `ask` says. Raises JournalError, while it is open at once the one that opened it."""
        began = steady_clock()
        if self._error is not None and began < self._open_until:
            raise self._error
        try:
            return ask()
        except JournalError as error:
            ended = steady_clock()
            self._open_until, self._error = ended + SLOW_FOR_S, error if ended - began > SLOW_S else None
            raise
