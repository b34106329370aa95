"""What is looked at beside a phase, and ends it: a phase looks only at its own work."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

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
