"""What the timeline hears of from several sides is told once: as it is now, as it was kept, as a check noted it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from backends.models import Alert, Item, PipelineRun, QualityScore, TimelineEvent
from panels.kinds.timeline_event import Event

_NEAR = timedelta(minutes=2)  # between two looks at the same thing
_NOT_OVER = datetime.max.replace(tzinfo=UTC)
_NOTED = {"pipelines": "run", "quality": "quality", "alerts": "alert", "deployments": "service"}


def told_once(events: Sequence[Event], items: Iterable[Item]) -> list[Event]:
    """`events` without what another of them tells. What is so now comes first, with its item to open; then what was
    kept of it; then what `teal check --record` noted, or a metric remembers."""
    now = {item.ref for item in items if isinstance(item, Alert)}
    now |= {event.item.ref for event in events if isinstance(event.item, PipelineRun | QualityScore)}
    recovered = {event.at for event in events if isinstance(event.item, PipelineRun) and event.health == "ok"}
    kept = _Kept()
    found = []
    for event in sorted(events, key=_order):
        item = event.item
        if isinstance(item, TimelineEvent) and item.subject:
            if kept.tells(item):
                continue
            kept.add(item)
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


class _Kept:
    """What is told, in the order of `_order`, by what could tell it once more: thousands may lie within a day."""

    def __init__(self) -> None:
        self._of: defaultdict[tuple[str, str], list[TimelineEvent]] = defaultdict(list)
        self._longest: dict[tuple[str, str], TimelineEvent] = {}  # of the alerts of one subject and health

    def add(self, item: TimelineEvent) -> None:
        """What comes later may be told by it."""
        for subject in (item.subject, ""):
            self._of[item.kind, subject].append(item)
        if _fires(item):
            last = self._longest.setdefault((item.subject, item.health), item)
            self._longest[item.subject, item.health] = max(last, item, key=_end)

    def tells(self, item: TimelineEvent) -> bool:
        """Whether one of them tells the same as `item`, which is no older or was only noted. An alert that begins after
        the end of the last one fires again, however soon."""
        if item.kind == "note":
            kind = _NOTED.get(item.subject, "check")
            return any(_covers(other, item.at) for other in self._of[kind, item.subject if kind == "check" else ""])
        last = self._longest.get((item.subject, item.health)) if _fires(item) else None
        return last is not None and last.at - _NEAR <= item.at <= _ends(last)


def _fires(item: TimelineEvent) -> bool:
    return item.kind == "alert" and not item.over


def _end(item: TimelineEvent) -> datetime:
    return _NOT_OVER if item.going_on else item.until or item.at


def _ends(item: TimelineEvent) -> datetime:
    """Up to when the same firing may be told once more: of one whose end nobody knows, between two looks."""
    return item.at + _NEAR if item.until is None and not item.going_on else _end(item)


def _covers(other: TimelineEvent, at: datetime) -> bool:
    return other.at - _NEAR <= at and (other.going_on or at <= _end(other) + _NEAR)
