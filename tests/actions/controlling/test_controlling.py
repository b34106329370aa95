"""Orders to a controller: given once, watched, proven by fresh requests on the version, and taken back."""

import asyncio
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from actions.controlling import following, giving
from actions.journal.errors import JournalError
from actions.journal.steering import possible_orders
from actions.judging.stages import StageVerdict
from actions.models import Action, Consent, Refused, Request
from actions.outcome import exit_code
from backends.errors import BackendError
from backends.ports import ControllerState
from tests.actions.controlling.desk import PROBED, RELEASE, ROLLBACK, YES, Desk, at_desk, released


async def test_a_release_is_followed_to_its_end_and_proven(desk: Desk) -> None:
    plan = await desk.gate.plan(RELEASE)
    assert (plan.from_, plan.to, plan.guard_class) == ("1.0", "2.0", "3")
    ended = await released(desk)
    assert (ended.status, ended.changed, exit_code(ended)) == ("succeeded", True, 0)
    assert [step.name for step in ended.steps if step.status == "succeeded"] == [
        "preflight", "release", "follow", "verify",
    ]  # fmt: skip
    assert ended.switch is not None
    assert ended.switch.requests >= 20
    assert ended.switch.first_new_s is not None
    assert desk.controller.ordered == [("release", "2.0")]
    assert (await desk.gate.verify_audit()).intact


async def test_what_runs_already_is_released_already(desk: Desk) -> None:
    plan = await desk.gate.plan(Request(kind="release", service="svc", version="1.0"))
    assert plan.already
    assert (await desk.gate.submit(plan, YES)).changed is False


async def test_without_a_probe_the_end_is_unproven(tmp_path: Path) -> None:
    async with at_desk(tmp_path, {}) as at:
        ended = await released(at)
    assert (ended.status, ended.switch) == ("succeeded", None)
    assert "unproven" in [finding.code for finding in ended.findings]
    assert "verify" not in [step.name for step in ended.steps]


@pytest.mark.parametrize(
    "key",
    [
        {"smoke": ["./smoke.sh"]}, {"exposition": {"stable": "http://x"}}, {"bake": "10m"}, {"stage_time": "1m"},
        {"health": {"stable": "http://x"}}, {"stages": {"canary": [5, 100]}}, {"env": ["A"]}, {"deploy": ["./d"]},
    ],
)  # fmt: skip
async def test_a_key_that_would_do_nothing_is_refused_and_is_in_no_way_backs_way(
    tmp_path: Path, key: dict[str, Any]
) -> None:
    async with at_desk(tmp_path, {**PROBED, **key}) as at:
        plan = await at.gate.plan(RELEASE)
        (block,) = (finding for finding in plan.findings if finding.level == "block")
        assert block.code == "unheeded"
        assert f"leave out {next(iter(key))} (" in block.text
        at.controller.begin("3.0", by="bob")
        assert not (await at.gate.plan(ROLLBACK)).blocked


async def test_an_end_that_fresh_requests_do_not_show_goes_back(desk: Desk) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.lying = "1.0"
    desk.controller.shift(100)
    desk.controller.complete()
    await desk.until(action, lambda seen: seen.phase == "follow-back")
    desk.controller.complete()
    ended = await desk.ended(action)
    assert ended.status == "rolled_back", ended
    assert [word for word, _ in desk.controller.ordered] == ["release", "rollback"]
    assert desk.controller.stable == "1.0"


async def test_a_pause_of_the_controller_is_told_with_its_end_and_promoted(desk: Desk) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.wait()
    held = await desk.until(action, lambda seen: seen.hold is not None)
    assert held.hold is not None
    assert "PROMOTES ITSELF at" in held.hold.why
    assert held.hold.until is None  # nothing goes back then
    possible = possible_orders(held, orphaned=False)
    assert (possible["promote"], bool(possible["accept"])) == ("", True)  # as the menu of the console shows it
    await desk.order(held, "promote")
    await desk.until(action, lambda seen: seen.hold is None)
    assert [word for word, _ in desk.controller.ordered] == ["release", "promote"]
    desk.controller.shift(100)
    desk.controller.complete()
    assert (await desk.ended(action)).status == "succeeded"


