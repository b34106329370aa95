"""When what a journal recorded was done. Its order is the truth, and the clocks of its hosts may be set or be apart: as
many times as can be are believed, and what is out of order is put beside what was recorded before it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from panels.words import took

if TYPE_CHECKING:
    from actions.journal.audit import AuditRecord

TOLD = timedelta(minutes=1)
_NEXT = timedelta(microseconds=1)


def dated(records: Sequence[AuditRecord], now: datetime) -> list[tuple[AuditRecord, datetime | None]]:
    """Each record with its time, none after `now`; None where it has none that can be read. What came into the chain
    late was done at a time of its own."""
    timed = [place for place, each in enumerate(records) if not each.late and each.done_at is not None]
    times = in_order([records[place].done_at or now for place in timed], now)
    found = dict(zip(timed, times, strict=True))
    return [(each, found.get(place, each.done_at)) for place, each in enumerate(records)]


def in_order(times: Sequence[datetime], now: datetime) -> list[datetime]:
    """`times` so that they rise up to `now`, with as few of them changed as can be."""
    kept = _rising(times, now)
    if not kept:
        return [now] * len(times)
    believed, near = set(kept), kept[0]
    found = []
    for place, at in enumerate(times):
        near = place if place in believed else near
        found.append(at if place in believed else min(now, times[near] + (place - near) * _NEXT))
    return found


def _rising(times: Sequence[datetime], now: datetime) -> list[int]:
    """The places of the longest part that never falls; of several that of the latest records."""
    ends: list[datetime] = []
    places: list[int] = []
    before: list[int] = []
    for place, at in enumerate(times):
        length = bisect_right(ends, at)
        before.append(places[length - 1] if length else -1)
        if at > now:
            continue
        ends[length : length + 1] = [at]
        places[length : length + 1] = [place]
    found = []
    place = places[-1] if places else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found[::-1]


def clock_words(at: datetime, own: datetime | None) -> str:
    """That the clock of its host said another time, where that was not nearly the same: then only the order of the
    journal is known, and what others saw meanwhile may have been before it."""
    if own is None or abs(own - at) < TOLD:
        return ""
    apart = f"{took(abs(own - at).total_seconds())} {'later' if own > at else 'earlier'}"
    return f" ({apart} by its host's clock: when it was is not known better)"
