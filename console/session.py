"""The composition root of one context: its adapters, its feeds, its store, and the gate for its orders."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from backends.errors import BackendError
from backends.models import Deployment, Item, LogEntry, Panel, PipelineRun, RunCondition, TaskRun
from console import moment
from console.config.edited import ConfigFiles, EditedEntries
from console.config.selection import Selection
from console.context_info import info_of
from console.orders import Orders
from console.ports.deployments import DEPLOYMENTS
from console.ports.derive import impact, linked
from console.ports.entry import Entry
from console.ports.links import Links
from console.ports.logs import INTERVAL_S as LOGS_INTERVAL_S
from console.ports.logs import LOGS
from console.ports.pipelines import PIPELINES
from console.ports.store import Snapshot, SourceKey, Store
from console.ports.table import reading_of, readings
from console.reading.adapters import Adapters
from console.reading.due import LEAST_S, Due
from console.reading.feeds import DEADLINE_S, Feed, Source, read_all
from console.reading.log_feed import LogFeed
from console.reading.remembering import Remembering
from console.reading.snapshots import SnapshotFiles, cache_dir
from console.reading.timeline_feeds import EPISODES, TimelineSources
from console.reading.timeline_feeds import INTERVAL_S as TIMELINE_INTERVAL_S

if TYPE_CHECKING:
    from actions.models import Action, Consent, Plan, Request
    from backends.ports import LogQuery, Logs
    from console.reading.comparison import Comparison
    from console.reading.episode_file import EpisodeFile
    from console.reading.past import Past
    from console.reading.release_options import ReleaseOptions
    from console.reading.triage import Triage

LOG_LIMIT = 500
FOLLOWED_LINES = 2000  # so many of each log source are there at first when they are followed
# The first reads import what their adapters need, and that would keep the screen from showing the kept data.
KEPT_DATA_FIRST_S = 0.1

ReadLogs = Callable[["Logs"], Awaitable[list[LogEntry]]]


async def last_lines(logs: Logs) -> list[LogEntry]:
    """Those of a source where nobody asks for others."""
    from backends.ports import LogQuery

    return await logs.query(LogQuery(limit=LOG_LIMIT))


class Acting(Struct, frozen=True):
    """The open actions; `unknown` says why they are not known, where the journal can not be read."""

    actions: tuple[Action, ...] = ()
    unknown: str = ""


class Session:
    """One context at work. Reads come through feeds into the store; orders go through the gate."""

    def __init__(
        self,
        selection: Selection,
        *,
        panels: tuple[Panel, ...] | None = None,
        since: timedelta = timedelta(hours=1),
        until: datetime | None = None,
        read_logs: ReadLogs = last_lines,
        keeps: bool = False,
    ) -> None:
        """`keeps`: what begins and ends is kept in the journal; else beside the snapshots."""
        self._selection = selection
        self._config = selection.context.config
        self.adapters = Adapters(selection.context)
        self.store = Store()
        self.orders = Orders(selection.context, self.adapters, self.store.defects)
        self.context = info_of(selection, self.orders.identity)
        self.config_files = ConfigFiles(
            () if selection.context.sandbox else (selection.context.path, selection.context.source)
        )
        self.armed = not self._config.protected
        self.since = since
        self.until = until
        self.due = Due()
        self._read_logs = read_logs
        panels = tuple(name for name, _ in readings()) if panels is None else panels
        self.memory = Remembering(
            self.store, selection.context.entries, self._episode_file,
            ask=self.orders.episodes if keeps or "timeline" in panels else None,
            write=self.orders.keep if keeps else None, edited=self._edited_entries().edited,
        )  # fmt: skip
        self._rememberers = TimelineSources(selection.context.entries, self.adapters, self.orders, self.memory.episodes)
        self._feeds = {feed.source.key: feed for panel in panels for feed in self._feeds_of(panel)}
        self.logs = LogFeed(
            {
                entry.name: (entry.type, partial(self.adapters.of, LOGS, entry.name))
                for entry in self._log_entries(panels)
            },
            self.store,
            self._config.paced(LOGS_INTERVAL_S),
        )
        self._following = False
        self._well_at: dict[str, datetime] = {}
        self._kept: Future[list[Snapshot | None]] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self.say: Callable[[str], None] = lambda words: None
        """Tells whoever is at the console of what it does by itself."""
        self.store.listen(self._after_put)

    # ---- reading

    def preload(self) -> None:
        """Begin to read what was kept on disk, in a thread: it may be a slow disk, and nobody waits for it."""
        executor = ThreadPoolExecutor(1)
        self._kept = executor.submit(lambda: [self._files.load(key) for key in self._feeds])
        executor.shutdown(wait=False)

    def show_kept(self) -> None:
        """Put what was kept into the store, with its true age, if it has been read; does not wait."""
        if self._kept is None or not self._kept.done():
            return
        for snapshot in self._kept.result():
            known = None if snapshot is None else self.store.get(snapshot.key)
            if snapshot is not None and (known is None or known.unread):
                self.store.put(snapshot)
        self._kept = None

    def start(self) -> None:
        """Begin the feeds, unless it was told to stop by then; call it after the first paint, on the event loop."""
        if self._stopped:
            return
        loop = asyncio.get_running_loop()
        if self._kept is not None:
            self._kept.add_done_callback(lambda _: loop.call_soon_threadsafe(self.show_kept))
        self.memory.changed = lambda: self.refresh("timeline")
        self._begin(self._run_feeds, "feeds")
        self._begin(self.memory.run, "memory")

    async def read(self, *, deadline_s: float | None = None, patient: bool = False, look: bool = True) -> bool:
        """Read every source once, side by side, and keep what began and ended, unless that comes later (`look`). False
        where the deadline came first."""
        began = time.monotonic()
        last = self._feeds.get(EPISODES)  # they need what all others say
        feeds = [feed for feed in self._feeds.values() if feed is not last]
        in_time = await read_all(feeds, deadline_s=deadline_s, patient=patient)
        if look:
            await self.memory.look()
        left_s = None if deadline_s is None else max(LEAST_S, deadline_s - (time.monotonic() - began))
        return await read_all([last] if last is not None else [], deadline_s=left_s) and in_time

    def refresh(self, panel: Panel | None = None) -> None:
        """Read a panel's sources, or all, now."""
        for key, feed in self._feeds.items():
            if panel in (None, key.panel):
                feed.wake()
        lost = any(snapshot.error is not None for snapshot in self.store.snapshots("logs"))
        if self._following and (panel == "logs" or (panel is None and lost)):
            self.logs.start(self._log_query_of)

    def sources(self, panel: Panel | None = None) -> list[Snapshot]:
        """One snapshot a source (of `panel`), also for those that never answered."""
        return [snapshot for snapshot in self.store.snapshots(panel) if snapshot.key in self._feeds]

    def past(self, at: datetime) -> Past:
        """What was so around `at`, still to be read."""
        from console.reading.past import Past

        return Past(at, self.since, self._selection.context.entries, self.adapters, self._rememberers)

    def triage(self, run: PipelineRun, tasks: Sequence[TaskRun], log: Sequence[LogEntry]) -> Triage | None:
        """What kind of trouble `run` is in, by all that is known of the context; None where it is in none."""
        from console.reading.triage import triage  # its patterns take 10 ms to compile, and the first paint needs none

        return triage(
            run, tasks=tasks, log=log, runs=self.store.items("pipelines"), scores=self.store.items("quality"),
            checks=self.store.items("checks"), links=self._config.links, well_at=self._well_at,
        )  # fmt: skip

    async def compared(self, run: PipelineRun, tasks: Sequence[TaskRun]) -> Comparison:
        """`run` beside the last good one of its pipeline; why not, where nobody can say."""
        from console.reading.comparison import beside_good

        pipelines = partial(self.adapters.of, PIPELINES, run.backend)
        return await beside_good(pipelines, self.memory, run, tasks, self.due.left_s())

    def impact(self, ref: str) -> list[str]:
        """Who is downstream of what `ref` names, one line each, from the links of the config and the scores."""
        items = (item for snapshot in self.store.snapshots() for item in snapshot.items)
        found = next((item for item in items if getattr(item, "ref", None) == ref), None)
        return impact(found, self._config.links, self.store.items("quality")) if found is not None else []

    def linked(self, item: Item) -> list[Item]:
        """What else of the context goes with `item`, by the links of the config, the worst first."""
        from console.ports.table import readings

        others = [other for panel, reading in readings() if reading.single for other in self.store.items(panel)]
        return linked(item, self._config.links, others)

    def ways(self, backend: str) -> ReleaseOptions:
        """How that deployment can be moved forward; no I/O."""
        from console.reading.release_options import options_of

        return options_of(backend, self.adapters)

    async def conditions(self, backend: str) -> tuple[RunCondition, ...] | None:
        """What else decides how the sides of that deployment run; None where its system has nothing of the kind.
        Raises BackendError."""
        from backends.ports import conditions_of

        return await conditions_of(self.adapters.of(DEPLOYMENTS, backend))

    # ---- orders

    async def plan(self, request: Request) -> Plan:
        """What would be done. Raises Refused or BackendError."""
        return await self.orders.plan(request)

    async def submit(self, plan: Plan, consent: Consent) -> Action:
        """Through the gate. Raises Refused; nothing changed then. A way back whose runner dies is run here."""
        from actions.kinds import kind_of
        from actions.telling import title
        from console.going_back import GoingBack, goes_back

        action = await self.orders.submit(plan, consent)
        self.refresh()
        if kind_of(plan.kind).port == "alerts" and action.id:  # quick: soon the alerts are others
            self._begin(partial(self._read_alerts_after, action.id), "read alerts")
        if goes_back(plan.request):
            say = partial(self._say, title(plan))
            way_back = GoingBack(self.orders, plan.request, consent, say=say, kept=say)
            self._begin(partial(way_back.seen_through, action), "way back")
        return action

    def watch(self, action_id: str, *, in_time: bool = False) -> AsyncIterator[Action]:
        """The action each time that its journal changes, until it has ended or nobody runs it; `in_time`: not longer
        than the journal answers. Raises Refused or BackendError."""
        return self.orders.watch(action_id, in_time=in_time)

    async def actions(self, *, open_only: bool = False, limit: int = 50) -> list[Action]:
        """Actions of this context, newest first."""
        return await self.orders.actions(open_only=open_only, limit=limit)

    async def open_actions(self) -> Acting:
        """Who acts now. Never raises BackendError: what is live is known without the journal."""
        try:
            return Acting(tuple(await self.orders.actions(open_only=True, limit=500)))
        except BackendError as error:
            return Acting(unknown=who_acts(error))

    def stop(self) -> None:
        """Nothing is read from now on. A console that was told to end before its first reads began them all the same:
        two seconds of a busy machine, after it had given the terminal back."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Stop the feeds and close the adapters; safe to call twice."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.logs.aclose()
        await self.adapters.aclose()
        await self.orders.aclose()

    # ---- inside

    def _begin(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        self._tasks.append(asyncio.create_task(self.store.defects.kept(work), name=name))

    def _say(self, about: str, words: str) -> None:
        self.say(f"{about}: {words}")

    async def _read_alerts_after(self, action_id: str) -> None:
        from actions.models import Refused

        with contextlib.suppress(Refused, BackendError):
            async for _ in self.orders.watch(action_id):
                pass
        self.refresh("alerts")

    def _edited_entries(self) -> EditedEntries:
        context = self._selection.context
        return EditedEntries(self.config_files, context.path, context.name, context.entries)

    def _episode_file(self) -> EpisodeFile:
        from console.reading.episode_file import EpisodeFile
        from console.reading.origins import kept_as, origins

        context = self._selection.context
        # Each sandbox is another one, at other ports: what the one before had is gone with it.
        directory = self._files.directory if context.sandbox else cache_dir() / kept_as(context.name, context.path)
        return EpisodeFile(directory, partial(origins, context.entries, context.base_dir))

    @cached_property
    def _files(self) -> SnapshotFiles:
        context = self._selection.context
        return SnapshotFiles(context.name, context.digest)

    async def _run_feeds(self) -> None:
        await asyncio.sleep(KEPT_DATA_FIRST_S)
        self._following = True
        self.logs.start(self._log_query_of)
        async with asyncio.TaskGroup() as group:
            for key, feed in self._feeds.items():
                if key.panel != "logs":
                    group.create_task(feed.run(), name=str(key))

    def _log_entries(self, panels: tuple[Panel, ...]) -> tuple[Entry, ...]:
        return tuple(self._selection.context.entries["logs"]) if "logs" in panels else ()

    def _log_query_of(self, kind: str) -> LogQuery:
        """The end of a file is shown regardless; `since` bounds what is asked of a system."""
        from backends.ports import LogQuery

        since = None if kind == "files" else self.window()[0]
        return LogQuery(since=since, limit=FOLLOWED_LINES)

    def _feeds_of(self, panel: Panel) -> list[Feed]:
        if panel == "timeline":
            interval = self._config.paced(TIMELINE_INTERVAL_S)
            return [Feed(source, self.store, interval_s=interval) for source in self._rememberers.sources(self.window)]
        reading = reading_of(panel)
        assert reading is not None, f"{panel} is not read"
        return [
            Feed(
                Source(SourceKey(panel, entry.name), entry.type, partial(reading.fetch, self, entry.name)),
                self.store,
                interval_s=self._config.paced(reading.interval_s),
                deadline_s=DEADLINE_S,
                keep=lambda snapshot: self._files.save(self.store.get(snapshot.key) or snapshot),
                more_looks=reading.more_looks,
            )
            for entry in self._selection.context.entries[panel]
        ]

    # ---- what the ports read with

    @property
    def links(self) -> Links:
        """What belongs together."""
        return self._config.links

    def window(self) -> tuple[datetime, datetime]:
        """From when to when everything is looked at: the one clock of runs, logs and timeline."""
        until = self.until or moment.utc_now()
        return until - self.since, until

    async def before(self, key: SourceKey) -> Snapshot | None:
        """As `Desk`."""
        known = self.store.get(key)
        return known if known and known.fetched_at else await asyncio.to_thread(self._files.load, key)

    def wake(self, key: SourceKey) -> None:
        """Read that source now."""
        self._feeds[key].wake()

    def hasten(self, key: SourceKey, interval_s: float | None) -> None:
        """From now on that source is read each `interval_s`; None: as its port says."""
        usual = reading_of(key.panel)
        self._feeds[key].interval_s = interval_s or self._config.paced(usual.interval_s if usual else 0.0)

    async def read_logs(self, logs: Logs) -> list[LogEntry]:
        """The lines that are wanted of a source."""
        return await self._read_logs(logs)

    async def with_action(self, deployment: Deployment) -> Deployment:
        """With the action that is open on it, or why that is not known."""
        try:
            return await self.orders.enrich(deployment)
        except BackendError as error:
            return replace(deployment, action_unknown=who_acts(error))

    def _after_put(self, snapshot: Snapshot) -> None:
        if snapshot.key.panel == "checks" and snapshot.fetched_at is not None and snapshot.error is None:
            self._well_at |= {each.ref: snapshot.fetched_at for each in snapshot.items if each.state != "critical"}
        if (reading := reading_of(snapshot.key.panel)) is not None:
            reading.then(self, snapshot)


def who_acts(error: BackendError) -> str:
    """What is said where the journal can not be read."""
    return f"who acts is unknown: {error.message}" + (f" ({error.fix})" if error.fix else "")


@contextlib.asynccontextmanager
async def opened(session: Session) -> AsyncIterator[Session]:
    """`session`, closed at the end."""
    try:
        yield session
    finally:
        await session.aclose()
