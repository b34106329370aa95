"""The four numbers of DORA from what the journal knows of its actions: pure functions over `Action`.

A deployment is a release or flip that moved traffic. Its lead time begins with the order, since the journal knows of no
commit, and ends with the bake. It failed where it went back, by a gate, by hand, or later by a rollback. The time to
restore begins with the decision to go back and ends with the old side verified.
Definitions: https://dora.dev/guides/dora-metrics-four-keys/. Goals: what the mission of this console sets.
"""

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from msgspec import Struct

from actions.kinds import kind_of
from actions.models import Action

DAY_S = 86_400.0
GOAL_PER_DAY, GOAL_LEAD_S, GOAL_FAILED, GOAL_RESTORE_S = 1.0, 3600.0, 0.05, 900.0
ALL = "all services"


class Dora(Struct, frozen=True, kw_only=True):
    """Of one service, or of all. Seconds are medians; None where there was nothing to measure."""

    service: str
    deployments: int
    per_day: float
    lead_time_s: float | None
    failed: int
    change_failure_rate: float | None
    restored: int
    time_to_restore_s: float | None


def dora(actions: Sequence[Action], *, since: datetime, until: datetime) -> list[Dora]:
    """One row for each service that was changed from `since` to `until`, by name, then one for all of them. `actions`,
    in the order of the journal, the newest first, may reach beyond: what was undone later is a failure of the time in
    which it went live."""
    found = [action for action in reversed(actions) if action.changed and action.started_at is not None]
    failures = _failures(found)
    within = [action for action in found if _moved_forward(action) and _ended_within(action, since, until)]
    services = sorted({action.service for action in within})
    days = max((until - since).total_seconds() / DAY_S, 1e-9)
    rows = [_row(service, [action for action in within if action.service == service], failures, days)
            for service in services]  # fmt: skip
    return [*rows, _row(ALL, within, failures, days)]


def _failures(actions: Sequence[Action]) -> dict[str, float | None]:
    """By the id of what failed: the seconds until the old side was verified; None where it never was."""
    failures: dict[str, float | None] = {}
    last: dict[str, Action] = {}
    for action in actions:
        if _moved_forward(action):
            last[action.service] = action
            if action.status in ("rolled_back", "rollback_failed"):
                failures[action.id or ""] = _way_back_s(action)
        elif kind_of(action.kind).back and action.status == "succeeded":
            undone = last.pop(action.service, None)
            if undone is not None and undone.id not in failures:
                failures[undone.id or ""] = _seconds(action.started_at, action.ended_at)
    return failures


def _way_back_s(action: Action) -> float | None:
    if action.status != "rolled_back":
        return None
    back = next((step for step in action.steps if step.name == "shift-back"), None)
    return _seconds(back.started_at if back else None, action.ended_at)


def _row(service: str, actions: Sequence[Action], failures: dict[str, float | None], days: float) -> Dora:
    leads = [lead for action in actions if action.status == "succeeded" and (lead := _lead_s(action)) is not None]
    failed = [failures[action.id or ""] for action in actions if (action.id or "") in failures]
    restored = [seconds for seconds in failed if seconds is not None]
    return Dora(
        service=service,
        deployments=len(actions),
        per_day=round(len(actions) / days, 3),
        lead_time_s=round(median(leads), 1) if leads else None,
        failed=len(failed),
        change_failure_rate=round(len(failed) / len(actions), 4) if actions else None,
        restored=len(restored),
        time_to_restore_s=round(median(restored), 1) if restored else None,
    )


def _lead_s(action: Action) -> float | None:
    return _seconds(action.started_at, action.ended_at)


def _moved_forward(action: Action) -> bool:
    return kind_of(action.kind).forward


def _ended_within(action: Action, since: datetime, until: datetime) -> bool:
    return action.ended_at is not None and since <= action.ended_at <= until


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else max(0.0, (end - begin).total_seconds())
