"""Metric gates after the change of a controller has arrived: judged for the bake of the entry, also where it moved all
traffic at once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from actions.judging.stages import StageVerdict
from actions.models import Action, Refused
from tests.actions.controlling.desk import PROBED, RELEASE, ROLLBACK, YES, Desk, at_desk

GATED = {**PROBED, "bake": "300ms", "metrics": "prom", "gates": [{"name": "g", "candidate": "up", "max": 1}]}


class Judge:
    """Says `says` at each look; `seen` are the shares that it was asked of."""

    due_s, hold_s, least_s = 0.0, 60.0, 0.0

    def __init__(self) -> None:
        self.says: Any = "pass"
        self.seen: list[int] = []

    async def baseline(self) -> dict[str, Any]:
        return {}

    def stage(self, share: int, seconds: float, baseline: dict[str, Any]) -> "Judge":
        self.seen.append(share)
        return self

    async def look(self) -> StageVerdict:
        return StageVerdict(word=self.says, detail=f"error-rate {self.says}")


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
async def desk(tmp_path: Path, judge: Judge) -> AsyncIterator[Desk]:
    async with at_desk(tmp_path, GATED) as at:
        planned = mock.patch("actions.controlling.control_plan.conditions", return_value=[])
        with planned, mock.patch("actions.controlling.doing.judge_between", return_value=judge):
            yield at


async def arrived(desk: Desk) -> Action:
    """All at once: between two looks of ours the old tasks are gone."""
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.complete()
    return await desk.until(action, lambda seen: seen.phase == "bake" or not seen.open)


async def test_what_arrives_at_once_is_judged_before_it_is_a_success(desk: Desk, judge: Judge) -> None:
    ended = await desk.ended(await arrived(desk))
    assert ended.status == "succeeded"
    assert [(step.name, step.status) for step in ended.steps][-2:] == [("verify", "succeeded"), ("bake", "succeeded")]
    assert judge.seen == [100]


async def test_a_gate_that_fails_after_it_arrived_takes_it_back(desk: Desk, judge: Judge) -> None:
    judge.says = "waiting"
    action = await arrived(desk)
    judge.says = "fail"
    await desk.until(action, lambda seen: seen.phase == "follow-back")
    desk.controller.complete()
    ended = await desk.ended(action)
    assert (ended.status, ended.error and ended.error.kind) == ("rolled_back", "gate_failed")
    assert [word for word, _ in desk.controller.ordered] == ["release", "rollback"]
    assert desk.controller.stable == "1.0"
    again = await desk.gate.plan(RELEASE)
    assert "rejected" in [finding.code for finding in again.findings if finding.level == "block"]


async def test_while_the_old_tasks_stay_a_gate_that_fails_stops_it_at_once(desk: Desk, judge: Judge) -> None:
    judge.says = "waiting"
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.arrive()
    await desk.until(action, lambda seen: seen.phase == "bake")
    judge.says = "fail"
    ended = await desk.ended(action)
    assert (ended.status, ended.error and ended.error.kind) == ("rolled_back", "gate_failed")
    assert [word for word, _ in desk.controller.ordered] == ["release", "abort"]


async def test_without_evidence_it_is_held_at_100_percent_until_somebody_accepts(desk: Desk, judge: Judge) -> None:
    judge.says = "inconclusive"
    action = await arrived(desk)
    held = await desk.until(action, lambda seen: seen.hold is not None)
    assert held.hold is not None
    assert held.hold.until is None  # a way back would be as blind
    assert "error-rate inconclusive" in held.hold.why
    await desk.order(held, "accept")
    ended = await desk.ended(action)
    assert ended.status == "succeeded"
    assert "accepted by hand" in next(step.detail for step in ended.steps if step.name == "bake")


async def test_the_bake_is_skipped_by_promote_and_stands_while_it_is_paused(tmp_path: Path, judge: Judge) -> None:
    judge.says = "waiting"
    async with at_desk(tmp_path, {**GATED, "bake": "60s"}) as desk:
        with (
            mock.patch("actions.controlling.control_plan.conditions", return_value=[]),
            mock.patch("actions.controlling.doing.judge_between", return_value=judge),
        ):
            action = await arrived(desk)
            await desk.order(action, "pause")
            paused = await desk.until(action, lambda seen: seen.status == "paused")
            await desk.order(paused, "promote")
            assert (await desk.ended(action)).status == "succeeded"
    assert [word for word, _ in desk.controller.ordered] == ["release"]  # none of these was the controller's


async def test_what_somebody_else_stops_in_the_bake_is_the_outcome(desk: Desk, judge: Judge) -> None:
    judge.says = "waiting"
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.arrive()
    await desk.until(action, lambda seen: seen.phase == "bake")
    desk.controller.go_back("stopped by bob")
    ended = await desk.ended(action)
    assert (ended.status, "stopped by bob" in (ended.error.message if ended.error else "")) == ("rolled_back", True)
    assert [word for word, _ in desk.controller.ordered] == ["release"]


async def test_a_runner_that_dies_in_the_bake_is_gone_on_with_or_taken_back(desk: Desk, judge: Judge) -> None:
    judge.says = "waiting"
    action = await arrived(desk)
    desk.runners[-1].cancel()
    orphan = await desk.until(action, lambda seen: seen.orphaned_since is not None)
    await desk.order(orphan, "resume")
    await desk.until(action, lambda seen: seen.phase == "bake" and seen.orphaned_since is None)
    desk.runners[-1].cancel()
    await desk.until(action, lambda seen: seen.orphaned_since is not None)
    await desk.gate.submit(await desk.gate.plan(ROLLBACK), YES)
    await desk.until(action, lambda seen: seen.phase == "follow-back")
    desk.controller.complete()
    assert (await desk.ended(await desk.gate.action(action.id or ""))).status == "rolled_back"
    assert desk.controller.stable == "1.0"


async def test_a_controller_that_can_not_be_read_at_the_end_of_the_bake_is_no_success(desk: Desk, judge: Judge) -> None:
    judge.says = "waiting"
    action = await arrived(desk)
    desk.controller.unreadable, judge.says = "no route to host", "pass"
    held = await desk.until(action, lambda seen: seen.hold is not None)
    assert held.hold is not None
    assert "fake can not be read: no route to host" in held.hold.why
    desk.controller.unreadable = ""
    assert (await desk.ended(action)).status == "succeeded"


async def test_a_release_without_gates_has_no_bake(tmp_path: Path) -> None:
    async with at_desk(tmp_path, PROBED) as desk:
        ended = await desk.ended(await arrived(desk))
    assert (ended.status, "bake" in [step.name for step in ended.steps]) == ("succeeded", False)


async def test_the_keys_of_the_bake_count_where_there_are_gates(desk: Desk) -> None:
    assert not [finding for finding in (await desk.gate.plan(RELEASE)).findings if finding.code == "unheeded"]
    with pytest.raises(Refused):
        await desk.order(await arrived(desk), "resume")
