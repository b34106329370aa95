"""A write whose answer was lost is looked for, and never sent again."""

from collections.abc import Awaitable, Callable

from backends.errors import BackendError


def is_lost(error: BackendError) -> bool:
    """Whether nobody knows what came of a write: not answered, or by something that is not AWS."""
    return error.kind in ("timeout", "unreachable", "malformed") and (error.status is None or error.status >= 500)


async def unless_done(write: Awaitable[object], is_done: Callable[[], Awaitable[bool]]) -> None:
    """Send `write`; where its answer was lost, look whether it `is_done`. Raises its BackendError where it is not."""
    try:
        await write
    except BackendError as error:
        if not is_lost(error) or not await is_done():
            raise
