"""From what the store knows to what the panels show."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from backends.models import (
    CheckResult,
    Deployment,
    Finding,
    Health,
    Item,
    LogEntry,
    OnCall,
    severity_rank,
    worst,
)
from backends.text import clean, first_line
from console.ports.record import Reading
from console.ports.store import Snapshot, SourceKey, Store
from console.ports.table import PORTS, reading_of, readings
from console.reading.health import panel_health
from panels.columns import Tone
from panels.header import Trouble
from panels.kinds.deployments import action_words as deployment_action
from panels.kinds.deployments import controller_words, failures, unwatched
from panels.kinds.timeline import events
from panels.kinds.timeline_event import Event
from panels.sources import Source
from panels.words import Symbols, ago

if TYPE_CHECKING:
    from actions.models import Action

WHY_CHARS = 34  # what is to be done about it must fit beside it on 80 columns
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def source_of(snapshot: Snapshot, now: datetime) -> Source:
    """A snapshot as a panel speaks of it."""
    error = snapshot.error or next(iter(snapshot.missing), None)
    return Source(
        name=snapshot.key.name,
        type=snapshot.type,
        fetched_at=snapshot.fetched_at,
        trust=snapshot.trust(now) if snapshot.fetched_at is not None or snapshot.error is not None else "ok",
        error=error.message if error else "",
        fix=error.fix if error else "",
        interval_s=snapshot.interval_s,
        partial=snapshot.error is None and bool(snapshot.missing),
    )


def lost_source(store: Store, panel: str, name: str, now: datetime) -> Source | None:
    """The source of that name where it says nothing new; None where it does, or nobody expects one."""
    snapshot = store.get(SourceKey(panel, name))
    source = source_of(snapshot, now) if snapshot is not None else None
    return source if source is not None and source.lost else None


def unknown_words(source: Source, was: str, now: datetime) -> str:
    """`unknown, last seen 14s ago: ok then`."""
    return f"unknown, last seen {source.age(now)} ago: {was} then"


def standing(store: Store, name: str, at: datetime | None = None) -> list[Item]:
    """What of a port counts now; where `at` is given, of what had begun by then."""
    reading, found = reading_of(name), store.snapshots(name)
    if reading is None:
        return store.items(name)
    if at is not None:
        began = reading.began
        begun = [tuple(item for item in each.items if (since := began(item)) and since <= at) for each in found]
        found = [replace(each, items=items) for each, items in zip(found, begun, strict=True)]
    return reading.standing(found)


def on_call(store: Store, now: datetime) -> list[OnCall]:
    """Each schedule as it is now; of one whose source says nothing new nobody knows, and what it said stays in it."""
    found: list[OnCall] = []
    for snapshot in store.snapshots("oncall"):
        if not source_of(snapshot, now).lost:
            found += [item.seen(now) for item in snapshot.items]
            continue
        name = snapshot.key.name
        none = OnCall(ref=name, backend=name, schedule=name, at=now, state="unknown")
        found += [replace(item, state="unknown") for item in snapshot.items] or [none]
    return found


def log_entries(snapshots: Iterable[Snapshot]) -> list[LogEntry]:
    """The lines of all sources in time order. One without a time of its own stays behind the line before it."""
    timed: list[tuple[datetime, LogEntry]] = []
    for snapshot in snapshots:
        at = _EARLIEST
        for entry in snapshot.items:
            at = entry.at or at
            timed.append((at, entry))
    timed.sort(key=lambda pair: pair[0])
    return [entry for _, entry in timed]


def judged(store: Store) -> list[Snapshot]:
    """The sources of what may be not well."""
    checked = {name for name, reading in readings() if reading.checked}
    return [snapshot for snapshot in store.snapshots() if snapshot.key.panel in checked]


def timeline(store: Store, dated: Store, window: tuple[datetime, datetime], zone: tzinfo) -> list[Event]:
    """What happened within `window`; `dated` has the runs and what was remembered of that time."""
    items: list[Item] = dated.items("timeline")
    for name, reading in readings():
        if reading.checked == "whole":
            items += (dated if reading.past else store).items(name)
    return events(items, *window, zone)


def health(
    store: Store, open_actions: Sequence[Action], now: datetime, notes: Sequence[Finding] = (), blind: str = ""
) -> Health:
    """The worst of everything: an open action that nobody runs is critical, one that is held and a note of the journal
    are warnings, and not to know who acts (`blind` says why) is unknown."""
    found = [panel_health([snapshot], now) for snapshot in store.snapshots()]
    if open_actions:
        from actions.telling import standing

        stands = [standing(action) for action in open_actions]
        found += [word for word in ("critical", "warning") if word in stands]
    found += ["warning"] if any(note.level != "ok" for note in notes) else []
    return worst([*found, "unknown"] if blind or who_acts_unknown(store) else found)


def fails_users(item: Item) -> bool:
    """Whether requests of users fail by it now."""
    return isinstance(item, Deployment) and bool(failures(item))


def who_acts_unknown(store: Store) -> str:
    """Why nobody knows which actions are open, where the journal can not be read; else nothing."""
    return next((item.action_unknown for item in store.items("deployments") if item.action_unknown), "")


def troubles(
    store: Store,
    open_actions: Sequence[Action],
    notes: Sequence[Finding],
    now: datetime,
    symbols: Symbols,
    *,
    over: Collection[str | None] = (),
    blind: str = "",
) -> list[Trouble]:
    """What is not ok among open actions, pauses that nobody watches, checks and sources, the worst first, and what is
    said of the journal; an action that goes on comes before what only warns. Snapshots may be older than the journal:
    of actions that are `over` nothing is said. `blind`: why it can not be read."""
    found: list[tuple[int, Trouble]] = []
    for snapshot in store.snapshots():
        source = source_of(snapshot, now)
        if source.incomplete:
            panel = snapshot.key.panel
            stale = "stale " + source.age(now) if source.fetched_at else "no data"
            words = f"{panel} {source.name} {stale if source.lost else 'a part is missing'}"
            text = f"{words}: {source.error}" if source.error else words
            found.append((severity_rank("unknown"), Trouble("unknown", symbols.unknown, text, snapshot.key)))
        if source.lost or (reading := reading_of(snapshot.key.panel)) is None:
            continue
        if reading.checked == "each":
            found += [_of_check(result, symbols) for result in snapshot.items if result.health != "ok"]
        elif reading.checked and not _has_row(snapshot.key.panel):
            found += _worst_of(reading, snapshot, symbols)
    found.sort(key=lambda pair: pair[0])
    listed = {*(action.id for action in open_actions), *over}
    orders = [replace(_of_action(action, now, symbols), item=action) for action in open_actions]
    for item in store.items("deployments"):
        if isinstance(item, Deployment) and item.action and item.action not in listed:
            orders.append(Trouble("strong", "@", f"{item.service}: {deployment_action(item, now)}"))
        if isinstance(item, Deployment) and item.rollback_failed:  # users may have the bad version: before any check
            what, _, why = first_line(item.rollback_failed).partition(" failed: ")
            text = f"{item.service}: {what} failed, b there tries it again: {why}".removesuffix(": ")
            orders.insert(0, Trouble("critical", symbols.critical, text, item))
        if isinstance(item, Deployment) and unwatched(item):
            orders.append(Trouble("warning", symbols.warning, f"{item.service}: {controller_words(item)}"))
    if blind := blind or who_acts_unknown(store):
        orders.insert(0, Trouble("unknown", symbols.unknown, blind))
    said = [Trouble("warning", symbols.warning, note.text) for note in notes]
    return sorted(orders + [trouble for _, trouble in found], key=urgency) + said


def urgency(trouble: Trouble) -> int:
    """What is critical, an action that waits for a person, what nobody knows, an action that goes on, what warns."""
    if trouble.symbol == "@" and trouble.tone == "warning":
        return 1
    return {"critical": 0, "unknown": 2, "strong": 3}.get(trouble.tone, 4)


def _has_row(panel: str) -> bool:
    """Whether the overview shows it: what it does not show is said on the strip."""
    place = PORTS[panel].place
    return place is not None and bool(place.row)


def _worst_of(reading: Reading[Any, Any], snapshot: Snapshot, symbols: Symbols) -> list[tuple[int, Trouble]]:
    """The worst of what is not ok, and how many more there are."""
    bad = [item for item in reading.standing([snapshot]) if item.health != "ok"]
    if not bad:
        return []
    bad.sort(key=lambda item: severity_rank(item.health))
    health = bad[0].health
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    words = f"{reading.says(bad[0])}{more}"
    return [(severity_rank(health), Trouble(health, symbols.of(health), words, bad[0]))]


def _of_check(result: CheckResult, symbols: Symbols) -> tuple[int, Trouble]:
    return severity_rank(result.state), Trouble(
        result.state, symbols.of(result.state), f"{result.name} {result.message}", result
    )


def _of_action(action: Action, now: datetime, symbols: Symbols) -> Trouble:
    """An open action; one that waits for a person says why, and how it is ended."""
    from actions.journal.steering import possible_orders
    from actions.telling import doing, standing

    what = f"{action.kind} {action.named}"
    if action.orphaned_since is not None:
        state = f"{action.status.replace('_', ' ')}, " if action.status != "running" else ""
        stuck = action.status == "conflict"  # who resumes it finds the same
        no_way = stuck or possible_orders(action, orphaned=True)["resume"]
        ways = "b rolls back" if no_way else "@ opens it, b rolls back"
        sign = f"seen {ago((now - action.orphaned_since).total_seconds())} ago"
        return Trouble("critical", "@", f"{what}: {state}nobody runs it, {sign}; {ways}")
    if action.stopped_pid:
        ways = f"kill -CONT {action.stopped_pid} goes on, b rolls back"
        return Trouble("critical", "@", f"{what}: {doing(action)}; {ways}")
    if action.hold is not None:
        held = ago((now - action.hold.since).total_seconds())
        return Trouble("warning", "@", f"{what} held {held}: {clean(action.hold.why, WHY_CHARS)}; b rolls back")
    tones: dict[str, Tone] = {"critical": "critical", "warning": "warning"}
    return Trouble(tones.get(standing(action), "strong"), "@", action_words(action, symbols))


def action_words(action: Action, symbols: Symbols) -> str:
    """`alice: flip analytics BLUE → GREEN, verify`."""
    from actions.telling import who_does_what

    return who_does_what(action, symbols.arrow)
