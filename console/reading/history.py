"""What the timeline knows beyond what is so now: actions and notes of the journal, alerts that came and went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from actions.telling import is_noop, outcome, title, way
from backends.models import Health, TimelineEvent
from backends.ports import Metrics, Series
from backends.text import clean, clean_labels
from panels.words import ago, took

if TYPE_CHECKING:
    from actions.journal.audit import AuditRecord
    from actions.models import Action, Watch

# https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/#inspecting-alerts-during-runtime
FIRING = 'ALERTS{alertstate="firing"}'
STEPS = 240  # points a series: a window of 24 h is seen to 6 min, one of 1 h to 15 s
SHORTEST_STEP_S = 15.0
MOST_ALERTS = 500
UNWATCHED = timedelta(minutes=10)
_ABOUT = ("service", "pipeline", "dag_id", "dataset", "instance")
_ENDED_BADLY: dict[str, Health] = {
    "rollback_failed": "critical", "in_doubt": "critical", "conflict": "critical", "rolled_back": "warning",
    "aborted": "warning", "abandoned": "warning", "paused": "warning",
}  # fmt: skip


def of_actions(actions: Iterable[Action], since: datetime, until: datetime) -> list[TimelineEvent]:
    """Each action where it ended, or where it began as long as it is open."""
    found = []
    for action in actions:
        at = action.ended_at or action.started_at
        if at is None or not since <= at <= until:
            continue
        who = f" by {action.actor.login}" if action.actor else ""
        why = f': "{action.reason}"' if action.reason else ""
        words = f"{title(action)}{way(action)}{': ' if is_noop(action) else ' '}{outcome(action)}{who}{why}"
        health = _ENDED_BADLY.get(action.status, "ok")
        found.append(TimelineEvent(at=at, kind="action", ref=action.id or "", text=clean(words, 500), health=health))
    return found


def of_notes(records: Iterable[AuditRecord], since: datetime, until: datetime) -> list[TimelineEvent]:
    """What people wrote down, and changes of state that `teal check --record` kept."""
    found = []
    for record in records:
        if record.kind == "note" and (at := record.done_at) is not None and since <= at <= until:
            who = f"{record.actor.login}: " if record.actor and not record.target else ""
            about = f"{record.target.partition(':')[2]} {record.result}: " if record.target else ""
            event = TimelineEvent(at=at, kind="note", ref=f"note/{record.seq}", text=f"{who}{about}{record.detail}")
            found.append(event)
    return found


def of_watches(watched: Iterable[Watch], since: datetime, until: datetime) -> list[TimelineEvent]:
    """The times at which no console was open, of at least `UNWATCHED`. Of before the first that is known, nothing."""
    known = sorted((watch.opened_at, watch.closed_at) for watch in watched)
    found: list[TimelineEvent] = []
    seen_until: datetime | None = None
    for opened, closed in [*known, (until, until)]:
        if seen_until is not None:
            begin, end = max(seen_until, since), min(opened, until)
            if end - begin >= UNWATCHED:
                words = f"no console was open for {took((end - begin).total_seconds())}"
                found.append(TimelineEvent(at=begin, kind="unwatched", ref="consoles", text=words, until=end))
        seen_until = closed if seen_until is None else max(seen_until, closed)
    return found


async def of_metrics(metrics: Metrics, source: str, since: datetime, until: datetime) -> list[TimelineEvent]:
    """Alerts that fired and stopped within the window, by `ALERTS`. One that still fires is among the alerts already.

    Raises BackendError.
    """
    step_s = max(SHORTEST_STEP_S, (until - since).total_seconds() / STEPS)
    series = await metrics.range(FIRING, start=since, end=until, step=step_s)
    return _spells(series[:MOST_ALERTS], source, until, timedelta(seconds=step_s))


def _spells(series: Sequence[Series], source: str, until: datetime, step: timedelta) -> list[TimelineEvent]:
    """One event for each time that an alert fired and stopped, where it began."""
    found = []
    for one in series:
        labels = clean_labels(one.labels)
        name = labels.get("alertname", "an alert")
        about = " ".join(labels[key] for key in _ABOUT if key in labels)
        health: Health = "critical" if labels.get("severity") in ("critical", "page") else "warning"
        for began, ended in _runs([point.at for point in one.points], step * 1.5):
            if until - ended > step * 1.5:
                text = clean(f"{name} {about} fired for {ago((ended - began + step).total_seconds())}", 300)
                ref = f"{source}/{name}/{about}"
                found.append(TimelineEvent(at=began, kind="alert", ref=ref, text=text, health=health))
    return found


def _runs(times: Sequence[datetime], gap: timedelta) -> list[tuple[datetime, datetime]]:
    """First and last of each stretch of `times` (oldest first) in which no two neighbors are further apart."""
    found: list[tuple[datetime, datetime]] = []
    for at in times:
        if found and at - found[-1][1] <= gap:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found
