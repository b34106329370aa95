"""What was so around one time: runs, lines and events of a window that has an end, read once. No order sees it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from console import moment
from console.ports.entry import Entry
from console.ports.record import Then
from console.ports.store import SourceKey, Store
from console.ports.table import readings
from console.reading.adapters import Adapters
from console.reading.feeds import Feed, Source, read_all
from console.reading.timeline_feeds import TimelineSources

AFTER = timedelta(minutes=5)
FOR_GOOD_S = 1e9  # what is past does not grow stale


class Past:
    """The time `at`, with what came before it for `since`, and what came in `AFTER`. Its store is its own: what was so
    must not be taken for what is so."""

    def __init__(
        self,
        at: datetime,
        since: timedelta,
        entries: Mapping[str, Sequence[Entry]],
        adapters: Adapters,
        rememberers: TimelineSources,
    ) -> None:
        self.at = at
        self.window = (at - since, min(at + AFTER, moment.utc_now()))
        self.store = Store()
        then = Then(at, *self.window)
        sources = [
            *(Source(SourceKey(port, each.name), each.type, partial(reading.past, adapters, each.name, then))
              for port, reading in readings() if reading.past for each in entries[port]),
            *rememberers.sources(lambda: self.window),
        ]  # fmt: skip
        self._feeds = [Feed(source, self.store, interval_s=FOR_GOOD_S) for source in sources]

    async def read(self) -> None:
        """Ask every source, side by side; one that fails says so in its snapshot."""
        await read_all(self._feeds)
