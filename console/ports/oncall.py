"""Who is on call: schedules, by the clock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from backends.command_line import command
from backends.errors import BackendError
from backends.models import OnCall
from console import moment
from console.ports.asking import warning
from console.ports.entry import Entry
from console.ports.record import Adapters, Desk, Noun, Place, Port, Problem, Reading
from console.ports.store import Snapshot
from panels.kinds.oncall import gap, people, says
from panels.words import ago

if TYPE_CHECKING:
    from backends.ports import Schedules


async def _fetch(desk: Desk, name: str) -> tuple[OnCall, ...]:
    return tuple(await desk.adapters.of(ONCALL, name).on_call(moment.utc_now()))


def _standing(snapshots: Sequence[Snapshot]) -> list[OnCall]:
    """As it is now: a shift ends by the clock, not with the next read."""
    now = moment.utc_now()
    return [item.seen(now) for snapshot in snapshots for item in snapshot.items]


def _problems(items: Sequence[OnCall]) -> list[Problem]:
    """Each schedule that has nobody now; what nobody knows is no news of it."""
    return [
        Problem(
            kind="oncall", ref=item.ref, state=item.state, subject=item.schedule,
            text=f"nobody is on call by {item.schedule}", since=item.now.since,
        )
        for item in items if item.now is not None and not item.now.who
    ]  # fmt: skip


def called(adapters: Adapters, items: Iterable[OnCall], identity: str) -> tuple[str, ...]:
    """What whoever is here is called: by the login of `identity`, and where the sources of `items` ask as a user."""
    names = [identity.partition("@")[0]]
    for backend in dict.fromkeys(item.backend for item in items):
        with contextlib.suppress(BackendError):
            names += getattr(adapters.of(ONCALL, backend), "me", ())
    return tuple(names)


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    found = []
    for item in await adapters.of(ONCALL, entry.name).on_call(moment.utc_now()):
        if item.state == "unknown":
            found.append(warning("unknown", says(item), "see its source, and the keys of this entry"))
        elif item.state != "ok":
            found.append(warning("nobody", says(item), "fill the schedule where it is kept"))
        elif (hole := gap(item)) is not None and hole.since is not None and hole.until is not None:
            begins, lasts = hole.since - item.at, hole.until - hole.since
            words = f"{item.schedule}: {people(hole)} is on call in {ago(begins.total_seconds())}"
            words += f", for {ago(lasts.total_seconds())}"
            found.append(warning("gap", words, "fill the schedule where it is kept"))
    return found


ONCALL: Port[Schedules, OnCall] = Port(
    name="oncall",
    about="who is on call, by the schedules of other systems.",
    protocol="backends.ports:Schedules",
    ask=_ask,
    reading=Reading(
        item=OnCall,
        fetch=_fetch,
        interval_s=60.0,
        standing=_standing,
        single="schedule",
        title=lambda item: item.schedule,
        says=says,
        problems=_problems,
        empty="No schedules of people on call",
    ),
    noun=Noun(
        name="oncall", help="Who is on call now and next, or at another time.", command="console.cli.oncall:oncall"
    ),
    documents={"oncall": "console.cli.oncall:OnDuty"},
    shown_as="oncall",
    command_of=lambda _, context: command("oncall", context=context),
    place=Place(kind="panels.kinds.oncall:ONCALL", title="On call"),
)
