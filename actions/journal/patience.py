"""How long a journal that does not answer is asked again: a runner does so while its lease can not be another's."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from actions.journal.errors import JournalFull
from backends.errors import BackendError

AGAIN_S = (0.1, 0.3, 0.5, 1.0)

T = TypeVar("T")

_SURE_S: ContextVar[Callable[[], float] | None] = ContextVar("sure_s", default=None)


@contextlib.contextmanager
def patient(sure_s: Callable[[], float] | None) -> Iterator[None]:
    """What is asked in here, and by the tasks that are begun in here, is asked again while `sure_s()`, the seconds for
    which that may be done, is more than 0; None: it is asked once."""
    token = _SURE_S.set(sure_s)
    try:
        yield
    finally:
        _SURE_S.reset(token)


async def within(seconds: float, asked: Awaitable[T]) -> T | None:
    """What the journal says in that time; None where it says nothing by then, or can not be asked."""
    with contextlib.suppress(BackendError, TimeoutError):
        async with asyncio.timeout(seconds):
            return await asked
    return None


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` says, as patiently as the caller is to be. Raises what it raised last."""
    sure_s = _SURE_S.get()
    return await ask() if sure_s is None else await asked_again(ask, sure_s)


async def asked_again(ask: Callable[[], Awaitable[T]], sure_s: Callable[[], float]) -> T:
    """What `ask` says, asked again while `sure_s()` is more than 0, and once more after that: to hear whose it is now.
    Raises BackendError, at once where asking again does not help."""
    tries, last = 0, False
    while True:
        try:
            return await ask()
        except BackendError as error:
            passes = error.kind in ("timeout", "unreachable") and not isinstance(error, JournalFull)
            if last or not passes:
                raise
            last = sure_s() <= 0
        await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S) - 1)])
        tries += 1
