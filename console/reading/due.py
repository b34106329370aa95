"""The time that a command has in all (`--timeout`): what it asks after its feeds is asked within it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from backends.errors import BackendError

LEAST_S = 0.5
"""What is asked last has so much, whatever its command took before."""


@contextlib.asynccontextmanager
async def followed_for(timeout_s: float | None) -> AsyncIterator[asyncio.Timeout]:
    """What never ends by itself is left after so long; `expired()` says whether it was."""
    scope = asyncio.timeout(timeout_s)
    try:
        async with scope:
            yield scope
    except TimeoutError:
        if not scope.expired():
            raise


class Due:
    """When the answer is wanted; `begin` says so, and without it there is no end."""

    def __init__(self) -> None:
        self._at: float | None = None

    def begin(self, timeout_s: float | None) -> None:
        """From now on, in seconds."""
        self._at = None if timeout_s is None else time.monotonic() + timeout_s

    def left_s(self) -> float | None:
        """Seconds that are left, `LEAST_S` at least."""
        return None if self._at is None else max(LEAST_S, self._at - time.monotonic())

    @contextlib.asynccontextmanager
    async def kept(self, *, more_s: float = 0.0) -> AsyncIterator[None]:
        """What is asked inside ends in time, `more_s` later where others inside keep it by themselves. Raises
        BackendError(timeout)."""
        left_s = self.left_s()
        scope = asyncio.timeout(None if left_s is None else left_s + more_s)
        try:
            async with scope:
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            fix = "raise --timeout, or look at the system directly"
            raise BackendError("timeout", "no answer in time", fix=fix) from None
