"""Following a log system by asking it again: with an overlap for lines that are indexed late, none twice.

Several lines share a nanosecond, and a system shows a line some time after it was written. So each question reaches
back by an overlap behind the newest line known, and what was seen within it is left out by its identity.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable

from msgspec import Struct, structs

from backends.logs.reading import line_filter
from backends.models import LogEntry
from backends.ports import LogQuery

OVERLAP_NS = 5_000_000_000


class Found(Struct, frozen=True):
    """A line of a system: its nanosecond, what tells it from every other, its text as written, and as an entry."""

    ns: int
    identity: Hashable
    raw: str
    entry: LogEntry


class Polled(Struct, frozen=True):
    """How the system `name` is asked. `last(query)`: as `Logs.query`, with identities, oldest first. `after(ns)`: all
    lines from a nanosecond on, oldest first, and gaps as entries in between; not filtered. `overlap_ns`: how late a
    line may be shown and still be seen."""

    name: str
    last: Callable[[LogQuery], Awaitable[list[Found]]]
    after: Callable[[int], Awaitable[list[Found | LogEntry]]]
    now_ns: Callable[[], int]
    interval_s: float
    overlap_ns: int = OVERLAP_NS


class Seen:
    """What was handed out already, as far back as the overlap reaches."""

    def __init__(self, begins_ns: int, overlap_ns: int = OVERLAP_NS) -> None:
        self.newest_ns = begins_ns
        self._overlap_ns = overlap_ns
        self._identities: dict[Hashable, int] = {}
        self._said: set[str] = set()

    @property
    def from_ns(self) -> int:
        """From where to ask next."""
        return max(0, self.newest_ns - self._overlap_ns)

    def asks_from(self, now_ns: int) -> int:
        """The same, not ahead of the clock: one line of the future must not hide all that are written until then."""
        return max(0, min(self.newest_ns, now_ns) - self._overlap_ns)

    def is_new(self, found: Found) -> bool:
        """Whether a line was not seen before; it is from now on."""
        key = (found.ns, found.identity)
        new = key not in self._identities
        self._identities[key] = found.ns
        self.newest_ns = max(self.newest_ns, found.ns)
        return new

    def news(self, items: list[Found | LogEntry]) -> list[Found | LogEntry]:
        """Of an answer to "all lines after" the lines that were not seen before, and the gaps that the answer before it
        did not have too: what does not answer does not once more every second."""
        said, self._said = self._said, {item.message for item in items if not isinstance(item, Found)}
        return [item for item in items if (self.is_new(item) if isinstance(item, Found) else item.message not in said)]

    def prune(self, before_ns: int | None = None) -> None:
        """Forget what no question can bring again: what is older than this, or than `from_ns`."""
        if len(self._identities) > 1000:
            oldest = self.from_ns if before_ns is None else before_ns
            self._identities = {key: ns for key, ns in self._identities.items() if ns >= oldest}


async def follow(system: Polled, query: LogQuery) -> AsyncIterator[LogEntry]:
    """As the port says. Raises BackendError."""
    wanted = line_filter(structs.replace(query, since=None), system.name)
    anchor = await system.last(LogQuery(limit=1))
    seen = Seen(anchor[-1].ns if anchor and anchor[-1].ns else system.now_ns(), system.overlap_ns)
    for item in await system.after(seen.asks_from(system.now_ns())):
        if isinstance(item, Found):
            seen.is_new(item)
    shown_ns = 0
    for found in await system.last(query) if query.limit > 0 else []:
        seen.is_new(found)
        shown_ns = max(shown_ns, found.ns)
        yield found.entry
    while True:
        await asyncio.sleep(system.interval_s)
        from_ns, shown_before_ns = seen.asks_from(system.now_ns()), shown_ns
        for item in seen.news(await system.after(from_ns)):
            if not isinstance(item, Found):
                yield item
            elif wanted.takes(item.raw, item.entry, item.entry.source):
                shown_ns = max(shown_ns, item.ns)
                yield structs.replace(item.entry, late=True) if 0 < item.ns < shown_before_ns else item.entry
        seen.prune(from_ns)
