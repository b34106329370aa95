"""What ends a phase from beside it, which looks only at its own work; and what nothing from beside ends: a write."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

WRITE_S = 8.0

T = TypeVar("T")
Guard = Coroutine[Any, Any, NoReturn]


async def unless(doing: Coroutine[Any, Any, T], *guards: Guard) -> T:
    """`doing`, cancelled at its next wait as soon as one of `guards` raises; raised is what the first of them in their
    order did. It has come to its end when this returns or raises, and so have they."""
    work = asyncio.create_task(doing)
    watching = [asyncio.create_task(guard) for guard in guards]
    try:
        await asyncio.wait({work, *watching}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await next(task for task in watching if task.done())
        return await work
    finally:
        for task in (work, *watching):
            task.cancel()
        await asyncio.gather(work, *watching, return_exceptions=True)


async def uninterrupted(doing: Coroutine[Any, Any, T], stop: Callable[[], None] = lambda: None) -> T:
    """`doing` to its end even where the caller is cancelled meanwhile: a write is never left half done by us. It is
    told to `stop` then; one that hangs for `WRITE_S` more is given up: its intent says that nobody knows its end."""
    task = asyncio.create_task(doing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop()
        until = time.monotonic() + WRITE_S
        while not task.done() and (left_s := until - time.monotonic()) > 0:
            with contextlib.suppress(asyncio.CancelledError):  # once is enough: it is raised when the write has ended
                await asyncio.wait({task}, timeout=left_s)
        task.cancel()
        # What went wrong is in the journal; the order that interrupted is what goes on.
        await asyncio.gather(task, return_exceptions=True)
        raise
