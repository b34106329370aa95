"""What was so around one time: runs, lines and events of a window that has an end, read once. No order sees it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from backends.errors import BackendError
from backends.logs.around import around
from backends.logs.merging import note
from backends.models import Item, LogEntry
from backends.ports import LogQuery
from console import moment
from console.ports.entry import Entry
from console.ports.logs import LOGS
from console.ports.pipelines import PIPELINES
from console.ports.store import SourceKey, Store
from console.reading.adapters import Adapters
from console.reading.feeds import Feed, Source, read_all
from console.reading.timeline_feeds import Rememberers

AFTER = timedelta(minutes=5)
RUN_LIMIT = 1000
LINE_LIMIT = 1500  # of each source before the time, and as many after it
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
        rememberers: Rememberers,
    ) -> None:
        self.at = at
        self.window = (at - since, min(at + AFTER, moment.utc_now()))
        self.store = Store()
        self._adapters = adapters
        sources = [
            *(Source(SourceKey("pipelines", each.name), each.type, partial(self._runs, each.name))
              for each in entries["pipelines"]),
            *(Source(SourceKey("logs", each.name), each.type, partial(self._lines, each.name))
              for each in entries["logs"]),
            *rememberers.sources(lambda: self.window),
        ]  # fmt: skip
        self._feeds = [Feed(source, self.store, interval_s=FOR_GOOD_S) for source in sources]

    async def read(self) -> None:
        """Ask every source, side by side; one that fails says so in its snapshot."""
        await read_all(self._feeds)

    async def _runs(self, name: str) -> tuple[Item, ...]:
        since, until = self.window
        runs = await self._adapters.of(PIPELINES, name).runs(since=since, limit=RUN_LIMIT)
        begun = [run for run in runs if run.started_at is not None and run.started_at <= until]
        if len(runs) >= RUN_LIMIT and not begun:
            message = f"more than {RUN_LIMIT:,} runs began since: they do not reach back to this time"
            raise BackendError("not_found", message, fix="`teal run list` of one pipeline")
        return tuple(begun)

    async def _lines(self, name: str) -> tuple[LogEntry, ...]:
        """The last before the time, and the first after it: without a hole, as far as the limit reaches."""
        since, until = self.window
        query = LogQuery(since=since, until=until)
        found = await around(self._adapters.of(LOGS, name), query, self.at, before=LINE_LIMIT, after=LINE_LIMIT)
        if sum(entry.at is not None and entry.at >= self.at for entry in found) >= LINE_LIMIT:
            found.append(note(name, f"the first {LINE_LIMIT:,} lines after this time: there are more"))
        return tuple(found)
