"""What the timeline hears of from several sides is told once: as it is now, as it was kept, as a check noted it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from backends.models import Alert, Item, PipelineRun, QualityScore, TimelineEvent
from panels.kinds.timeline_event import Event

_NEAR = timedelta(minutes=2)  # between two looks at the same thing
_NOTED = {"pipelines": "run", "quality": "quality", "alerts": "alert", "deployments": "service"}


def told_once(events: Sequence[Event], items: Iterable[Item]) -> list[Event]:
    """`events` without what another of them tells. What is so now comes first, with its item to open; then what was
    kept of it; then what `teal check --record` noted, or a metric remembers."""
    now = {item.ref for item in items if isinstance(item, Alert)}
    now |= {event.item.ref for event in events if isinstance(event.item, PipelineRun | QualityScore)}
    recovered = {event.at for event in events if isinstance(event.item, PipelineRun) and event.health == "ok"}
    kept: list[TimelineEvent] = []
    found = []
    for event in sorted(events, key=_order):
        item = event.item
        if isinstance(item, TimelineEvent) and item.subject:
            if any(_tells(other, item) for other in kept):
                continue
            kept.append(item)
            if _is_so_now(item, now, recovered):
                continue
        found.append(event)
    return found


def _order(event: Event) -> tuple[bool, datetime]:
    return event.kind == "note", event.at


def _is_so_now(item: TimelineEvent, now: set[str], recovered: set[datetime]) -> bool:
    if item.over:
        return item.kind == "run" and item.at in recovered
    return item.ref in now and (item.going_on or item.kind == "run")


def _tells(other: TimelineEvent, item: TimelineEvent) -> bool:
    """Whether `other` tells the same as `item`, which is no older or was only noted."""
    if item.kind == "note":
        kind = _NOTED.get(item.subject, "check")
        return other.kind == kind and (kind != "check" or other.subject == item.subject) and _covers(other, item.at)
    same = (other.kind, other.subject, other.over) == (item.kind, item.subject, item.over)
    return same and item.kind == "alert" and not item.over and other.health == item.health and _covers(other, item.at)


def _covers(other: TimelineEvent, at: datetime) -> bool:
    return other.at - _NEAR <= at and (other.going_on or at <= (other.until or other.at) + _NEAR)
