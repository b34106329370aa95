"""A write whose answer was lost is looked for, and never sent again. A look that fails says nothing of it: it may be
that too many look."""

import asyncio
from collections.abc import Awaitable, Callable

from backends.errors import BackendError
from backends.text import clean

LOOKS, LOOK_EVERY_S = 3, 0.5


def is_lost(error: BackendError) -> bool:
    """Whether nobody knows what came of a write: not answered, or by something that is not AWS."""
    return error.kind in ("timeout", "unreachable", "malformed") and (error.status is None or error.status >= 500)


async def unless_done(
    write: Awaitable[object], is_done: Callable[[], Awaitable[bool]], *, looks: int = LOOKS,
    every_s: float = LOOK_EVERY_S,
) -> None:  # fmt: skip
    """Send `write`; where its answer was lost, look a few times whether it `is_done`. Raises its BackendError where it
    is not, or where nobody could look: it is in doubt then."""
    try:
        await write
    except BackendError as error:
        if not is_lost(error):
            raise
        lost = error
    else:
        return
    unseen = ""
    for look in range(looks):
        if look:
            await asyncio.sleep(every_s)
        try:
            if await is_done():
                return
        except BackendError as failed:
            unseen = f"; and it can not be looked for: {failed.message}"
        else:
            unseen = ""
    words = clean(f"{lost.message}{unseen}: it is in doubt", 400)
    raise BackendError(lost.kind, words, fix=lost.fix or "look at it before it is ordered again", status=lost.status)
