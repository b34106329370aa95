"""What remembers changes: the journal, the pipelines' own events, alerts over time."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from actions.journal.episodes import KEPT
from backends.models import Item
from backends.registry import remembers
from console import moment
from console.ports.alerts import ALERTS
from console.ports.deployments import DEPLOYMENTS
from console.ports.entry import Entry
from console.ports.metrics import METRICS
from console.ports.pipelines import PIPELINES
from console.ports.store import SourceKey
from console.reading.adapters import Adapters
from console.reading.feeds import Source

if TYPE_CHECKING:
    from actions.journal.audit import AuditRecord
    from actions.journal.episodes import Book
    from actions.models import Action, Watch
    from backends.ports import RememberingAlerts, RememberingDeployments

ACTION_LIMIT = 200
INTERVAL_S = 30.0
EPISODES = SourceKey("timeline", "episodes")

_MAY_REMEMBER = ("alerts", "deployments")


def _reach(since: datetime, until: datetime) -> datetime:
    """From when on T0 is looked for, which may be long before the window."""
    return min(since, until - KEPT)


Window = Callable[[], tuple[datetime, datetime]]
_Fetch = Callable[[str, Window], Awaitable[tuple[Item, ...]]]


class JournalReader(Protocol):
    """What of the journal the timeline reads; all raise BackendError."""

    async def actions(self, *, open_only: bool = False, limit: int = 50) -> "list[Action]":
        """Newest first."""

    async def records_here(self, *, since: datetime | None = None) -> "list[AuditRecord]":
        """Of the audit what is of this context, oldest first."""

    async def watched(self) -> "list[Watch]":
        """When consoles were open."""


class TimelineSources:
    """The sources of the timeline, each asked for a window: from when to when."""

    def __init__(
        self,
        entries: Mapping[str, Sequence[Entry]],
        adapters: Adapters,
        journal: JournalReader,
        episodes: Callable[[datetime, datetime], "Awaitable[Book]"],
    ) -> None:
        self._entries, self._adapters, self._reader, self._episodes = entries, adapters, journal, episodes

    def sources(self, window: Window) -> list[Source]:
        """One for the journal, one for what was wrong, one for each backend of pipelines and of metrics, and of alerts
        and deployments where it remembers what was."""
        found = [
            Source(SourceKey("timeline", "journal"), "journal", partial(self._journal, window)),
            Source(EPISODES, "journal", partial(self._wrong, window)),
        ]
        asked: tuple[tuple[str, _Fetch], ...] = (
            ("pipelines", self._events),
            ("metrics", self._firings),
            ("alerts", self._alarms),
            ("deployments", self._warned),
        )
        for port, fetch in asked:
            found += [
                Source(SourceKey("timeline", f"{port}.{entry.name}"), entry.type, partial(fetch, entry.name, window))
                for entry in self._entries[port]
                if port not in _MAY_REMEMBER or remembers(port, entry.type)
            ]
        return found

    async def _journal(self, window: Window) -> tuple[Item, ...]:
        from console.reading import history

        now = moment.utc_now()
        since, until = window()
        actions = await self._reader.actions(limit=ACTION_LIMIT)
        records = await self._reader.records_here(since=since)
        watched = await self._reader.watched()
        return (
            *history.of_actions(actions, _reach(since, until), until, now=now, records=records),
            *history.of_moves(actions, records, since, until, now=now),
            *history.of_notes(records, since, until, now=now),
            *history.of_watches(watched, since, until, _reach(since, until)),
        )

    async def _wrong(self, window: Window) -> tuple[Item, ...]:
        from console.reading.told_episodes import of_episodes

        since, until = window()
        return tuple(of_episodes(await self._episodes(_reach(since, until), until), since, until))

    async def _events(self, name: str, window: Window) -> tuple[Item, ...]:
        return tuple(await self._adapters.of(PIPELINES, name).events(*window()))

    async def _alarms(self, name: str, window: Window) -> tuple[Item, ...]:
        return tuple(await cast("RememberingAlerts", self._adapters.of(ALERTS, name)).events(*window()))

    async def _warned(self, name: str, window: Window) -> tuple[Item, ...]:
        switch = cast("RememberingDeployments", self._adapters.of(DEPLOYMENTS, name))
        return tuple(await switch.events(*window()))

    async def _firings(self, name: str, window: Window) -> tuple[Item, ...]:
        from console.reading.history import of_metrics

        return tuple(await of_metrics(self._adapters.of(METRICS, name), name, *window()))
