"""One row for one cause: what is not well and follows from one thing is told as one.

Each thing points at what explains it best, which was there before it: what it is about, what its own words name, what
it runs on, what flows into it. Where these ways end is what broke. All of it is looked up by name and time, never
compared one by one, and nothing is left out. Pure functions over models.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from backends.models import Alert, QualityScore, TimelineEvent
from console.ports.links import Links
from console.reading.flow import Flow, Place
from console.reading.suspects import Change, cause_of, changes_of
from console.reading.troubles import FAMILIES, Family, Trouble, troubles_of
from panels.kinds.cause import Cause, worst_first

SEEN_LATE = timedelta(minutes=15)
"""A score is measured, and an alert fires, so much later than what it tells of began."""
SAME = timedelta(hours=6)
"""So far apart two things of one name are one trouble."""
FOLLOWS = timedelta(hours=12)
"""So long after what flows into it broke a thing may follow from that."""
SIDE_BY_SIDE = timedelta(minutes=15)
ALIKE = timedelta(minutes=10)
CALLED_ALIKE = timedelta(hours=2)
OWN_CHANGE = timedelta(minutes=30)
"""A change of its own so short before says more than what is wrong elsewhere."""
MANY = 3


def fold(
    things: Sequence[Any],
    events: Iterable[Any],
    links: Links,
    now: datetime,
    *,
    scores: Iterable[QualityScore] = (),
) -> list[Cause]:
    """`things` (items of any port that are not well), by their cause, the worst first; each is in exactly one.

    events: what happened before (TimelineEvent, and Deployment for its last switch). scores: all that are known, for
    what is made of what; those among `things` need not be told twice.
    """
    flow = Flow(links, [*scores, *(thing for thing in things if isinstance(thing, QualityScore))])
    happened = list(events)
    troubles = troubles_of(things, links, flow, _began(happened))
    changes = changes_of(happened, flow, now)
    _Ties(troubles, flow, changes).tie()
    grouped: defaultdict[int, list[Trouble]] = defaultdict(list)
    for trouble in troubles:
        grouped[id(trouble.root)].append(trouble)
    causes = [cause_of(group[0].root, group, flow, changes) for group in grouped.values()]
    return sorted(causes, key=worst_first)


def _began(events: Iterable[Any]) -> dict[str, datetime]:
    """Since when what goes on was seen, by its ref: a check has no time of its own."""
    return {
        event.ref: event.since or event.at for event in events if isinstance(event, TimelineEvent) and event.going_on
    }


class _Ties:
    """What explains what, among `troubles`."""

    def __init__(self, troubles: Sequence[Trouble], flow: Flow, changes: dict[Place, list[Change]]) -> None:
        self._all, self._flow, self._changes = troubles, flow, changes
        self._heads: defaultdict[Place, list[Trouble]] = defaultdict(list)
        self._resources: defaultdict[str, list[Trouble]] = defaultdict(list)

    def tie(self) -> None:
        """Give each the trouble that explains it best, where there is one."""
        self._copies()
        self._same()
        for trouble in self._all:
            for resource in trouble.resources:
                self._resources[resource].append(trouble)
        for found in self._resources.values():
            found.sort(key=Trouble.standing)
        free = [trouble for trouble in self._all if trouble.parent is None]
        for trouble in free:
            self._by_words(trouble)
        for family in FAMILIES:
            self._by_family(family, [each for each in free if each.parent is None])
        for trouble in free:
            if trouble.parent is None:
                self._by_flow(trouble)
        self._by_subject([trouble for trouble in free if trouble.parent is None])
        self._alike([trouble for trouble in free if trouble.parent is None])

    def _copies(self) -> None:
        """An incident, and the alert that opened it."""
        opened = {each.alert_key: each for each in self._all if each.alert_key and not each.is_incident}
        for trouble in self._all:
            if trouble.is_incident and (alert := opened.get(trouble.alert_key)) is not None:
                trouble.follow(alert, "same")

    def _same(self) -> None:
        """Those that are about one thing: what it says itself comes before what is told of it. What began before a
        change of it and what began after are two troubles; what has no time is of the last."""
        about: defaultdict[tuple[Place, int], list[Trouble]] = defaultdict(list)
        for trouble in self._all:
            if (place := trouble.place) is not None and trouble.parent is None:
                changed = [change.at for change in self._changes.get(place, ()) if change.is_strong]
                about[place, sum(trouble.since is None or at <= trouble.since for at in changed)].append(trouble)
        for (place, _), found in about.items():
            heads: list[Trouble] = []
            for trouble in sorted(found, key=Trouble.standing):
                head = next((head for head in heads if _near(head, trouble, SAME)), None)
                if head is None or not trouble.follow(head, "same"):
                    heads.append(trouble)
                elif trouble.since is not None:
                    head.seen_since = min(trouble.since, head.seen_since or trouble.since)
            self._heads[place] += heads

    def _by_words(self, trouble: Trouble) -> None:
        """What its own words name as dead: a host, or what a check is called by."""
        for word in trouble.words:
            for found in self._resources.get(word, ()):
                if _before(found, trouble, SAME) and trouble.follow(found, "names"):
                    found.is_named = True
                    return

    def _by_family(self, family: Family, left: Sequence[Trouble]) -> None:
        """Many that fail side by side for want of one thing: that, where something says so of it, or the first."""
        hit = [trouble for trouble in left if trouble.family == family]
        of_itself = [trouble for trouble in hit if trouble.place is None]
        if family == "platform":  # one that others name as dead
            of_itself = [trouble for trouble in self._all if trouble.is_named]
        for cluster in _clusters(hit, SIDE_BY_SIDE):
            heads = [trouble for trouble in of_itself if _before(trouble, cluster[-1], SAME) or trouble in cluster]
            if family == "platform" and len(heads) != 1 and len(cluster) < MANY:
                continue
            head = min(heads or cluster, key=Trouble.standing)
            for trouble in cluster:
                trouble.follow(head, family)

    def _by_flow(self, trouble: Trouble) -> None:
        """The nearest of what flows into it that broke before; else what it writes itself, where that was bad before
        it, however late that was measured."""
        if (place := trouble.place) is None or self._changed_itself(trouble):
            return
        for hop in self._flow.above(place):
            for head in (head for each in hop for head in self._heads.get(each, ())):
                if _before(head, trouble, FOLLOWS) and trouble.follow(head, "upstream"):
                    return
        for head in (head for each in self._flow.written(place) for head in self._heads.get(each, ())):
            known = head.seen_since is not None and trouble.since is not None
            if known and _before(head, trouble, FOLLOWS, late=-SEEN_LATE):
                trouble.follow(head, "upstream")

    def _by_subject(self, left: Sequence[Trouble]) -> None:
        """Where nobody knows what flows: the first that is called after the same."""
        called: defaultdict[str, list[Trouble]] = defaultdict(list)
        for trouble in left:
            if trouble.place is not None and not self._changed_itself(trouble):
                for word in self._flow.subjects(trouble.place):
                    called[word].append(trouble)
        for found in called.values():
            found.sort(key=lambda each: (each.seen_since is None, each.seen_since, each.order))
            for trouble in found[1:]:
                if _near(found[0], trouble, CALLED_ALIKE):
                    trouble.follow(found[0], "called")

    def _changed_itself(self, trouble: Trouble) -> bool:
        since = trouble.seen_since
        if since is None or trouble.place is None:
            return False
        return any(
            change.is_strong and timedelta() <= since - change.at <= OWN_CHANGE
            for change in self._changes.get(trouble.place, ())
        )

    def _alike(self, left: Sequence[Trouble]) -> None:
        """Alerts of one name, source and group that nothing else ties, as they come together."""
        named: defaultdict[tuple[str, ...], list[Trouble]] = defaultdict(list)
        for trouble in left:
            item = trouble.item
            if isinstance(item, Alert) and (trouble.place is None or not self._flow.is_linked(trouble.place)):
                named[item.backend, item.group, item.name].append(trouble)
        for found in named.values():
            for cluster in _clusters(found, ALIKE):
                head = min(cluster, key=Trouble.standing)
                for trouble in cluster:
                    if trouble is not head:
                        trouble.follow(head, "alike")


def _near(one: Trouble, other: Trouble, within: timedelta) -> bool:
    return one.since is None or other.since is None or abs(one.since - other.since) <= within


def _before(cause: Trouble, trouble: Trouble, within: timedelta, late: timedelta = SEEN_LATE) -> bool:
    """Whether it began before, as far as is known, and not too long; it may have been seen so `late`."""
    if cause is trouble:
        return False
    if cause.seen_since is None or trouble.seen_since is None:
        return True
    return -late <= trouble.seen_since - cause.seen_since <= within


def _clusters(troubles: Sequence[Trouble], gap: timedelta) -> list[list[Trouble]]:
    """Those with a time, where the next one comes within `gap`."""
    found: list[list[Trouble]] = []
    last: datetime | None = None
    for since, trouble in sorted(
        ((each.since, each) for each in troubles if each.since is not None), key=lambda pair: pair[0]
    ):
        if last is not None and since - last <= gap:
            found[-1].append(trouble)
        else:
            found.append([trouble])
        last = since
    return found
