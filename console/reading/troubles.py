"""One thing that is not well, as it is tied to others: what it is about, what its words name, since when it is so."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from backends.models import Alert, Health, PipelineRun
from console.ports.derive import named_by_kind
from console.ports.links import Links
from console.ports.record import Reading
from console.ports.table import port_of, reading_of
from console.reading import causes
from console.reading.flow import Flow, Place
from panels.kinds.cause import Member

Family = Literal["quota", "platform"]
FAMILIES: tuple[Family, ...] = ("quota", "platform")
"""What things may fail for want of, however far apart they are."""
_WORD = re.compile(r"[\w][\w.-]*")
_HOST = re.compile(r"(?<![\w.-])([\w.-]*[a-z.][\w.-]*)(?::|\W{1,3}port )\d{2,5}\b")
_NUMBER = re.compile(r"\d+")
_MACHINE = ("instance", "host", "hostname", "node", "target")
_SHORTEST = 4
_TOLD_BY = {"checks": 0, "pipelines": 1, "quality": 2, "deployments": 3, "errors": 3, "alerts": 4}
"""What is nearer to the thing itself comes first."""
_LAST = 5
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class Trouble:
    """One member to be, tied by `fold`.

    `place` is what it is about; `resources` what it is about where nothing flows: hosts, and the name of a check.
    `seen_since`: since when anything is seen of what it is about. `words`: those of what it says that may name another
    one. `family`: what it failed for want of. `parent` explains it, by `tie`.
    """

    __slots__ = (
        "alert_key", "family", "health", "is_incident", "is_named", "item", "kind", "order", "parent", "place", "ref",
        "resources", "seen_since", "since", "text", "tie", "words",
    )  # fmt: skip

    def __init__(self, item: Any, health: Health, text: str, since: datetime | None, order: int) -> None:
        self.item, self.health, self.text, self.since, self.order = item, health, text, since, order
        self.ref: str = item.ref
        self.seen_since = since
        self.kind = "thing"
        self.place: Place | None = None
        self.resources: tuple[str, ...] = ()
        self.words: tuple[str, ...] = ()
        self.family: Family | None = None
        self.alert_key: tuple[str, ...] = ()
        self.is_incident = self.is_named = False
        self.parent: Trouble | None = None
        self.tie = ""

    def standing(self) -> tuple[bool, int, datetime, str]:
        """Sort key: of several that are about one thing the first is what the others tell of."""
        return self.health == "unknown", self.order, self.since or _EARLIEST, self.ref

    @property
    def root(self) -> Trouble:
        """Where its ways end."""
        found = self
        while found.parent is not None:
            found = found.parent
        return found

    def follow(self, cause: Trouble, tie: str) -> bool:
        """Take `cause` as what explains it; False where that follows from it, or where nobody knows it: what is unknown
        hides nothing that is known."""
        if self.parent is not None or (cause.health == "unknown" and self.health != "unknown") or cause.root is self:
            return False
        self.parent, self.tie = cause, tie
        return True

    @property
    def member(self) -> Member:
        """As it is told."""
        return Member(self.ref, self.kind, self.item, self.health, self.text, self.since)


def troubles_of(things: Sequence[Any], links: Links, flow: Flow, began: Mapping[str, datetime]) -> list[Trouble]:
    """Each of `things`, in their order. `began`: since when those are that have no time of their own."""
    since = _since(things)
    found = [_trouble(thing, links, flow, since.get(thing.ref) or began.get(thing.ref)) for thing in things]
    for place in {trouble.place for trouble in found if trouble.place is not None}:
        flow.meet(place)
    named = flow.names | {name for trouble in found for name in trouble.resources}
    for trouble in found:
        own = trouble.place[1].casefold() if trouble.place is not None else ""
        trouble.words = tuple(
            word for word in _words(trouble.text) if word in named and word != own and word not in trouble.resources
        )
        if trouble.place is not None and isinstance(trouble.item, PipelineRun):
            for place in (place for word in trouble.words for place in flow.called(word)):
                flow.learn(place, trouble.place)
    return found


def _since(things: Sequence[Any]) -> dict[str, datetime]:
    """Since when each is not well, as the timeline keeps it where it does, by its ref."""
    by_port: defaultdict[str, list[Any]] = defaultdict(list)
    for thing in things:
        if (port := port_of(thing)) is not None:
            by_port[port.name].append(thing)
    found: dict[str, datetime] = {}
    for name, items in by_port.items():
        if (reading := reading_of(name)) is not None:
            found |= {item.ref: at for item in items if (at := reading.at(item)) is not None}
            found |= {each.ref: each.since for each in reading.problems(items) if each.since is not None}
    return found


def _trouble(thing: Any, links: Links, flow: Flow, since: datetime | None) -> Trouble:
    port = port_of(thing)
    reading = port.reading if port is not None else None
    text = _text(thing, reading) if reading is not None else thing.ref
    trouble = Trouble(thing, thing.health, text, since, _TOLD_BY.get(port.name if port is not None else "", _LAST))
    trouble.kind = (reading.single if reading is not None else "") or trouble.kind
    trouble.place = _about(thing, links, flow)
    if isinstance(thing, Alert):
        own = thing.incident.service if thing.incident is not None else ""
        values = [
            value for name, value in thing.labels.items() if name != "severity" and value not in (own, thing.name)
        ]
        trouble.alert_key = (thing.name, *sorted(values))
        if thing.incident is not None:
            trouble.is_incident, trouble.kind = True, "incident"
    if trouble.place is None:
        trouble.resources = _resources(thing, text)
    if trouble.place is None or isinstance(thing, PipelineRun):
        trouble.family = _family(_NUMBER.sub("0", text))
    return trouble


def _text(thing: Any, reading: Reading[Any, Any]) -> str:
    """What it is, and what is the matter with it."""
    title, says = reading.title(thing), reading.says(thing)
    return says if says.startswith(title) else f"{title}: {says}"


def _about(thing: Any, links: Links, flow: Flow) -> Place | None:
    """Of several names the one that is furthest upstream; of an incident the service that only files it comes last."""
    named = [(kind, name) for kind, names in named_by_kind(thing, links).items() for name in names if name]
    if isinstance(thing, Alert) and (incident := thing.incident) is not None:
        named.sort(key=lambda place: place[1] == incident.service)
    if not named:
        called = flow.called(thing.name) if hasattr(thing, "message") else ()
        return called[0] if called else None
    return next((place for place in named if flow.called(place[1])), named[0])


def _resources(thing: Any, text: str) -> tuple[str, ...]:
    found = [name.casefold()] if len(name := str(getattr(thing, "name", ""))) >= _SHORTEST else []
    if isinstance(thing, Alert):
        found = [thing.labels[label].casefold().partition(":")[0] for label in _MACHINE if label in thing.labels]
    return tuple(dict.fromkeys([*found, *_hosts(text)]))


@lru_cache(4096)
def _hosts(text: str) -> tuple[str, ...]:
    """Those that are written with a port."""
    return tuple(dict.fromkeys(host.strip(".-") for host in _HOST.findall(text.casefold()[: causes.CHARS])))


@lru_cache(4096)
def _words(text: str) -> tuple[str, ...]:
    """Whole words, and the parts of those that are joined by dots."""
    whole = [word.strip(".-") for word in _WORD.findall(text.casefold()[: causes.CHARS])]
    parts = [part for word in whole if "." in word for part in word.split(".") if len(part) >= _SHORTEST]
    return tuple(dict.fromkeys([*whole, *parts]))


@lru_cache(4096)
def _family(text: str) -> Family | None:
    """What it failed for want of, where its words say so."""
    if any(kind == "quota" for kind, _ in causes.limits([text])):
        return "quota"
    return "platform" if causes.platform([text]) else None
