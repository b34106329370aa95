"""Errors that services raise: what is new since the version that takes traffic, and what is back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backends.models import Deployment, ErrorIssue
from console.ports.entry import Entry
from console.ports.record import Adapters, Desk, Noun, Place, Port, Problem, Reading
from console.ports.store import Snapshot
from panels.kinds.errors import says

if TYPE_CHECKING:
    from backends.ports import Errors, LiveVersions

WAIT_S = 5.0
"""For the first word of the deployments: without it nobody knows what is new."""


async def _fetch(desk: Desk, name: str) -> tuple[ErrorIssue, ...]:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S):
            await _deployments_read(desk)
    live = {snapshot.key.name: _live(snapshot) for snapshot in desk.store.snapshots("deployments")}
    return tuple(await desk.adapters.of(ERRORS, name).issues(live))


async def _deployments_read(desk: Desk) -> None:
    """Returns once each of them was read, or failed to be."""
    changed = asyncio.Event()
    stop = desk.store.listen(lambda _: changed.set())
    try:
        while any(snapshot.unread for snapshot in desk.store.snapshots("deployments")):
            await changed.wait()
            changed.clear()
    finally:
        stop()


def _live(snapshot: Snapshot) -> LiveVersions:
    """The versions that take traffic, as far as all of them are known now."""
    from backends.ports import LiveVersions

    if snapshot.error is not None or not snapshot.items:
        why = snapshot.error.message if snapshot.error is not None else "not read yet"
        return LiveVersions(unknown=f"which version of {snapshot.key.name} is live is not known: {why}")
    item: Deployment = snapshot.items[0]
    sides = [*item.taking.values()] or [side for name, side in item.colors.items() if name == item.live]
    versions = tuple(dict.fromkeys(side.version for side in sides if side.version))
    if not sides or item.live == "unknown" or any(not side.version for side in sides):
        return LiveVersions(versions, f"which version of {item.service} is live is not known")
    return LiveVersions(versions)


def _problems(items: Sequence[ErrorIssue]) -> list[Problem]:
    """Each that has turned; what was there before is no news, and neither is what nobody knows."""
    return [
        Problem(
            kind="error", ref=item.ref, state=item.health, subject=item.ref,
            text=f"error of {item.service or item.project}: {says(item)}",
        )
        for item in items if item.has_turned and item.health != "ok"
    ]  # fmt: skip


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    """Whether its projects are there, and may be read; which versions are live is not asked for that."""
    await adapters.of(ERRORS, entry.name).issues({})
    return []


ERRORS: Port[Errors, ErrorIssue] = Port(
    name="errors",
    about="what services raise, by trackers of errors.",
    protocol="backends.ports:Errors",
    ask=_ask,
    reading=Reading(
        item=ErrorIssue,
        fetch=_fetch,
        interval_s=60.0,
        beside=("deployments",),
        single="error",
        listed_as="issues",  # `errors` says there what failed
        title=lambda item: item.title,
        says=says,
        at=lambda item: item.last_seen,
        problems=_problems,
        empty="No open errors",
    ),
    noun=Noun(
        name="error",
        help="Errors that services raise:",
        listed="Those that are open, new ones and those that are back first.",
        shown="One of them: where it was raised, how often, whom it hit.",
        lines="console.cli.error:lines",
    ),
    place=Place(kind="panels.kinds.errors:ERRORS", title="Errors"),
)
