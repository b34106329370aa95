"""Waiting for somebody for so long, without the time that this host itself was late."""

import asyncio
from collections.abc import Callable
from typing import Any

TICK_S = 0.1
LONGEST = 1.5
LATE_S = 0.5
"""A host that was late by less is not worth a word."""


async def waited_for(asking: asyncio.Future[Any], patience_s: float, counts: Callable[[], bool]) -> float:
    """Wait until `asking` is done, or for `patience_s`; returns the seconds that were not counted.

    A tick counts as one, however late the event loop was, and not at all where `counts` says that nobody was asked
    yet. Ends after `LONGEST` times as long whatever counts, with a tick in which the loop came to its work.
    """
    clock = asyncio.get_running_loop().time
    began, counted, was_late = clock(), 0.0, False
    while not asking.done():
        tick = min(TICK_S, patience_s - counted)
        at = clock()
        if tick <= 1e-6 or (at - began >= LONGEST * patience_s and not was_late):
            break
        counting = counts()
        await asyncio.wait([asking], timeout=tick)
        counted += tick if counting else 0.0
        was_late = clock() - at > 2 * TICK_S
    return max(0.0, clock() - began - counted)
