"""`teal status`: every panel once."""

from collections.abc import Sequence

import click

from actions.models import Action, OpenConsole
from backends.models import Alert, CheckResult, Deployment, Health, Panel, PipelineRun, QualityScore, worst
from backends.text import clean
from console import moment
from console.cli.options import Common, common_options
from console.cli.reading import read
from console.cli.showing import Answer
from console.cli.writing import action_health
from console.printing.output import SCHEMA_PREFIX, StatusDocument, paint, use_color, worst_first
from console.printing.tables import View, item_table, log_line, on_words, reasons
from console.reading.answers import error_reports, journal_reports, source_reports
from console.reading.derive import latest_runs, merged_lines, panel_health
from console.reading.store import Snapshot
from console.session import PANELS, Acting, Session
from panels.words import UNICODE, ago

LOG_LINES = 10
WHY_CHARS = 160
_KINDS: tuple[tuple[Panel, type], ...] = (
    ("pipelines", PipelineRun),
    ("quality", QualityScore),
    ("alerts", Alert),
    ("deployments", Deployment),
    ("checks", CheckResult),
)


@click.command()
@common_options()
def status(common: Common) -> int:
    """Every panel once. Alone, with no config, it starts the sandbox."""

    async def answer(session: Session) -> Answer:
        acting = await session.open_actions()
        on = [] if acting.unknown else await session.orders.who_is_on()
        return Answer(_document(session, acting, on), lambda: _lines(session, acting, on, common))

    return read(common, PANELS, answer, start_sandbox=True)


def _document(session: Session, acting: Acting, on: Sequence[OpenConsole]) -> StatusDocument:
    sources = session.sources()
    errors = [*error_reports(sources), *journal_reports(acting.unknown)]
    return StatusDocument(
        schema=SCHEMA_PREFIX + "status",
        generated_at=moment.utc_now(),
        context=session.context.name,
        health=_health(session, acting),
        partial=bool(errors),
        actions=acting.actions,
        on=on,
        sources=source_reports(sources),
        errors=errors,
        **{panel: _items(session, panel) for panel in PANELS},
    )


def _health(session: Session, acting: Acting) -> Health:
    """The worst of everything: an action that nobody runs, and not to know who acts, are two of them."""
    found = [panel_health(session.sources()), *(action_health(action) for action in acting.actions)]
    return worst([*found, "unknown"] if acting.unknown else found)


def _items(session: Session, panel: Panel) -> Sequence[object]:
    if panel == "logs":
        return merged_lines(session.store.snapshots("logs"))
    items = session.store.items(panel)
    return worst_first(latest_runs(items) if panel == "pipelines" else items)


def _lines(session: Session, acting: Acting, on: Sequence[OpenConsole], common: Common) -> list[str]:
    view = View.at_now(session.context.zone)
    color = use_color(common.color)
    health = _health(session, acting)
    live = "   ".join(f"{item.service} live {item.live.upper()}" for item in session.store.items("deployments"))
    lines = [paint(f"{session.context.title}  {UNICODE.of(health)} {health}   {live}", health, color=color)]
    for panel, kind in _KINDS:
        snapshots = [snapshot for snapshot in session.sources() if snapshot.key.panel == panel]
        if not snapshots:
            continue
        lines += ["", paint(_title(session, panel), panel_health(snapshots), color=color)]
        items = _items(session, panel)
        lines += [f"  {line}" for line in item_table(kind, items, view)] if items else []
        whys = reasons([item for item in items if isinstance(item, Deployment)])
        lines += [f"  {clean(why.partition('; ')[0], WHY_CHARS)}" for why in whys]  # in full: `teal deploy status`
        lost = [snapshot for snapshot in snapshots if snapshot.error is not None or snapshot.fetched_at is None]
        lines += [f"  {UNICODE.unknown} {snapshot.key.name}  {_why_lost(snapshot)}" for snapshot in lost]
        parts = [(snapshot.key.name, part.message) for snapshot in snapshots for part in snapshot.missing]
        lines += [f"  {UNICODE.unknown} {name}  partial: {words}" for name, words in parts]
        lines += [] if items or lost or parts else [f"  {_empty(panel, len(snapshots))}"]
    logs = merged_lines(session.store.snapshots("logs"))
    if logs:
        lines += ["", "Logs"] + [f"  {log_line(entry, view.zone)}" for entry in logs[-LOG_LINES:]]
    if on:
        lines += ["", "On  " + ", ".join(on_words(console, view.zone) for console in on)]
    if acting.unknown:
        lines += ["", "Open actions", f"  {UNICODE.unknown} {acting.unknown}"]
    elif acting.actions:
        lines += ["", "Open actions"] + [f"  {line}" for line in item_table(Action, acting.actions, view)]
    return lines


def _title(session: Session, panel: Panel) -> str:
    counts: dict[str, int] = {}
    for item in _items(session, panel):
        counts[getattr(item, "health", "unknown")] = counts.get(getattr(item, "health", "unknown"), 0) + 1
    words = [f"{counts[word]} {word}" for word in ("critical", "unknown", "warning") if word in counts]
    ages = [age for snapshot in session.store.snapshots(panel) if (age := snapshot.age_s()) is not None]
    return " · ".join([panel.capitalize(), *words, ago(max(ages, default=None))])


def _why_lost(snapshot: Snapshot) -> str:
    reason = snapshot.error.message if snapshot.error else "no answer in time"
    stale = f"stale {ago(snapshot.age_s())}" if snapshot.fetched_at else "unknown"
    return f"{stale}: {reason}"


def _empty(panel: Panel, sources: int) -> str:
    noun = {"pipelines": "No runs", "alerts": "No alerts firing"}.get(panel, f"No {panel}")
    return f"{noun} ({sources} source{'s' if sources > 1 else ''})"