@pytest.mark.parametrize("word", ["pause", "promote", "accept"])
async def test_an_order_that_the_controller_does_not_take_says_what_it_has(desk: Desk, word: str) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    with pytest.raises(Refused) as no:
        await desk.order(action, word)
    assert no.value.exit_code == 3
    assert word in no.value.error.message
    assert desk.controller.ordered == [("release", "2.0")]


@pytest.mark.parametrize("word", ["abort", "rollback"])
async def test_an_open_release_is_taken_back_by_an_abort(desk: Desk, word: str) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.shift(50)
    await desk.order(action, word)
    ended = await desk.ended(action)
    assert (ended.status, exit_code(ended, ordered="rollback")) == ("rolled_back", 0)
    assert [each for each, _ in desk.controller.ordered] == ["release", "abort"]
    assert next(step for step in ended.steps if step.name == "verify-back").status == "succeeded"


async def test_a_rollback_is_queued_to_the_open_release(desk: Desk) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    plan = await desk.gate.plan(ROLLBACK)
    assert plan.expected.queued_to == action.id
    assert (plan.from_, plan.to) == ("2.0", "1.0")
    assert any("at once" in finding.text for finding in plan.findings)
    queued = await desk.gate.submit(plan, YES)
    assert (await desk.ended(queued)).status == "rolled_back"


async def test_after_the_end_a_rollback_is_a_new_change_and_says_so(desk: Desk) -> None:
    await released(desk)
    plan = await desk.gate.plan(ROLLBACK)
    assert (plan.from_, plan.to, plan.expected.queued_to) == ("2.0", "1.0", "")
    assert any("not instant" in finding.text and "42s" in finding.text for finding in plan.findings)
    action = await desk.gate.submit(plan, YES)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.complete()
    ended = await desk.ended(action)
    assert (ended.status, exit_code(ended)) == ("succeeded", 0)
    again = await desk.gate.plan(ROLLBACK)
    assert again.already
    assert (await desk.gate.submit(again, YES)).changed is False
    assert [each for each, _ in desk.controller.ordered] == ["release", "rollback"]


async def test_a_way_back_that_the_system_still_keeps_open_is_no_change_to_take_back(desk: Desk) -> None:
    """CodeDeploy keeps what had the traffic for minutes: a second rollback ended the first one, and went forward."""
    await released(desk)
    action = await desk.gate.submit(await desk.gate.plan(ROLLBACK), YES)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.arrive()
    assert (await desk.ended(action)).status == "succeeded"
    again = await desk.gate.plan(ROLLBACK)
    assert (again.already, again.to) == (True, "1.0")
    assert (await desk.gate.submit(again, YES)).changed is False
    assert [each for each, _ in desk.controller.ordered] == ["release", "rollback"]


async def test_a_runner_that_dies_on_the_way_back_leaves_an_action_that_a_rollback_ends(desk: Desk) -> None:
    """The controller is on its way back already: the action is not left open for that."""
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.shift(50)
    desk.controller.back = True
    desk.runners[-1].cancel()
    await desk.until(action, lambda seen: seen.orphaned_since is not None)
    plan = await desk.gate.plan(ROLLBACK)
    assert (plan.already, plan.blocked, plan.expected.queued_to) == (False, False, action.id)
    await desk.gate.submit(plan, YES)
    await desk.until(action, lambda seen: seen.phase == "follow-back")
    desk.controller.go_back("stopped")
    assert (await desk.ended(await desk.gate.action(action.id or ""))).status == "rolled_back"
    assert [word for word, _ in desk.controller.ordered] == ["release"]


async def test_a_hold_has_no_gap_where_another_runner_goes_on(desk: Desk) -> None:
    """In one `promote` is refused: "there is no wait to skip"."""
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.wait()
    await desk.until(action, lambda seen: seen.hold is not None)
    desk.runners[-1].cancel()
    orphan = await desk.until(action, lambda seen: seen.orphaned_since is not None)
    assert orphan.hold is not None
    before = orphan.hold.since
    await desk.order(orphan, "resume")
    await desk.until(action, lambda seen: seen.hold is not None and seen.hold.since != before)
    history = await desk.journal.history(action.id or "")
    assert [line.event.kind for line in history if line.event.kind in ("held", "released")] == ["held", "held"]


