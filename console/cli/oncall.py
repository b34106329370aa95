"""`teal oncall`: who is on call now and next, or at another time, of the past or to come."""

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from functools import partial

import click

from backends.models import Health, OnCall, worst
from console import moment
from console.cli.options import TIME, Common, common_options
from console.cli.reading import READ_TIMEOUT_S, read
from console.cli.showing import Answer
from console.cli.whole_help import WholeCommand
from console.errors import EXIT_USAGE, CommandError
from console.ports.oncall import ONCALL, called
from console.ports.store import Snapshot, SourceKey
from console.printing.output import document, worst_first
from console.printing.tables import View, item_table
from console.reading.adapters import Adapters
from console.reading.feeds import Source, read_once
from console.session import Session
from console.typed_times import TypedTime
from panels.kinds.oncall import is_me, when
from panels.words import zone_name

REACH = timedelta(days=3653)


class OnDuty(OnCall, frozen=True, kw_only=True):
    """A schedule, and whether whoever asks (`you`, by the login) is on call by it."""

    you: bool = False


@click.command(cls=WholeCommand)
@common_options()
@click.option("--at", type=TIME, metavar="T", help="At that time: 18:00 (of today), 2026-12-24T18:00, 2h (ago).")
def oncall(common: Common, at: TypedTime | None) -> int:
    """Who is on call now and next, or at another time."""
    if at is not None and common.watch_s is not None:
        raise CommandError(EXIT_USAGE, "usage", "--at and --watch exclude each other")

    async def answer(session: Session) -> Answer:
        zone, reading = session.context.zone, ONCALL.reading
        assert reading is not None
        if at is None:
            asked, snapshots = moment.utc_now(), session.sources()
            items = reading.standing(snapshots)
        else:
            asked = _asked(at, zone)
            snapshots = await _read_at(session.adapters, asked, common.timeout_s or READ_TIMEOUT_S)
            items = [item for snapshot in snapshots for item in snapshot.items]
        me = called(session.adapters, items, session.context.identity)
        found = [_on_duty(item, me) for item in worst_first(items)]
        lost: list[Health] = ["unknown" for snapshot in snapshots if snapshot.error is not None or snapshot.missing]
        shown = document(
            "oncall", found, context=session.context.name, snapshots=snapshots, limit=common.limit,
            health=worst([item.health for item in found] + lost) if found or lost else "ok",
        )  # fmt: skip
        return Answer(shown, lambda: _lines(shown.items, View(asked, zone), is_now=at is None))

    return read(common, ("oncall",) if at is None else (), answer)


def _asked(at: TypedTime, zone: tzinfo) -> datetime:
    with contextlib.suppress(OverflowError):  # a year that no calendar has
        asked = at.of_today(zone)
        if abs(asked - moment.utc_now()) <= REACH:
            return asked
    words = "--at: it is further away than any schedule goes"
    raise CommandError(EXIT_USAGE, "usage", words, fix="write a time within ten years")


async def _read_at(adapters: Adapters, at: datetime, deadline_s: float) -> list[Snapshot]:
    """What each source says of that time."""
    sources = [
        Source(SourceKey(ONCALL.name, entry.name), entry.type, partial(_ask, adapters, entry.name, at))
        for entry in adapters.context.entries[ONCALL.name]
    ]
    return await read_once(sources, deadline_s=deadline_s)


async def _ask(adapters: Adapters, name: str, at: datetime) -> tuple[OnCall, ...]:
    return tuple(await adapters.of(ONCALL, name).on_call(at))


def _on_duty(item: OnCall, me: Sequence[str]) -> OnDuty:
    return OnDuty(**{name: getattr(item, name) for name in item.__struct_fields__}, you=is_me(item.now, me))


def _lines(items: Sequence[OnDuty], view: View, *, is_now: bool) -> list[str]:
    zone = zone_name(view.now, view.zone)
    head = f"Times in {zone}" if is_now else f"At {view.now.astimezone(view.zone):%a %Y-%m-%d %H:%M} {zone}"
    return [head, *item_table(OnCall, items, view), *(_you(item, view, is_now=is_now) for item in items if item.you)]


def _you(item: OnDuty, view: View, *, is_now: bool) -> str:
    ends = item.now.until if item.now is not None else None
    until = f" until {when(ends, view.now, view.zone)} {zone_name(ends, view.zone)}" if ends is not None else ""
    return f"{item.schedule}: you are on call{'' if is_now else ' then'}{until}"
