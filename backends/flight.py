"""One run of something slow for all who ask for it at the same time: a command that hands out a token, a login."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class _Outcome(Struct, Generic[T]):
    value: T | None = None
    failure: Exception | None = None


class Flight(Generic[T]):
    """`run`, never twice at once. Who asks while it runs gets what comes of it, a failure too; where the one for whom
    it runs is cancelled, the next who waits runs it again. Belongs to one event loop."""

    def __init__(self, run: Callable[[], Awaitable[T]]) -> None:
        self._run = run
        self._turn = asyncio.Lock()
        self._newest: _Outcome[T] | None = None
        self.asking = 0
        """Who waits for it now."""

    async def __call__(self) -> T:
        """Raises what `run` does."""
        known = self._newest
        self.asking += 1
        try:
            async with self._turn:
                if self._newest is known:
                    self._newest = await self._flown()
                outcome = self._newest
                assert outcome is not None
        finally:
            self.asking -= 1
            if not self.asking:
                self._newest = None  # it may be a secret
        if outcome.failure is not None:
            raise outcome.failure
        return outcome.value  # type: ignore[return-value]  # a T, where it has not failed

    async def _flown(self) -> _Outcome[T]:
        try:
            return _Outcome(await self._run())
        except Exception as error:
            return _Outcome(failure=error)


class Flights:
    """The same for each of many things, of this program as a whole."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, Flight[Any]] = {}

    async def __call__(self, what: Hashable, run: Callable[[], Awaitable[T]]) -> T:
        """What comes of `run`, or of the one that runs for `what` by now. Raises what it does."""
        key = asyncio.get_running_loop(), what
        flight: Flight[T] = self._flying.setdefault(key, Flight(run))
        try:
            return await flight()
        finally:
            if not flight.asking:
                self._flying.pop(key, None)
