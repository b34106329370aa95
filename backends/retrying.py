"""What is read is asked for again while the trouble may pass. What is written is sent once, and never goes by here."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from backends.errors import BackendError

T = TypeVar("T")

ATTEMPTS = 3
FIRST_WAIT_S = 0.4
MAX_WAIT_S = 5.0
SHORTEST_TRY_S = 0.1  # with less left, it would end in a timeout that hides what the system said
PASSING_STATUS = frozenset({429, 502, 503, 504})


async def retried(
    ask: Callable[[float], Awaitable[T]],
    *,
    timeout_s: float,
    attempts: int = ATTEMPTS,
    max_wait_s: float = MAX_WAIT_S,
) -> T:
    """What `ask(left_s)` returns, asked again up to `attempts` times while its error is `passing`.

    `timeout_s` covers all attempts and the waits between them. A wait is what the system said (`Retry-After`), else
    drawn between nothing and one that doubles (full jitter: clients that failed together do not come back together);
    none is longer than `max_wait_s`. Raises the BackendError of the last attempt, at once where a wait would be too
    long, or leave no time for another attempt.
    """
    ends = time.monotonic() + timeout_s
    for failures in range(attempts - 1):
        try:
            return await ask(ends - time.monotonic())
        except BackendError as error:
            wait_s = error.retry_after_s
            if wait_s is None:
                wait_s = random.uniform(0, backoff_s(failures, FIRST_WAIT_S, max_wait_s))
            if not error.passing or wait_s > min(max_wait_s, ends - time.monotonic() - SHORTEST_TRY_S):
                raise
            await asyncio.sleep(wait_s)
            if time.monotonic() >= ends:  # a busy machine slept for longer
                raise
    return await ask(ends - time.monotonic())


def backoff_s(failures: int, first_s: float, most_s: float) -> float:
    """Seconds to wait after so many failures in a row, without the first: twice as long each time, up to `most_s`."""
    return min(first_s * 2.0 ** min(failures, 30), most_s)
