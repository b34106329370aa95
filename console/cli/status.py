"""`teal status`: every panel once."""

from collections.abc import Sequence
from typing import Any

import click

from actions.models import Action, OpenConsole
from backends.models import Deployment, Health, Panel, worst
from backends.text import clean, counted, first_line
from console import moment
from console.cli.options import Common, common_options
from console.cli.reading import read
from console.cli.showing import Answer
from console.cli.whole_help import WholeCommand
from console.cli.writing import action_health
from console.ports.derive import merged_lines
from console.ports.record import Reading
from console.ports.store import Snapshot
from console.ports.table import PORTS, listed, readings
from console.printing.causes import cause_lines
from console.printing.output import SCHEMA_PREFIX, StatusDocument, paint, status_shape, use_color, worst_first
from console.printing.tables import View, item_table, log_line, on_words, reasons
from console.reading.answers import error_reports, journal_reports, source_reports
from console.reading.cause_reports import cause_reports
from console.reading.health import panel_health
from console.reading.not_well import causes_of
from console.session import Acting, Session
from panels.kinds.cause import Cause
from panels.words import UNICODE, ago, zone_name

LOG_LINES = 10
WHY_CHARS = 160


@click.command(cls=WholeCommand)
@common_options()
def status(common: Common) -> int:
    """Print every panel once. Without a config it starts the sandbox."""

    async def answer(session: Session) -> Answer:
        acting = await session.open_actions()
        on = [] if acting.unknown else await session.orders.who_is_on()
        causes = await causes_of(session.store, session.links, moment.utc_now())
        return Answer(_document(session, acting, on, causes), lambda: _lines(session, acting, on, causes, common))

    return read(common, tuple(name for name, _ in readings()), answer, start_sandbox=True)


def _document(session: Session, acting: Acting, on: Sequence[OpenConsole], causes: Sequence[Cause]) -> StatusDocument:
    sources = session.sources()
    errors = [*error_reports(sources), *journal_reports(acting.unknown)]
    return status_shape()(
        schema=SCHEMA_PREFIX + "status",
        generated_at=moment.utc_now(),
        context=session.context.name,
        health=_health(session, acting),
        partial=bool(errors),
        actions=acting.actions,
        on=on,
        causes=cause_reports(causes),
        sources=source_reports(sources),
        errors=errors,
        **{listed()[name]: _items(session, name, reading) for name, reading in readings()},
    )


def _health(session: Session, acting: Acting) -> Health:
    """The worst of everything: an action that nobody runs, and not to know who acts, are two of them."""
    found = [panel_health(session.sources()), *(action_health(action) for action in acting.actions)]
    return worst([*found, "unknown"] if acting.unknown else found)


def _items(session: Session, panel: Panel, reading: Reading[Any, Any]) -> list[Any]:
    found = reading.standing(session.store.snapshots(panel))
    return worst_first(found) if reading.checked else found


def _lines(
    session: Session, acting: Acting, on: Sequence[OpenConsole], causes: Sequence[Cause], common: Common
) -> list[str]:
    view = View.at_now(session.context.zone)
    color = use_color(common.color)
    health = _health(session, acting)
    live = "   ".join(
        f"{item.service} live {item.live.upper()}{' ARMED' if item.armed else ''}"
        for item in session.store.items("deployments")
    )
    first = paint(f"{session.context.title}  {UNICODE.of(health)} {health}   {live}", health, color=color)
    lines = [f"{first}   times in {zone_name(view.now, view.zone)}"]
    if folded := cause_lines(causes, view):
        lines += ["", "Causes", *(f"  {line}" for line in folded)]
    for panel, reading in readings():
        if not reading.checked:
            continue  # below
        snapshots = [snapshot for snapshot in session.sources() if snapshot.key.panel == panel]
        if not snapshots:
            continue
        items = _items(session, panel, reading)
        lines += ["", paint(_title(session, panel, items), panel_health(snapshots), color=color)]
        lines += [f"  {line}" for line in item_table(reading.item, items, view)] if items else []
        whys = reasons([item for item in items if isinstance(item, Deployment)])
        # In full: `teal deploy status`.
        lines += [f"  {clean(first_line(why).partition('; ')[0], WHY_CHARS)}" for why in whys]
        lost = [snapshot for snapshot in snapshots if snapshot.error is not None or snapshot.fetched_at is None]
        lines += [f"  {UNICODE.unknown} {snapshot.key.name}  {_why_lost(snapshot)}" for snapshot in lost]
        parts = [(snapshot.key.name, part.message) for snapshot in snapshots for part in snapshot.missing]
        lines += [f"  {UNICODE.unknown} {name}  partial: {words}" for name, words in parts]
        lines += [] if items or lost or parts else [f"  {_empty(reading.empty or f'No {panel}', len(snapshots))}"]
    logs = merged_lines(session.store.snapshots("logs"))
    if logs:
        lines += ["", "Logs"] + [f"  {log_line(entry, view.zone)}" for entry in logs[-LOG_LINES:]]
    if on:
        lines += ["", f"On  {on_words(on, view.zone)}"]
    if acting.unknown:
        lines += ["", "Open actions", f"  {UNICODE.unknown} {acting.unknown}"]
    elif acting.actions:
        lines += ["", "Open actions"] + [f"  {line}" for line in item_table(Action, acting.actions, view)]
    return lines


def _title(session: Session, panel: Panel, items: Sequence[Any]) -> str:
    counts: dict[str, int] = {}
    for item in items:
        counts[getattr(item, "health", "unknown")] = counts.get(getattr(item, "health", "unknown"), 0) + 1
    words = [f"{counts[word]} {word}" for word in ("critical", "unknown", "warning") if word in counts]
    ages = [age for snapshot in session.store.snapshots(panel) if (age := snapshot.age_s()) is not None]
    place = PORTS[panel].place
    return " · ".join([place.title if place else panel.capitalize(), *words, ago(max(ages, default=None))])


def _why_lost(snapshot: Snapshot) -> str:
    reason = snapshot.error.message if snapshot.error else "no answer in time"
    stale = f"stale {ago(snapshot.age_s())}" if snapshot.fetched_at else "unknown"
    return f"{stale}: {reason}"


def _empty(words: str, sources: int) -> str:
    return f"{words} ({counted(sources, 'source')})"
