"""The four numbers of DORA: what counts as a deployment, a failure, a restoration."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actions.dora import ALL, Dora, dora
from actions.models import Action, Step

ZERO = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = timedelta(days=7)


def at(hours: float) -> datetime:
    return ZERO + timedelta(hours=hours)


def action(
    number: int, kind: Any, hours: float, status: Any = "succeeded", *, took_s: float = 600, **more: Any
) -> Action:
    given = {"service": "analytics", "phase": "", "from_": "blue", "to": "green", "changed": True, **more}
    return Action(
        id=f"A{number}", kind=kind, status=status, started_at=at(hours),
        ended_at=at(hours) + timedelta(seconds=took_s), **given,
    )  # fmt: skip


def back(hours: float) -> tuple[Step, ...]:
    return (Step(name="shift", status="succeeded"), Step(name="shift-back", status="succeeded", started_at=at(hours)))


def rows(*actions: Action) -> dict[str, Dora]:
    return {row.service: row for row in dora(actions[::-1], since=ZERO, until=ZERO + WEEK)}


def test_nothing_is_nothing_and_no_zero() -> None:
    (row,) = dora([], since=ZERO, until=ZERO + WEEK)
    assert (row.service, row.deployments, row.per_day) == (ALL, 0, 0)
    assert (row.lead_time_s, row.change_failure_rate, row.time_to_restore_s) == (None, None, None)


def test_a_week() -> None:
    found = rows(
        action(1, "release", 1, took_s=600),
        action(2, "release", 25, took_s=1200),
        action(3, "release", 49, "rolled_back", took_s=300, steps=back(49 + 240 / 3600)),
        action(4, "flip", 73, took_s=900),
        action(5, "rollback", 74, took_s=30, from_="green", to="blue"),
        action(6, "release", 75, "aborted", changed=False),
        action(7, "release", 76, service="model", took_s=60),
        action(8, "trigger", 77, service="airflow/daily"),
    )
    analytics = found["analytics"]
    assert (analytics.deployments, analytics.per_day) == (4, round(4 / 7, 3))
    assert analytics.lead_time_s == 900
    assert (analytics.failed, analytics.change_failure_rate) == (2, 0.5)
    assert (analytics.restored, analytics.time_to_restore_s) == (2, 45)
    assert (found["model"].failed, found["model"].change_failure_rate) == (0, 0)
    assert (found[ALL].deployments, found[ALL].failed) == (5, 2)


def test_what_was_undone_later_failed_when_it_went_live() -> None:
    found = rows(action(1, "flip", 160), action(2, "rollback", 200, took_s=60))
    assert (found["analytics"].failed, found["analytics"].time_to_restore_s) == (1, 60)


def test_a_rollback_undoes_one_deployment_once() -> None:
    found = rows(action(1, "flip", 1), action(2, "flip", 2), action(3, "rollback", 3), action(4, "rollback", 4))
    assert found["analytics"].failed == 1


def test_a_rollback_that_failed_restored_nothing() -> None:
    found = rows(action(1, "release", 1, "rollback_failed", steps=back(1)))
    assert (found["analytics"].failed, found["analytics"].restored) == (1, 0)
    assert found["analytics"].time_to_restore_s is None


@pytest.mark.parametrize("hours", [-2, 169])
def test_what_ended_before_or_after_is_not_counted(hours: float) -> None:
    assert rows(action(1, "release", hours))[ALL].deployments == 0
