"""From spans of time, of which several may overlap, to who is on call one after the other. Pure functions."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from backends.models import OnCall, Shift

BEHIND = timedelta(days=14)
AHEAD = timedelta(days=62)
"""So far around a time is looked."""
MAX_SHIFTS = 20


class Span(NamedTuple):
    """One person for one time. Of spans that overlap those of the highest `rank` count. None: no such end is known."""

    who: str
    since: datetime | None
    until: datetime | None
    rank: int = 0
    email: str = ""


def shifts_of(spans: Iterable[Span], at: datetime) -> tuple[Shift, ...]:
    """Those from `at` on, the first of which covers it; a time without a span is a shift of nobody. What begins after
    `AHEAD` is left out: nobody has looked there."""
    real = [span for span in spans if span.since is None or span.until is None or span.since < span.until]
    edges = sorted({edge for span in real for edge in (span.since, span.until) if edge is not None})
    ends: dict[datetime | None, list[Span]] = {}
    begins: dict[datetime | None, list[Span]] = {}
    for span in real:
        begins.setdefault(span.since, []).append(span)
        ends.setdefault(span.until, []).append(span)
    active = dict.fromkeys(begins.get(None, ()))
    shifts: list[Shift] = []
    for since, until in zip([None, *edges], [*edges, None], strict=True):
        if since is not None:
            for span in ends.get(since, ()):
                active.pop(span, None)
            active |= dict.fromkeys(begins.get(since, ()))
        shift = _shift(active, since, until)
        if shifts and shifts[-1].who == shift.who:
            shift = Shift(who=shift.who, since=shifts.pop().since, until=until, emails=shift.emails)
        shifts.append(shift)
    left = (shift for shift in shifts if shift.until is None or at < shift.until)
    return tuple(shift for shift in left if shift.since is None or shift.since < at + AHEAD)[:MAX_SHIFTS]


def _shift(active: Iterable[Span], since: datetime | None, until: datetime | None) -> Shift:
    best = max((span.rank for span in active), default=0)
    told = sorted({(span.who, span.email) for span in active if span.rank == best})
    who = tuple(dict.fromkeys(name for name, _ in told))
    return Shift(who=who, since=since, until=until, emails=tuple(dict.fromkeys(mail for _, mail in told if mail)))


def schedule_of(
    backend: str,
    schedule: str,
    spans: Iterable[Span],
    at: datetime,
    *,
    ref: str,
    url: str | None = None,
    unknown: str = "",
) -> OnCall:
    """The schedule at that time; `unknown` says why nobody knows who is on call."""
    if unknown:
        return OnCall(ref=ref, backend=backend, schedule=schedule, at=at, state="unknown", url=url, reason=unknown)
    shifts = shifts_of(spans, at)
    return OnCall(ref=ref, backend=backend, schedule=schedule, at=at, state="ok", url=url, shifts=shifts).seen(at)
