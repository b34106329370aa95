"""How one event is told: within a time, and once more where the system says when."""

from asyncio import sleep

from backends.errors import BackendError
from backends.ports import ActionEvent, Notifier, following
from backends.stopwatch import timed

LONGEST_WAIT_S = 30.0


async def deliver(notifier: Notifier, event: ActionEvent, *, timeout_s: float, earlier: str = "") -> str:
    """Tell it in `timeout_s`; who is limited (`Retry-After`, at most `LONGEST_WAIT_S`) is told once more after that.

    `earlier`, and what is returned: as `FollowingNotifier.follow`; empty for who follows nothing. Raises BackendError,
    and TimeoutError where a notifier keeps no time of its own.
    """
    try:
        return await _told(notifier, event, timeout_s, earlier)
    except BackendError as error:
        wait_s = error.retry_after_s
        if wait_s is None or wait_s > LONGEST_WAIT_S:
            raise
    await sleep(wait_s)
    return await _told(notifier, event, timeout_s, earlier)


async def _told(notifier: Notifier, event: ActionEvent, timeout_s: float, earlier: str) -> str:
    async with timed(timeout_s):  # its imports, on a busy host, are not the time of who is told
        if (follower := following(notifier)) is not None:
            return await follower.follow(event, earlier)
        await notifier.notify(event)
        return ""
