"""What the timeline knows beyond what is so now: actions and notes of the journal, alerts that came and went."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from actions.journal.episodes import UNWATCHED
from actions.judging.stages import is_shift
from actions.kinds import kind_of
from actions.references import is_reference
from actions.telling import cause, doing, is_noop, outcome, standing, title, unattended, way
from backends.models import Health, TimelineEvent, alert_subject, firing_health
from backends.ports import Metrics, Point, Series
from backends.text import clean, clean_labels
from console.reading.recorded_times import clock_words, dated
from panels.kinds.timeline_ends import CONSOLES
from panels.words import ago, took

if TYPE_CHECKING:
    from actions.journal.audit import AuditRecord
    from actions.models import Action, Watch

# https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/#inspecting-alerts-during-runtime
FIRING = 'ALERTS{alertstate="firing"}'
STEPS = 300  # points a series, at most
FINEST_S = 15
STEPS_S = (15, 30, 60, 90, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
LOOKBACK_S = 300  # of Prometheus: how old a sample may be to count
FINE_STEPS = 40  # looks within one step, at most
MOST_ALERTS = 500
_CHECKED: dict[str, Health] = {"warning": "warning", "critical": "critical", "unknown": "unknown"}
_NEVER, _NOTHING = datetime.max.replace(tzinfo=UTC), timedelta()
_ABOUT = ("service", "pipeline", "dag_id", "dataset", "instance")


def of_actions(
    actions: Iterable[Action],
    since: datetime,
    until: datetime,
    *,
    now: datetime = _NEVER,
    records: Sequence[AuditRecord] = (),
) -> list[TimelineEvent]:
    """Each action where it ended; as long as it is open where it began, or since when it needs somebody. What is
    recorded has happened by `now`: where the clock of its host was ahead it is not hidden until then. `records`: of the
    journal, in whose order the actions are told."""
    found = []
    off = {record.action: at - record.done_at for record, at in dated(records, now) if at and record.done_at}
    for action in actions:
        own = action.ended_at or _stands_since(action) or action.started_at
        at = None if own is None else min(now, own + off.get(action.id or "", _NOTHING))
        if at is None or not since <= at <= until:
            continue
        who = f" by {action.actor.person}" if action.actor else ""
        why = f': "{action.reason}"' if action.reason else ""
        if cause(action):  # who ordered it did not take it back
            words = f"{title(action)}{way(action)}{who}{why}, {outcome(action)}"
        else:
            came = "" if unattended(action) and action.status == "running" else outcome(action)
            came = f"{': ' if is_noop(action) else ' '}{came}" if came else ""
            words = f"{title(action)}{way(action)}{came}{who}{why}"
        if action.open and (action.hold is not None or unattended(action)):
            words += f": {doing(action)}"
        stands = standing(action)
        health: Health = "ok" if stands == "running" else stands
        found.append(
            TimelineEvent(
                at=at,
                kind="action",
                ref=action.id or "",
                text=clean(words, 500) + clock_words(at, own),
                health=health,
                made=action.ref or "",
                going_on=action.open,
                mends=_mends(action),
            )
        )
    return found


def _stands_since(action: Action) -> datetime | None:
    """Since when one that is open does not go on by itself: what it is now was not so when it began."""
    if action.stopped_pid:
        return action.owner.seen_at if action.owner is not None else None
    return action.orphaned_since or (action.hold.since if action.hold is not None else None)


def _mends(action: Action) -> str:
    """The service whose traffic it moved, forward or back, and proved well."""
    if action.status not in ("succeeded", "rolled_back") or is_noop(action) or not kind_of(action.kind).traffic:
        return ""
    return action.service


def of_moves(
    actions: Iterable[Action],
    records: Iterable[AuditRecord],
    since: datetime,
    until: datetime,
    *,
    now: datetime = _NEVER,
) -> list[TimelineEvent]:
    """Each time that an action moved traffic forward, which is long before it ends; and where it found that somebody
    else had changed the switch."""
    titles = {action.id: title(action) for action in actions}
    found = []
    for record, at in dated(list(records), now):
        in_conflict = record.kind == "verdict" and record.result == "conflict"
        words = record.detail if in_conflict else _moved(record)
        if words and at is not None and since <= at <= until:
            told = titles.get(record.action) or f"{record.order} {record.target}"
            health: Health = "warning" if in_conflict else "ok"
            text = clean(f"{told}: {words}", 500) + clock_words(at, record.done_at)
            found.append(TimelineEvent(at=at, kind="action", ref=record.action, text=text, health=health))
    return found


def _moved(record: AuditRecord) -> str:
    """What a write that went forward gave to each side, in words; empty for anything else."""
    if record.kind != "observed" or record.result != "applied" or not is_shift(record.step):
        return ""
    if not kind_of(record.order).forward:
        return ""
    shares = {color: share for color, share in (record.after.get("weights") or {}).items() if share}
    return f"traffic moved: {', '.join(f'{color.upper()} {share} %' for color, share in shares.items())}"


def of_notes(
    records: Iterable[AuditRecord], since: datetime, until: datetime, *, now: datetime = _NEVER
) -> list[TimelineEvent]:
    """What people wrote down, and changes of state that `teal check --record` kept."""
    records, found = [record for record in records if not is_reference(record)], []
    changed = _next_of_its_check(records)
    for record, at in dated(records, now):
        if record.kind == "note" and at is not None and since <= at <= until:
            who = f"{record.actor.person}: " if record.actor and not record.target else ""
            health: Health = _CHECKED.get(record.result, "ok") if record.target else "ok"
            about = f"{record.target.partition(':')[2]} {record.result}: " if record.target else ""
            found.append(
                TimelineEvent(
                    at=at,
                    kind="note",
                    ref=f"note/{record.seq}",
                    text=f"{who}{about}{record.detail}{clock_words(at, record.done_at)}",
                    health=health,
                    until=changed.get(record.seq),
                    going_on=health != "ok" and record.seq not in changed,
                    subject=record.target.partition(":")[2],
                )
            )
    return found


def _next_of_its_check(records: Sequence[AuditRecord]) -> dict[int, datetime]:
    """When the state that a record holds of a check was another one, by the number of the record."""
    found: dict[int, datetime] = {}
    last: dict[str, int] = {}
    for record in records:
        if record.kind == "note" and record.target and (at := record.done_at) is not None:
            if record.target in last:
                found[last[record.target]] = at
            last[record.target] = record.seq
    return found


def of_watches(
    watched: Iterable[Watch], since: datetime, until: datetime, reach: datetime | None = None
) -> list[TimelineEvent]:
    """The times at which no console was open, of at least `UNWATCHED`, with their part in the window; those before it
    as far back as `reach`. Of before the first that is known, nothing."""
    known = sorted((watch.opened_at, watch.closed_at) for watch in watched)
    found: list[TimelineEvent] = []
    seen_until: datetime | None = None
    for opened, closed in [*known, (until, until)]:
        if seen_until is not None:
            whole, end = max(seen_until, reach or since), min(opened, until)
            if end - whole >= UNWATCHED:
                begin = max(whole, since)
                begin = begin if end - begin >= UNWATCHED else whole
                words = f"nobody looked for {took((end - begin).total_seconds())}"
                found.append(
                    TimelineEvent(at=begin, kind="unwatched", ref=CONSOLES, text=words, until=end, since=whole)
                )
        seen_until = closed if seen_until is None else max(seen_until, closed)
    return found


async def of_metrics(metrics: Metrics, source: str, since: datetime, until: datetime) -> list[TimelineEvent]:
    """Alerts that fired and stopped within the window, by `ALERTS`. One that still fires is among the alerts already.

    The steps are multiples since the epoch, and each point says when its first sample was: an event has the same time
    whenever it is asked for. Raises BackendError.
    """
    step_s = next((each for each in STEPS_S if each * STEPS >= (until - since).total_seconds()), STEPS_S[-1])
    fine_s = max(FINEST_S, step_s // FINE_STEPS)
    start, end = (datetime.fromtimestamp(at, UTC) for at in _aligned(since, until, step_s))
    if start > end:
        return []
    # One second short of a step: a range that includes its beginning (before Prometheus 3) would look at it twice.
    query = f"min_over_time(timestamp({FIRING})[{step_s - 1}s:{fine_s}s])"
    series = await metrics.range(query, start=start, end=end, step=float(step_s))
    return _spells(series[:MOST_ALERTS], source, until, timedelta(seconds=step_s), timedelta(seconds=fine_s))


def _aligned(since: datetime, until: datetime, step_s: int) -> tuple[int, int]:
    """The first and the last multiple of the step in the window."""
    return math.ceil(since.timestamp() / step_s) * step_s, math.floor(until.timestamp() / step_s) * step_s


def _spells(
    series: Sequence[Series], source: str, until: datetime, step: timedelta, fine: timedelta
) -> list[TimelineEvent]:
    """One event for each time that an alert fired and stopped, where it began."""
    found = []
    for one in series:
        labels = clean_labels(one.labels)
        name = labels.get("alertname", "an alert")
        about = " ".join(labels[key] for key in _ABOUT if key in labels)
        health = firing_health(labels.get("severity", ""))
        sampled = {point.at: _sampled(point, step) for point in one.points}
        for first, ended in _runs([point.at for point in one.points], step * 1.5):
            if until - ended > step * 1.5:
                began = sampled[first]
                subject = " ".join(filter(None, (name, about)))
                text = clean(f"{subject} fired for {ago((ended - began + fine).total_seconds())}", 300)
                ref = f"{source}/{name}/{about}"
                found.append(
                    TimelineEvent(
                        at=began,
                        kind="alert",
                        ref=ref,
                        text=text,
                        health=health,
                        until=ended + fine,
                        subject=alert_subject(name, labels),
                        measured=True,
                    )
                )
    return found


def _sampled(point: Point, step: timedelta) -> datetime:
    """When the first sample of a point was, to the second; when it was looked at where the value is no such time."""
    at = point.at.timestamp()
    near = point.value is not None and at - step.total_seconds() - LOOKBACK_S <= point.value <= at
    return datetime.fromtimestamp(int(point.value), UTC) if near and point.value is not None else point.at


def _runs(times: Sequence[datetime], gap: timedelta) -> list[tuple[datetime, datetime]]:
    """First and last of each stretch of `times` (oldest first) in which no two neighbors are further apart."""
    found: list[tuple[datetime, datetime]] = []
    for at in times:
        if found and at - found[-1][1] <= gap:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found
