"""Following a log that can only be read: again and again, each line once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from backends.models import LogEntry

POLL_S = 1.0


async def follow_by_reading(
    read: Callable[[], Awaitable[list[LogEntry]]], ended: Callable[[], Awaitable[bool]], every_s: float = POLL_S
) -> AsyncIterator[LogEntry]:
    """What `read` returns, then what it returns more of, until `ended` was true before a read: the last lines come.

    Lines may come between older ones, as of tasks that run side by side; equal ones are counted.
    """
    seen: Counter[tuple[str | None, ...]] = Counter()
    while True:
        last = await ended()
        now: Counter[tuple[str | None, ...]] = Counter()
        for entry in await read():
            line = (entry.at_ns, entry.source, entry.message, *entry.labels.values())
            now[line] += 1
            if now[line] > seen[line]:
                yield entry
        seen = now
        if last:
            return
        await asyncio.sleep(every_s)
