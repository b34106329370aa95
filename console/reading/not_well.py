"""What is not well now, of all ports, and by which causes: worked out anew only when anything has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from backends.models import Alert
from console.ports.links import Links
from console.ports.store import Snapshot, Store
from console.ports.table import readings

if TYPE_CHECKING:
    from panels.kinds.cause import Cause

AT_ONCE = 200
"""So many items are gone through where they are; more in a thread, so that no key waits."""
BEFORE = ("timeline", "deployments")


class Known(Struct, frozen=True):
    """What is not well, what happened before, all scores; and the causes."""

    things: Sequence[Any] = ()
    events: Sequence[Any] = ()
    scores: Sequence[Any] = ()
    causes: Sequence[Cause] = ()


def not_well(snapshots: Sequence[Snapshot]) -> list[Any]:
    """Of all ports what stands now and is not well, and what is acknowledged, which is not well either."""
    found: list[Any] = []
    for name, reading in readings():
        if reading.checked:
            items = reading.standing([snapshot for snapshot in snapshots if snapshot.key.panel == name])
            found += [item for item in items if item.health != "ok" or _is_acknowledged(item)]
    return found


def _is_acknowledged(item: Any) -> bool:
    return isinstance(item, Alert) and item.state == "acknowledged"


def known(snapshots: Sequence[Snapshot], links: Links, now: datetime, before: Known) -> Known:
    """The causes of what `snapshots` tell; `before` where nothing of it has changed."""
    things = not_well(snapshots)
    events = [item for each in snapshots if each.key.panel in BEFORE for item in each.items]
    scores = [item for each in snapshots if each.key.panel == "quality" for item in each.items]
    if (things, events, scores) == (before.things, before.events, before.scores):
        return before
    from console.reading.one_cause import fold

    return Known(things, events, scores, fold(things, events, links, now, scores=scores))


async def known_beside(snapshots: Sequence[Snapshot], links: Links, now: datetime, before: Known) -> Known:
    """The same; in a thread where there is much to go through."""
    if sum(len(snapshot.items) for snapshot in snapshots) <= AT_ONCE:
        return known(snapshots, links, now, before)
    return await asyncio.to_thread(known, snapshots, links, now, before)


async def causes_of(store: Store, links: Links, now: datetime) -> Sequence[Cause]:
    """Those of what is known now, once."""
    return (await known_beside(store.snapshots(), links, now, Known())).causes


class Causes:
    """Those of a store. `read` is called after it has changed, by whoever shows them."""

    def __init__(self, store: Store, links: Links) -> None:
        self._store, self._links = store, links
        self._known = Known()
        self._seen: list[tuple[Any, ...]] = []
        self._reading = self._again = False

    @property
    def found(self) -> Sequence[Cause]:
        """As they were last worked out, the worst first."""
        return self._known.causes

    def of(self, ref: str) -> Cause | None:
        """The one that a thing belongs to now."""
        return next((cause for cause in self.found if any(each.ref == ref for each in cause.members)), None)

    async def read(self, now: datetime) -> bool:
        """Work them out where anything was read since; True where they are others then. One at a time: who comes
        meanwhile is served by the one that runs."""
        if self._reading:
            self._again = True
            return False
        self._reading, before = True, self._known
        try:
            self._again = True
            while self._again:
                self._again = False
                await self._work_out(now)
        finally:
            self._reading = False
        return self._known is not before

    async def _work_out(self, now: datetime) -> None:
        snapshots = self._store.snapshots()
        seen = [snapshot.items for snapshot in snapshots]
        if len(seen) == len(self._seen) and all(new is old for new, old in zip(seen, self._seen, strict=True)):
            return
        self._seen = seen
        self._known = await known_beside(snapshots, self._links, now, self._known)
