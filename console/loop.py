"""The event loop of a command."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

IDLE_THREADS = 8


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, which waits at its end for every thread of `asyncio.to_thread`: ours are left behind, since one
    may hang in a file system, in a FIFO or in a file that never ends."""
    with asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(main)


def _loop() -> asyncio.AbstractEventLoop:
    from backends.threads import DaemonExecutor

    loop = asyncio.new_event_loop()
    loop.set_default_executor(DaemonExecutor(IDLE_THREADS, "work"))
    return loop