async def test_a_pause_of_a_way_back_waits_for_nobody(desk: Desk) -> None:
    await released(desk)
    action = await desk.begin(ROLLBACK)
    await desk.until(action, lambda seen: seen.phase == "follow")
    for _ in range(2):
        desk.controller.wait()
        await desk.until(action, lambda seen: not desk.controller.pause)
    desk.controller.complete()
    ended = await desk.ended(action)
    assert (ended.status, ended.hold) == ("succeeded", None)
    assert [word for word, _ in desk.controller.ordered] == ["release", "rollback", "promote", "promote"]


@pytest.mark.parametrize("why", ["hook POST_SCALE_UP failed", "alarm errors-high", "stopped by bob"])
async def test_what_goes_back_by_itself_is_the_outcome(desk: Desk, why: str) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.shift(50)
    desk.controller.go_back(why)
    ended = await desk.ended(action)
    assert (ended.status, exit_code(ended)) == ("rolled_back", 1)
    assert ended.error is not None
    assert why in ended.error.message
    assert (await desk.gate.plan(ROLLBACK)).already


async def test_what_was_stopped_and_left_goes_back_to_what_it_came_from_and_no_further(desk: Desk) -> None:
    await released(desk)
    action = await desk.begin(Request(kind="release", service="svc", version="3.0"))
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.shift(100)
    desk.controller.stop("stopped by bob, with no way back")
    ended = await desk.ended(action)
    assert (ended.status, exit_code(ended)) == ("rollback_failed", 9)
    plan = await desk.gate.plan(ROLLBACK)
    assert (plan.from_, plan.to) == ("3.0", "2.0")  # not 1.0, which was stable before that
    back = await desk.gate.submit(plan, YES)
    await desk.until(back, lambda seen: seen.phase == "follow")
    desk.controller.complete()
    assert (await desk.ended(back)).status == "succeeded"
    assert desk.controller.ordered[-1] == ("rollback", "2.0")


async def test_what_was_stopped_before_any_traffic_moved_is_back_already(desk: Desk) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.stop("stopped by bob")
    assert (await desk.ended(action)).status == "aborted"
    assert (await desk.gate.plan(ROLLBACK)).already


async def test_a_change_of_somebody_else_locks_it_and_is_steered_by_name(desk: Desk) -> None:
    desk.controller.begin("3.0", by="bob since 03:10")
    with pytest.raises(Refused) as held:
        await desk.gate.plan(RELEASE)
    assert (held.value.exit_code, held.value.error.kind) == (6, "held")
    assert "bob since 03:10" in held.value.error.message
    desk.controller.wait()
    promoted = await desk.ended(await desk.begin(Request(kind="promote", service="svc")))
    assert (promoted.status, promoted.from_, promoted.to) == ("succeeded", "1.0", "3.0")
    desk.controller.shift(50)
    aborted = await desk.ended(await desk.begin(Request(kind="abort", service="svc")))
    assert (aborted.status, aborted.to) == ("succeeded", "1.0")
    assert desk.controller.stable == "1.0"


@pytest.mark.parametrize(
    "kind", ["pause-release", "resume-release", "restart-release", "retry-release", "promote", "retire"]
)
async def test_an_order_that_does_not_exist_is_one_line(desk: Desk, kind: str) -> None:
    plan = await desk.gate.plan(Request(kind=kind, service="svc"))
    block = next(finding for finding in plan.findings if finding.level == "block")
    assert "\n" not in block.text
    with pytest.raises(Refused) as no:
        await desk.gate.submit(plan, YES)
    assert no.value.exit_code == 3
    assert desk.controller.ordered == []


