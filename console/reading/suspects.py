"""What may have caused a group of troubles, the likeliest first, each with a short sentence that says why."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from actions.kinds import kind_of
from backends.models import Deployment, TimelineEvent
from backends.text import counted, side_name
from console.reading.flow import Flow, Place
from console.reading.troubles import Trouble
from panels.kinds.cause import Cause, Suspect
from panels.words import ago

SHORTLY = timedelta(hours=1)
BY_SCHEDULE = timedelta(hours=6)
"""New code of a pipeline shows at its next run."""
CLOCKS = timedelta(minutes=1)
MOST = 5
_NEAR = 2
_WORD = re.compile(r"[\w][\w.-]*")
_NO_CHANGE = ("note", "unwatched")
_WEAK = ("trigger", "workflow_dispatch", "rerun", "crawl")
"""That somebody let something run changes nothing."""


class Change(Struct, frozen=True):
    """Something that was changed: where, when, in words. `is_strong`: what runs there is another thing since."""

    ref: str
    at: datetime
    text: str
    item: Any
    is_strong: bool


def changes_of(events: Iterable[Any], flow: Flow, now: datetime) -> dict[Place, list[Change]]:
    """What was changed before now, by what it was done to."""
    found: defaultdict[Place, list[Change]] = defaultdict(list)
    told: set[str] = set()
    for event in sorted(events, key=lambda each: isinstance(each, Deployment)):
        change = _change(event, told)
        if change is None or change.at > now:
            continue
        told.add(change.ref)
        names = {*_WORD.findall(change.text), *change.text.split(), *change.ref.split("/")}
        names |= {event.service} if isinstance(event, Deployment) else set()
        for place in dict.fromkeys(place for name in names for place in flow.called(name.strip(".-"))):
            found[place].append(change)
    return found


def _change(event: Any, told: set[str]) -> Change | None:
    if isinstance(event, Deployment):
        switch = event.last_switch
        if switch is None or switch.action in told:
            return None
        by = f" by {switch.by}" if switch.by else ""
        words = f"{event.service} {side_name(switch.from_)} → {side_name(switch.to)}{by}"
        return Change(event.ref, switch.at, words, event, True)
    if not isinstance(event, TimelineEvent) or event.subject or event.kind in _NO_CHANGE:
        return None
    if event.kind == "action":
        way = kind_of(event.text.partition(" ")[0]).traffic
        return Change(event.ref, event.at, event.text, event, way == "forward") if way else None
    if event.health != "ok":
        return None
    return Change(event.ref, event.at, event.text, event, event.kind not in _WEAK)


def cause_of(root: Trouble, group: Sequence[Trouble], flow: Flow, changes: dict[Place, list[Change]]) -> Cause:
    """`group` as one cause: `root` explains the others."""
    rest = sorted((each for each in group if each is not root), key=_began)
    first = min((each.since for each in group if each.since is not None), default=None)
    explained = Counter(id(each.parent) for each in rest)
    likely, possible = _changes_before(root, root.since or first, flow, changes)
    others = sorted(rest, key=lambda each: (-explained[id(each)], each.order))[:MOST]
    found = [
        *likely,
        Suspect(root.ref, root.item, root.text, _why(rest), root.since),
        *possible,
        *(Suspect(each.ref, each.item, each.text, _why_not_first(explained[id(each)]), each.since) for each in others),
    ]
    once: dict[str, Suspect] = {}
    for suspect in found:
        once.setdefault(suspect.ref, suspect)
    return Cause(
        members=(root.member, *(each.member for each in rest)),
        suspects=tuple(list(once.values())[:MOST]),
        about=root.place[1] if root.place is not None else next(iter(root.resources), ""),
    )


def _began(trouble: Trouble) -> tuple[bool, float, str]:
    return trouble.since is None, trouble.since.timestamp() if trouble.since is not None else 0.0, trouble.ref


def _changes_before(
    root: Trouble, first: datetime | None, flow: Flow, changes: dict[Place, list[Change]]
) -> tuple[list[Suspect], list[Suspect]]:
    """What was changed there, or in what flows there: what speaks louder than `root` itself, and what else was."""
    likely: list[Suspect] = []
    possible: list[Suspect] = []
    if first is None:
        return [], []
    places = [(0, place) for place in _places(root, flow)]
    if root.place is not None:
        places += [(steps, place) for steps, hop in enumerate(flow.above(root.place), 1) for place in hop]
    for steps, place in places:
        reach = SHORTLY if place[0] == "service" else BY_SCHEDULE
        for change in sorted(changes.get(place, ()), key=lambda each: each.at, reverse=True):
            if not -CLOCKS <= first - change.at <= reach:
                continue
            before = ago(max(0.0, (first - change.at).total_seconds()))
            where = f"of {place[1]}" if not steps else f"of {place[1]}, which flows there"
            suspect = Suspect(
                change.ref, change.item, change.text, f"a change {where}, {before} before", change.at, True
            )
            loud = change.is_strong and steps <= _NEAR and first - change.at <= SHORTLY and not root.family
            (likely if loud else possible).append(suspect)
    return likely, possible


def _places(root: Trouble, flow: Flow) -> list[Place]:
    return [root.place] if root.place is not None else [place for name in root.resources for place in flow.called(name)]


_FIRST = ("quota", "platform", "called", "alike")
_WHY = {
    "same": "{} about the same",
    "names": "{} name it",
    "upstream": "{} downstream of it",
    "quota": "the first of {} that ran into a quota",
    "platform": "the first of {} that lost what they run on",
    "called": "the first of {} that are called after the same",
    "alike": "the first of {} alike",
}


def _why(rest: Sequence[Trouble]) -> str:
    """By which tie most of the others hang on it."""
    if not rest:
        return "nothing else is tied to it"
    tie, number = Counter(each.tie for each in rest if each.tie).most_common(1)[0]
    return _WHY[tie].format(f"{number + 1:,}" if tie in _FIRST else counted(number, "other"))


def _why_not_first(explained: int) -> str:
    return f"{counted(explained, 'other')} may follow from it" if explained else "one of those that follow"
