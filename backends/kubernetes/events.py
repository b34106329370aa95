"""What a cluster warns of, about some of its objects, as events of the timeline.

Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/ (read as the core v1 Event)
"""

import re
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct, field

from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import Items, Metadata
from backends.missing import missing
from backends.models import TimelineEvent
from backends.text import clean, counted, first_line

MOST = 1000
_REPLICA_SET, _POD = r"-[a-z0-9]+", r"-[a-z0-9]+-[a-z0-9]{5}"
_AS_IT_SCALES = ""  # called as what it scales, by custom
_OF_SETS = ("Deployment", "Rollout")


class Involved(Struct):
    """What it is about."""

    kind: str = ""
    name: str = ""


class Seriesed(Struct, rename="camel"):
    """How often, in the newer form of an event."""

    count: int = 0
    last_observed_time: datetime | None = None


class Event(Struct, rename="camel"):
    """v1. Either form of its times and its count may be there."""

    metadata: Metadata
    involved_object: Involved = field(default_factory=Involved)
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: Seriesed | None = None

    @property
    def began(self) -> datetime | None:
        """When it was seen first."""
        return self.first_timestamp or self.event_time or self.metadata.creation_timestamp

    @property
    def last(self) -> datetime | None:
        """When it was seen last."""
        return (self.series.last_observed_time if self.series else None) or self.last_timestamp or self.began

    @property
    def times(self) -> int:
        """How often."""
        return max(1, self.count or 0, self.series.count if self.series else 0)


class Watched(Struct, frozen=True, kw_only=True):
    """The objects that matter, as (kind, name). What Deployments and Rollouts make is known by its name, since a pod
    that crashed may be gone when its events are read."""

    objects: frozenset[tuple[str, str]]

    def owner_of(self, involved: Involved) -> tuple[str, str] | None:
        """The one of `objects` that it is, or is made by; None where it is another."""
        endings = {"ReplicaSet": _REPLICA_SET, "Pod": _POD, "HorizontalPodAutoscaler": _AS_IT_SCALES}
        ending = endings.get(involved.kind)
        for kind, name in sorted(self.objects) if ending is not None else ():
            if kind in _OF_SETS and re.fullmatch(f"{re.escape(name)}{ending}", involved.name):
                return kind, name
        own = (involved.kind, involved.name)
        return own if own in self.objects else None


async def warnings(api: KubernetesApi) -> list[Event]:
    """All of the namespace that are of type Warning. None, and what is missing is told, where they may not be read. An
    API server keeps them for an hour, unless it was told otherwise. Raises BackendError."""
    params = {"fieldSelector": "type=Warning", "limit": str(MOST)}
    try:
        found = (await api.get(await api.path("v1", "events"), Items[Event], params=params)).items
    except BackendError as error:
        if error.kind != "auth" or error.status == 401:
            raise
        words = f"what the cluster warns of is not known: {error.message}"
        missing(BackendError(error.kind, words, fix="grant list events", status=error.status))
        return []
    if len(found) >= MOST:
        words = f"the cluster warns of more than {MOST} things: the others are not read"
        missing(BackendError("failed", words, fix="kubectl get events --field-selector type=Warning"))
    return [event for event in found if event.type == "Warning"]


def told(
    events: Iterable[Event], watched: Watched, service: str, since: datetime, until: datetime
) -> list[TimelineEvent]:
    """Of what is watched and was so from `since` up to `until`, oldest first: one event for all objects of one kind and
    owner that are warned of for one reason, at its beginning, or at its end where it began before."""
    groups: dict[tuple[str, str, str], list[Event]] = {}
    for event in events:
        owner = watched.owner_of(event.involved_object)
        last, began = event.last, event.began
        if owner is not None and last is not None and began is not None and last >= since and began <= until:
            groups.setdefault((event.involved_object.kind, owner[1], event.reason), []).append(event)
    return sorted((_told(*key, group, service, since) for key, group in groups.items()), key=lambda each: each.at)


def _told(kind: str, owner: str, reason: str, group: list[Event], service: str, since: datetime) -> TimelineEvent:
    began = min(each.began for each in group if each.began is not None)
    newest = max(group, key=lambda each: each.last or began)
    last = newest.last or began
    names = sorted({each.involved_object.name for each in group})
    what = f"{kind} {names[0]}" if len(names) == 1 else f"{counted(len(names), kind)} of {owner}"
    times = sum(each.times for each in group)
    often = f", {times} times" if times > 1 else ""
    message = clean(first_line(newest.message), 300)
    text = f"{clean(what, 200)}: {clean(reason, 64)}{often}" + (f": {message}" if message else "")
    return TimelineEvent(
        at=began if began >= since else last, kind=clean(reason, 64) or "warning", health="warning",
        ref=f"{service}/{kind.lower()}/{clean(owner, 128)}", text=text, until=last,
    )  # fmt: skip
