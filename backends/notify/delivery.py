"""How one event is told: within a time, and once more where the system says when."""

import asyncio
from asyncio import sleep

from backends.errors import BackendError
from backends.ports import ActionEvent, Notifier

LONGEST_WAIT_S = 30.0


async def deliver(notifier: Notifier, event: ActionEvent, *, timeout_s: float) -> None:
    """Tell it in `timeout_s`; who is limited (`Retry-After`, at most `LONGEST_WAIT_S`) is told once more after that.

    Raises BackendError, and TimeoutError where a notifier keeps no time of its own.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await notifier.notify(event)
    except BackendError as error:
        wait_s = error.retry_after_s
        if wait_s is None or wait_s > LONGEST_WAIT_S:
            raise
    await sleep(wait_s)
    async with asyncio.timeout(timeout_s):
        return await notifier.notify(event)