async def test_nothing_is_flipped_and_nothing_aborted_where_nothing_is_under_way(desk: Desk) -> None:
    with pytest.raises(Refused) as flip:
        await desk.gate.plan(Request(kind="flip", service="svc"))
    assert flip.value.exit_code == 3
    with pytest.raises(Refused) as abort:
        await desk.gate.plan(Request(kind="abort", service="svc"))
    assert abort.value.exit_code == 5


async def test_a_lost_answer_is_looked_for_and_not_given_again(desk: Desk) -> None:
    desk.controller.fault = "lost"
    ended = await released(desk)
    assert ended.status == "succeeded"
    assert desk.controller.ordered == [("release", "2.0")]


async def test_what_was_refused_changed_nothing(desk: Desk) -> None:
    desk.controller.fault = "refused"
    ended = await desk.ended(await desk.begin(RELEASE))
    assert (ended.status, ended.changed, exit_code(ended)) == ("aborted", False, 7)


async def test_a_change_between_the_look_and_the_order_is_a_conflict(desk: Desk) -> None:
    desk.controller.fault = "external"
    ended = await desk.ended(await desk.begin(RELEASE))
    assert (ended.status, exit_code(ended)) == ("aborted", 6)
    assert desk.controller.ordered == []


@pytest.mark.parametrize("fault", ["killed before", "killed after"])
async def test_a_runner_that_dies_at_the_order_gives_it_once(desk: Desk, fault: str) -> None:
    desk.controller.fault = fault
    action = await desk.begin(RELEASE)
    orphan = await desk.until(action, lambda seen: seen.orphaned_since is not None)
    await desk.order(orphan, "resume")
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.shift(100)
    desk.controller.complete()
    assert (await desk.ended(action)).status == "succeeded"
    assert desk.controller.ordered == [("release", "2.0")]


@pytest.mark.parametrize("phase", ["follow", "verify"])
async def test_a_runner_that_dies_later_is_gone_on_with_or_taken_back(desk: Desk, phase: str) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    if phase == "verify":
        desk.controller.lying = "1.0"
        desk.controller.complete()
        await desk.until(action, lambda seen: seen.phase == "verify")
    desk.runners[-1].cancel()
    orphan = await desk.until(action, lambda seen: seen.orphaned_since is not None)
    await desk.gate.submit(await desk.gate.plan(ROLLBACK), YES)
    if phase == "verify":
        await desk.until(orphan, lambda seen: seen.phase == "follow-back")
        desk.controller.complete()
    ended = await desk.ended(await desk.gate.action(action.id or ""))
    assert ended.status == "rolled_back", ended
    assert desk.controller.stable == "1.0"


class _Judge:
    """A metric gate that fails as soon as the candidate has traffic."""

    due_s, hold_s, least_s = 0.0, 60.0, 0.0

    async def baseline(self) -> dict[str, Any]:
        return {}

    def stage(self, share: int, seconds: float, baseline: dict[str, Any]) -> "_Judge":
        return self

    async def look(self) -> StageVerdict:
        return StageVerdict(word="fail", detail="error-rate 9 % > 5 %")


async def test_a_metric_gate_that_fails_aborts_it_beside_the_controllers_own_judgement(desk: Desk) -> None:
    with mock.patch("actions.controlling.doing.judge_between", return_value=_Judge()):
        action = await desk.begin(RELEASE)
        await desk.until(action, lambda seen: seen.phase == "follow")
        desk.controller.shift(25)
        ended = await desk.ended(action)
    assert (ended.status, ended.error and ended.error.kind) == ("rolled_back", "gate_failed")
    assert [each for each, _ in desk.controller.ordered] == ["release", "abort"]
    again = await desk.gate.plan(RELEASE)
    assert "rejected" in [finding.code for finding in again.findings if finding.level == "block"]
    desk.controller.stable = RELEASE.version  # somebody put it out past us
    seen = await desk.gate.enrich(await desk.controller.deployment())
    accept = Request(kind="accept", service=RELEASE.service, version=RELEASE.version)
    assert seen.rejected is not None
    assert f"teal deploy accept {RELEASE.service} {RELEASE.version} --reason WHY" in seen.rejected
    done = await desk.gate.submit(await desk.gate.plan(accept), Consent(confirmed=True, reason="it is meant"))
    assert (done.status, done.to, done.version) == ("succeeded", "stable", RELEASE.version)
    assert (await desk.gate.enrich(await desk.controller.deployment())).rejected is None


