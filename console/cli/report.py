"""`teal report`: an incident, what the next shift takes over, or how well changes are delivered, as Markdown."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime

import click
from msgspec import Struct
from msgspec.structs import replace

from actions.dora import Dora, dora
from actions.journal.audit import AuditRecord
from actions.journal.episodes import UNWATCHED
from actions.models import Action
from backends.errors import BackendError
from backends.models import Freeze, Item
from console import moment
from console.cli.options import TIME, Common, common_options
from console.cli.reading import read
from console.cli.showing import Answer
from console.cli.timeline import PANELS
from console.cli.whole_help import WholeCommand
from console.errors import EXIT_USAGE, CommandError
from console.ports.pipelines import PIPELINES
from console.ports.store import Snapshot, SourceError, SourceKey
from console.printing.dora_report import dora_lines
from console.printing.output import document
from console.printing.report import Facts, OpenItem, handover, incident, open_items
from console.reading.cause_reports import CauseReport, cause_reports
from console.reading.health import panel_health
from console.reading.not_well import causes_of
from console.reading.timeline_feeds import ACTION_LIMIT
from console.session import Session
from console.silences import read_silences
from console.typed_times import TypedTime
from panels.kinds.timeline import events

SINCE, DORA_SINCE = TypedTime(age_s=2 * 3600.0), TypedTime(age_s=30 * 86_400.0)
DORA_ACTIONS = 5000  # of several a day, a year's


class Report(Struct, frozen=True, kw_only=True):
    """A report and what it is of; `open`, `causes`: what a handover lists, `dora`: the four numbers by service."""

    about: str
    since: datetime
    until: datetime
    markdown: str
    open: Sequence[OpenItem] = ()
    causes: Sequence[CauseReport] = ()
    dora: Sequence[Dora] = ()


@click.command(cls=WholeCommand)
@common_options()
@click.option("--since", type=TIME, metavar="T", help="How far back, or from when.  [default: 2h; 30d with --dora]")
@click.option("--until", type=TIME, metavar="T", help="Up to when.  [default: now]")
@click.option(
    "--handover", "for_handover", is_flag=True, help="What is open: actions, silences, what is paused or red."
)
@click.option("--dora", "for_dora", is_flag=True, help="How often, how fast, how many failed, how fast they were back.")
def report(common: Common, since: TypedTime | None, until: TypedTime | None, for_handover: bool, for_dora: bool) -> int:
    """Write an incident report as Markdown: timeline, evidence, actions with their reasons."""
    if for_dora and for_handover:
        raise CommandError(EXIT_USAGE, "usage", "either --handover or --dora", fix="teal report --dora")
    if for_dora:
        return _dora(common, since or DORA_SINCE, until)

    async def answer(session: Session) -> Answer:
        open_: list[OpenItem] = []
        if for_handover:
            silences, pipelines = await asyncio.gather(read_silences(session), _pipelines(session))
            freezes, rejections, lost = await _standing(session)
            facts = await _facts(session, [*silences, *pipelines, *lost])
            causes = await causes_of(session.store, session.links, facts.made_at)
            facts = replace(facts, causes=causes)
            open_ = open_items(
                facts,
                silences=[silence for snapshot in silences for silence in snapshot.items],
                pipelines=[(snapshot.key.name, info) for snapshot in pipelines for info in snapshot.items],
                records=await _records(session, facts.since),
                freezes=freezes,
                rejections=rejections,
            )
            lines, about = handover(open_, facts), "handover"
        else:
            facts = await _facts(session, ())
            lines, about = incident(facts), "incident"
        made = Report(about=about, since=facts.since, until=facts.until, markdown="\n".join(lines), open=open_,
                      causes=cause_reports(facts.causes))  # fmt: skip
        health = panel_health(session.sources())
        shown = document("report", [made], context=session.context.name, snapshots=facts.sources, health=health)
        return Answer(shown, lambda: lines)

    return read(common, PANELS, answer, since=since or SINCE, until=until)


def _dora(common: Common, since: TypedTime, until: TypedTime | None) -> int:
    async def answer(session: Session) -> Answer:
        begin, end = session.window()
        rows = dora(await session.actions(limit=DORA_ACTIONS), since=begin, until=end)
        lines = dora_lines(session.context.title or session.context.name, rows, begin, end, session.context.zone)
        made = Report(about="dora", since=begin, until=end, markdown="\n".join(lines), dora=rows)
        shown = document("report", [made], context=session.context.name, health="ok")
        return Answer(shown, lambda: lines)

    return read(common, (), answer, since=since, until=until)


async def _facts(session: Session, more: Sequence[Snapshot]) -> Facts:
    since, until = session.window()
    items: list[Item] = [item for panel in PANELS for item in session.store.items(panel)]
    actions, journal = await _actions(session)
    return Facts(
        title=session.context.title, made_at=moment.utc_now(), since=since, until=until, zone=session.context.zone,
        sources=[*session.sources(), *journal, *more], events=events(items, since, until, session.context.zone),
        actions=actions, items=items, audit_head=await _head(session),
        unwatched_until=await _unwatched_until(session, since, until),
    )  # fmt: skip


async def _unwatched_until(session: Session, since: datetime, until: datetime) -> datetime | None:
    """When somebody is first known to have looked; None where that is at the beginning of the window, or before."""
    with contextlib.suppress(BackendError):  # the actions have said it
        first = min((watch.opened_at for watch in await session.orders.watched()), default=until)
        return min(first, until) if first - since >= UNWATCHED else None
    return None


async def _head(session: Session) -> str:
    with contextlib.suppress(BackendError):  # the actions have said it
        head = await session.orders.audit_head()
        return str(head) if head is not None and head.seq else ""
    return ""


async def _actions(session: Session) -> tuple[list[Action], list[Snapshot]]:
    """What the journal knows; one that can not be read is a source that is missing."""
    try:
        return await session.actions(limit=ACTION_LIMIT), []
    except BackendError as error:
        return [], [Snapshot(key=SourceKey("timeline", "journal"), type="journal", error=SourceError.of(error))]


async def _records(session: Session, since: datetime) -> list[AuditRecord]:
    with contextlib.suppress(BackendError):  # the actions have said it
        return await session.orders.records_here(since=since)
    return []


async def _standing(session: Session) -> tuple[list[tuple[str, Freeze]], list[Action], list[Snapshot]]:
    """The freezes, with their service, and the rejections that stand against what is deployed from here; a journal
    that can not be read is a source that is missing."""
    freezes, rejections = list[tuple[str, Freeze]](), list[Action]()
    try:
        for entry in session.adapters.context.entries["deployments"]:
            freeze, rejected = await session.orders.standing(entry.name)
            freezes += [(entry.name, freeze)] if freeze is not None else []
            rejections += rejected
    except BackendError as error:
        key = SourceKey("deployments", "freezes and rejections")
        return freezes, rejections, [Snapshot(key=key, type="journal", error=SourceError.of(error))]
    return freezes, rejections, []


async def _pipelines(session: Session) -> list[Snapshot]:
    """What can be triggered, and whether it is paused, of each source."""

    async def one(name: str, kind: str) -> Snapshot:
        key = SourceKey("pipelines", name)
        try:
            async with session.due.kept():
                items = await session.adapters.of(PIPELINES, name).pipelines()
        except BackendError as error:
            return Snapshot(key=key, type=kind, error=SourceError.of(error))
        return Snapshot(key=key, type=kind, items=tuple(items), fetched_at=moment.utc_now())

    entries = session.adapters.context.entries["pipelines"]
    return list(await asyncio.gather(*(one(entry.name, entry.type) for entry in entries)))
