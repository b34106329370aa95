"""`teal timeline`: what changed, in one order, and what changed before it began to go wrong."""

from datetime import datetime

import click
from msgspec import Struct

from backends.models import Panel, TimelineEvent
from console import moment
from console.cli.options import TIME, Common, common_options
from console.cli.reading import read
from console.cli.showing import Answer
from console.cli.whole_help import WholeCommand
from console.printing.output import document
from console.session import Session
from console.typed_times import TypedTime
from panels.kinds.timeline import events
from panels.kinds.timeline_event import Event, sign_of
from panels.words import UNICODE, ago, dated, zone_name

PANELS: tuple[Panel, ...] = ("pipelines", "quality", "alerts", "deployments", "checks", "oncall", "timeline")


class Change(Struct, frozen=True, kw_only=True):
    """One line of the timeline. `t0`: the first of what is wrong; `before_s`: seconds that it came before that.
    `seen_at`: of an end that nobody saw, when it was last seen wrong: it ended at some time between that and `at`."""

    at: datetime
    kind: str
    ref: str
    health: str
    text: str
    url: str | None
    t0: bool
    before_s: float | None
    going_on: bool = False
    seen_at: datetime | None = None


def changes(session: Session) -> list[Change]:
    """What the store knows of the window, oldest first."""
    since, until = session.window()
    found = events(
        [item for panel in PANELS for item in session.store.items(panel)], since, until, session.context.zone
    )
    first = next((event.at for event in found if event.t0), None)
    return [_change(event, first) for event in found]


def _change(event: Event, first: datetime | None) -> Change:
    before_s = (first - event.at).total_seconds() if first is not None and event.before else None
    url = getattr(event.item, "url", None) or getattr(event.item, "source_url", None)
    ref = getattr(event.item, "ref", event.ref)
    return Change(
        at=event.at, kind=event.kind, ref=ref, health=event.health, text=event.text, url=url, t0=event.t0,
        before_s=before_s, going_on=event.sign == "running",
        seen_at=event.item.seen_at if isinstance(event.item, TimelineEvent) and event.item.over else None,
    )  # fmt: skip


def lines_of(found: list[Change], session: Session) -> list[str]:
    """As a table: time, state, T0, words, how long before."""
    zone, now = session.context.zone, moment.utc_now()
    lines = [f"Times in {zone_name(found[-1].at, zone)}"] if found else []
    for change in found:
        before = f"  ({ago(change.before_s)} before)" if change.before_s is not None else ""
        mark = "T0" if change.t0 else "  "
        lines.append(f"{dated(change.at, zone, now)}  {UNICODE.of(_sign(change))} {mark}  {change.text}{before}")
    return lines


def _sign(change: Change) -> str:
    return sign_of(change.kind, change.health, going_on=change.going_on)


@click.command(cls=WholeCommand)
@common_options()
@click.option("--since", type=TIME, default="1h", show_default=True, metavar="T", help="How far back, or from when.")
@click.option("--until", type=TIME, metavar="T", help="Up to when.  [default: now]")
def timeline(common: Common, since: TypedTime, until: TypedTime | None) -> int:
    """What changed: runs, switches, alerts, quality, notes, actions, in one order."""

    async def answer(session: Session) -> Answer:
        found = changes(session)
        shown = document(
            "timeline", found, context=session.context.name, snapshots=session.sources(), limit=common.limit
        )
        return Answer(shown, lambda: lines_of(list(shown.items), session))

    return read(common, PANELS, answer, since=since, until=until)