async def test_a_freeze_holds_a_release_and_a_promotion_and_no_way_back(desk: Desk) -> None:
    desk.controller.begin("3.0", by="bob")
    desk.controller.wait()
    await desk.begin(Request(kind="freeze", service="svc"))
    for kind, frozen in (("promote", True), ("abort", False)):
        plan = await desk.gate.plan(Request(kind=kind, service="svc"))
        assert ("freeze" in [each.code for each in plan.findings if each.level == "block"]) == frozen, kind


async def test_the_journal_that_is_lost_is_in_no_way_backs_way(desk: Desk) -> None:
    await released(desk)
    with mock.patch.object(desk.journal, "open_action", side_effect=JournalError("unreachable", "no disk")):
        plan = await desk.gate.plan(ROLLBACK)
    assert (plan.to, plan.expected.without_journal) == ("1.0", "no disk")
    assert not plan.blocked


async def test_out_of_time_it_is_aborted(desk: Desk) -> None:
    action = await desk.begin(Request(kind="release", service="svc", version="2.0", timeout_s=1.0))
    ended = await desk.ended(action)
    assert ended.status == "rolled_back"
    assert ended.error is not None
    assert ended.error.kind == "deadline"
    assert [each for each, _ in desk.controller.ordered] == ["release", "abort"]


async def test_an_abandoned_release_goes_on_by_itself_and_is_said(desk: Desk) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.runners[-1].cancel()
    orphan = await desk.until(action, lambda seen: seen.orphaned_since is not None)
    await desk.order(orphan, "abandon")
    ended = await desk.until(action, lambda seen: not seen.open)
    assert ended.status == "abandoned"
    assert [each for each, _ in desk.controller.ordered] == ["release"]


async def _blind(desk: Desk, **more: Any) -> Action:
    """A release whose controller can no longer be read, as soon as it is held for that."""
    action = await desk.begin(Request(kind="release", service="svc", version="2.0", **more))
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.shift(50)
    desk.controller.unreadable = "no route to host"
    held = await desk.until(action, lambda seen: seen.status == "paused")
    assert held.hold is not None
    assert "fake can not be read" in held.hold.why
    assert held.error is not None
    assert (held.error.kind, "no route to host" in held.error.message) == ("held", True)
    assert "deploy rollback svc" in held.error.fix
    assert exit_code(held) == 8
    return held


async def test_a_controller_that_stays_unreadable_is_a_hold_that_ends_when_it_can_be_read(desk: Desk) -> None:
    with mock.patch.object(following, "UNREAD_S", 0.2):
        held = await _blind(desk)
    desk.controller.unreadable = ""
    await desk.until(held, lambda seen: seen.hold is None and seen.status == "running")
    desk.controller.shift(100)
    desk.controller.complete()
    assert (await desk.ended(held)).status == "succeeded"
    assert [each for each, _ in desk.controller.ordered] == ["release"]


async def test_out_of_time_and_unreadable_it_is_held_and_goes_back_when_it_can_be_read(desk: Desk) -> None:
    held = await _blind(desk, timeout_s=1.5)
    desk.controller.unreadable = ""
    ended = await desk.ended(held)
    assert (ended.status, ended.error and ended.error.kind) == ("rolled_back", "deadline")
    assert [each for each, _ in desk.controller.ordered] == ["release", "abort"]


async def test_a_way_back_that_was_ordered_while_unreadable_is_taken_when_it_can_be_read(desk: Desk) -> None:
    with mock.patch.object(following, "UNREAD_S", 0.2):
        held = await _blind(desk)
    await desk.order(held, "rollback")
    await desk.until(held, lambda seen: seen.status == "rolling_back")
    await asyncio.sleep(0.1)
    assert [each for each, _ in desk.controller.ordered] == ["release"]
    desk.controller.unreadable = ""
    assert (await desk.ended(held)).status == "rolled_back"
    assert [each for each, _ in desk.controller.ordered] == ["release", "abort"]


async def test_a_way_back_that_can_not_be_read_is_told_and_stays_a_way_back(desk: Desk) -> None:
    await released(desk)
    action = await desk.begin(ROLLBACK)
    await desk.until(action, lambda seen: seen.phase == "follow")
    with mock.patch.object(following, "UNREAD_S", 0.2):
        desk.controller.unreadable = "no route to host"
        held = await desk.until(action, lambda seen: seen.hold is not None)
    assert "can not be read" in held.hold.why if held.hold else False
    desk.controller.unreadable = ""
    await desk.until(action, lambda seen: seen.hold is None)
    desk.controller.complete()
    assert (await desk.ended(action)).status == "succeeded"


async def test_an_order_that_nobody_can_look_for_is_in_doubt_and_may_have_changed_something(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(giving, "READ_AGAIN_S", (0.01, 0.01))
    taken = desk.controller.order

    async def lost(*given: Any, **more: Any) -> ControllerState:
        await taken(*given, **more)
        desk.controller.unreadable = "no route to host"
        raise BackendError("timeout", "no answer")

    monkeypatch.setattr(desk.controller, "order", lost)
    action = await desk.begin(RELEASE)
    doubted = await desk.until(action, lambda seen: seen.status == "in_doubt")
    assert (doubted.changed, exit_code(doubted)) == (True, 9)
    desk.controller.unreadable = ""
    await desk.order(doubted, "resume")
    desk.controller.shift(100)
    desk.controller.complete()
    assert (await desk.ended(action)).status == "succeeded"


async def test_an_order_that_shows_no_effect_is_in_doubt_and_is_not_given_again(desk: Desk) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.wait()
    await desk.until(action, lambda seen: seen.hold is not None)
    desk.controller.deaf = "no effect seen of a promote, for 15 s"
    await desk.order(action, "promote")
    doubted = await desk.until(action, lambda seen: seen.status == "in_doubt")
    assert doubted.error is not None
    assert doubted.error.message == "no effect seen of a promote, for 15 s"
    desk.controller.deaf = ""
    await desk.order(action, "resume")
    desk.controller.shift(100)
    desk.controller.complete()
    assert (await desk.ended(action)).status == "succeeded"
    assert [word for word, _ in desk.controller.ordered] == ["release", "promote"]


async def test_what_went_back_by_itself_and_is_still_wanted_names_both_ways_out(desk: Desk) -> None:
    desk.controller.wants = True
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.go_back("too many errors")
    ended = await desk.ended(action)
    assert (ended.status, exit_code(ended)) == ("rolled_back", 1)
    assert ended.error is not None
    assert "spec-not-back" in ended.error.message
    assert "deploy rollback svc" in ended.error.fix
    assert "deploy retry svc" in ended.error.fix
    desk.controller.wants = False
    plan = await desk.gate.plan(ROLLBACK)
    assert (plan.from_, plan.to, plan.already) == ("2.0", "1.0", False)
    back = await desk.gate.submit(plan, YES)
    await desk.until(back, lambda seen: seen.phase == "follow")
    desk.controller.complete()
    assert (await desk.ended(back)).status == "succeeded"
    assert desk.controller.ordered == [("release", "2.0"), ("rollback", "1.0")]


async def test_a_rollback_of_what_is_open_also_ends_that_it_is_wanted(desk: Desk) -> None:
    desk.controller.wants = True
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    await desk.order(action, "rollback")
    await desk.until(action, lambda seen: seen.phase == "follow-spec")
    desk.controller.wants = False
    desk.controller.complete()
    assert (await desk.ended(action)).status == "rolled_back"
    assert desk.controller.ordered == [("release", "2.0"), ("abort", ""), ("rollback", "1.0")]


async def test_what_an_ended_action_of_ours_left_under_way_is_told_with_that_action(desk: Desk) -> None:
    desk.controller.begin("3.0", stamp="01ABC:rollback")
    with pytest.raises(Refused) as no:
        await desk.gate.plan(RELEASE)
    assert (no.value.exit_code, "of the action 01ABC is under way" in no.value.error.message) == (6, True)
