"""The way back: of a flip that is done, of one that runs, of one whose runner died; and a second one finds it done."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions import outcome
from actions.models import Action, Consent, Refused, Request
from actions.outcome import exit_code
from actions.starting import start
from actions.switching import way_back
from actions.work import Work
from backends.errors import BackendError
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}


async def test_a_rollback_undoes_the_last_flip_and_a_second_one_finds_it_done(house: House, service: TwoColors) -> None:
    flip = await house.order(ANALYTICS_FLIP)
    back = await house.order(ANALYTICS_ROLLBACK)
    assert (back.kind, back.status, back.changed, exit_code(back)) == ("rollback", "succeeded", True, 0)
    assert (back.from_, back.to, service.weights()) == ("green", "blue", BLUE)
    await asyncio.wait(house.runners)  # which note on the switch that it is over
    content = service.switch.read_bytes()
    again = await house.order(ANALYTICS_ROLLBACK)
    assert (again.status, again.changed, exit_code(again)) == ("succeeded", False, 0)
    assert service.switch.read_bytes() == content
    assert flip.id is not None
    assert flip.id in (await house.gate.plan(ANALYTICS_ROLLBACK)).findings[0].text


async def test_with_no_switch_in_the_journal_it_says_what_to_type(house: House, service: TwoColors) -> None:
    with pytest.raises(Refused) as caught:
        await house.order(ANALYTICS_ROLLBACK)
    assert (caught.value.exit_code, service.weights()) == (5, BLUE)
    assert "teal deploy flip analytics --to GREEN" in caught.value.error.fix


async def test_only_the_newest_flip_is_undone_and_not_the_one_before_it(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    await house.order(ANALYTICS_FLIP)
    await house.order(ANALYTICS_ROLLBACK)
    assert service.weights() == GREEN
    assert (await house.order(ANALYTICS_ROLLBACK)).changed is False
    assert service.weights() == GREEN


async def test_a_rollback_passes_freeze_protection_and_a_private_lock(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    today = datetime.now(UTC)
    week = f"{today:%a} 00:00 - {today - timedelta(days=1):%a} 23:59"
    house.under(protected=True, freeze=(week,))
    assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"
    assert service.weights() == BLUE


async def test_but_no_read_only_context(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    house.under(read_only=True)
    with pytest.raises(Refused) as caught:
        await house.order(ANALYTICS_ROLLBACK)
    assert (caught.value.exit_code, service.weights()) == (3, GREEN)


async def test_nor_where_it_is_so_already_and_nothing_is_recorded(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    await house.order(ANALYTICS_ROLLBACK)
    before = len(await house.gate.actions()), len(await house.gate.audit_records())
    house.under(read_only=True)
    assert (await house.gate.plan(ANALYTICS_ROLLBACK)).blocked
    with pytest.raises(Refused) as caught:
        await house.order(ANALYTICS_ROLLBACK)
    assert (caught.value.exit_code, "read-only" in caught.value.error.message) == (3, True)
    assert (len(await house.gate.actions()), len(await house.gate.audit_records())) == before


async def test_nor_an_unhealthy_side_which_pages_someone(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    await service.stop("blue")
    with pytest.raises(Refused) as caught:
        await house.order(ANALYTICS_ROLLBACK)
    assert (caught.value.exit_code, service.weights()) == (9, GREEN)


async def test_nor_an_unknown_truth(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    service.switch.write_text("{")
    with pytest.raises(Refused) as caught:
        await house.order(ANALYTICS_ROLLBACK)
    assert caught.value.exit_code == 9


async def test_a_balancer_that_answers_nothing_good_does_not_hold_a_rollback_up(
    house: House, service: TwoColors
) -> None:
    await house.order(ANALYTICS_FLIP)
    service.faults["green"].status = 500
    assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"
    assert service.weights() == BLUE


async def test_a_rollback_of_a_flip_that_runs_is_queued_to_it(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(flip, "bake")
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        assert any(str(flip.id)[-6:] in effect for effect in plan.summary.effects)
        queued = await house.gate.submit(plan, Consent(confirmed=True, reason="errors"))
        ended = await house.ended(queued)
        assert (queued.id, ended.status, service.weights()) == (flip.id, "rolled_back", BLUE)
        assert (exit_code(ended), outcome.exit_code(ended, ordered="rollback")) == (1, 0)
        assert (await house.order(ANALYTICS_ROLLBACK)).changed is False


async def test_an_order_before_anything_moved_aborts(house: House, service: TwoColors, monkeypatch: Any) -> None:
    flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
    await house.gate.submit(await house.gate.plan(ANALYTICS_ROLLBACK), YES)
    ended = await house.ended(flip)
    assert ended.status in ("aborted", "rolled_back")
    assert service.weights() == BLUE


@pytest.mark.parametrize("phase", ["preflight", "verify", "bake"])
async def test_a_dead_runner_is_seen_and_a_rollback_takes_over(tmp_path: Path, service: TwoColors, phase: str) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        house.halts_in = phase
        flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(flip, phase)
        await house.kill_runner()
        orphan = await house.gate.action(str(flip.id))
        assert orphan.open
        assert house.gate.orphaned(orphan)
        assert orphan.findings[0].code == "orphaned"
        with pytest.raises(Refused) as caught:
            await house.order(replace(ANALYTICS_FLIP, to="blue" if phase != "preflight" else "green"))
        assert caught.value.exit_code == 6
        ended = await house.order(ANALYTICS_ROLLBACK)
        assert (ended.id, ended.status) == (flip.id, "aborted" if phase == "preflight" else "rolled_back")
        assert service.weights() == BLUE
        records = await house.gate.audit_records()
        assert [record.fence for record in records if record.kind in ("lock", "takeover")] == [1, 2]
        assert (await house.gate.verify_audit()).intact


async def test_a_write_that_its_runner_did_not_live_to_see_is_looked_for_before_anything_else(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip = await dies_unobserved(house, monkeypatch)
    await start(str(flip.id), house.gate._launch, house.journal, house.gate.action)
    ended = await house.ended(flip)
    assert (ended.status, ended.error, ended.changed, service.weights()) == ("succeeded", None, True, GREEN)


async def test_a_waiting_rollback_comes_before_what_its_runner_would_do(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip = await dies_unobserved(house, monkeypatch)
    begun = len(await house.journal.history(str(flip.id)))
    ended = await house.order(ANALYTICS_ROLLBACK)
    assert (ended.id, ended.status, service.weights()) == (flip.id, "rolled_back", BLUE)
    since = (await house.journal.history(str(flip.id)))[begun:]
    assert "preflight" not in {told.event.step for told in since}


async def dies_unobserved(house: House, monkeypatch: pytest.MonkeyPatch) -> Action:
    """A flip whose runner ended with the write done and nothing of it in the journal."""

    async def full(*_: Any, **__: Any) -> None:
        raise BackendError("unreachable", "journal: disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Work, "observed", full)
        flip = await house.ended(await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES))
    assert (flip.status, flip.changed) == ("running", False)
    return flip


async def test_a_conflict_is_closed_by_a_rollback(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(flip, "bake")
        service.write({"blue": 50, "green": 50}, stamp="somebody")
        assert (await house.ended(flip)).status == "conflict"
        ended = await house.order(ANALYTICS_ROLLBACK)
        assert (ended.id, ended.status, service.weights()) == (flip.id, "rolled_back", BLUE)


async def test_the_deployment_tells_of_action_last_switch_and_way_back(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        adapter = (await house.targets.switch("analytics")).adapter

        async def shown() -> Any:
            return await house.gate.enrich(await adapter.deployment())

        before = await shown()
        assert (before.action, before.rollback, before.last_switch) == (None, None, None)
        assert not house.location.exists()
        flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(flip, "bake")
        during = await shown()
        assert (during.action, during.rollback.to, during.rollback.ready) == (flip.id, "blue", True)
        await house.gate.submit(await house.gate.plan(ANALYTICS_ROLLBACK), YES)
        await house.ended(flip)
        assert (await shown()).action is None


async def test_the_stamp_in_the_file_names_action_and_step(house: House, service: TwoColors) -> None:
    flip = await house.order(ANALYTICS_FLIP)
    found = json.loads(service.switch.read_text())
    assert (found["stamp"], found["generation"]) == (f"{flip.id}:shift", 2)


async def test_after_a_way_back_of_its_own_a_rollback_changes_nothing(tmp_path: Path, service: TwoColors) -> None:
    """An older flip that nothing has undone must not be taken for the newest: that would put the bad side into
    production."""
    async with House(tmp_path / "state", service, bake="30s") as house:
        for to in ("green", "blue"):
            flip = await house.gate.submit(await house.gate.plan(replace(ANALYTICS_FLIP, to=to)), YES)
            await house.reaches(flip, "bake")
            await house.gate.submit(await house.gate.plan(promote(flip)), YES)
            assert (await house.ended(flip)).status == "succeeded"
        flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(flip, "bake")
        ended = await house.order(ANALYTICS_ROLLBACK)
        assert (ended.status, ended.undo, service.weights()) == ("rolled_back", "", BLUE)
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        assert (plan.already, plan.summary.undo, plan.summary.effects) == (True, "", ())
        assert f"flip {flip.id} went back" in plan.findings[0].text
        again = await house.order(ANALYTICS_ROLLBACK)
        assert (again.changed, exit_code(again), again.undo, service.weights()) == (False, 0, "", BLUE)
        adapter = (await house.targets.switch("analytics")).adapter
        shown = await house.gate.enrich(await adapter.deployment())
        assert shown.rollback is not None
        assert (shown.rollback.to, shown.rollback.ready) == (None, False)
        assert shown.rollback.reason.startswith("back already")
        assert shown.last_switch is not None
        assert (shown.last_switch.from_, shown.last_switch.to) == ("green", "blue")
        await adapter.aclose()


def promote(action: Action) -> Request:
    return Request(kind=action.kind, service=action.service, ref=str(action.id), order="promote")


async def test_what_was_written_by_hand_since_goes_back_once_more(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    await house.order(ANALYTICS_ROLLBACK)
    service.write({"blue": 30, "green": 70}, stamp="somebody")
    plan = await house.gate.plan(ANALYTICS_ROLLBACK)
    assert [finding.code for finding in plan.findings if finding.level == "warning"] == ["changed-since"]
    assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"
    assert service.weights() == BLUE
    assert (await house.order(ANALYTICS_ROLLBACK)).changed is False


async def test_an_unknown_truth_pages_someone_also_where_nothing_is_to_undo(house: House, service: TwoColors) -> None:
    for undone in (False, True):
        if undone:
            service.write(BLUE)
            await house.order(ANALYTICS_FLIP)
            await house.order(ANALYTICS_ROLLBACK)
        service.switch.write_text("{")
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        assert (plan.blocked, plan.already, plan.summary.undo) == (True, False, "")
        with pytest.raises(Refused) as caught:
            await house.gate.submit(plan, YES)
        assert caught.value.exit_code == 9


class Away:
    """A switch that does not answer."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    async def observe(self) -> Any:
        raise BackendError("unreachable", "lb-2: connection refused")


async def test_a_switch_that_does_not_answer_is_unknown_too(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    house.targets.wrap = Away
    with pytest.raises(Refused) as caught:
        await house.order(ANALYTICS_ROLLBACK)
    assert (caught.value.exit_code, service.weights()) == (9, GREEN)
    assert "lb-2: connection refused" in caught.value.error.message


async def test_an_older_change_offers_no_way_back(house: House) -> None:
    first = await house.order(ANALYTICS_FLIP)
    assert first.undo == "teal deploy rollback analytics"
    second = await house.order(ANALYTICS_FLIP)
    assert (await house.gate.action(str(first.id))).undo == ""  # a rollback would take back the newer one
    assert (await house.gate.action(str(second.id))).undo == "teal deploy rollback analytics"


async def test_another_version_on_the_side_is_put_right_first(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    (service.directory / "blue.version").write_text("9.9.9")
    plan = await house.gate.plan(ANALYTICS_ROLLBACK)
    slow = [finding.text for finding in plan.findings if finding.code == "slow-rollback"]
    assert slow == ["slow: BLUE runs 9.9.9 now, and 2.4.0 was left there: it is restored first"]
    ended = await house.order(ANALYTICS_ROLLBACK)
    assert (ended.status, service.weights(), service.version("blue")) == ("succeeded", BLUE, "2.4.0")
    assert [step.name for step in ended.steps][:3] == ["preflight", "start", "health"]


async def test_another_version_that_nobody_can_put_right_is_only_overridden(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, deploy=[]) as house:
        await house.order(ANALYTICS_FLIP)
        (service.directory / "blue.version").write_text("9.9.9")
        adapter = (await house.targets.switch("analytics")).adapter
        offer = (await house.gate.enrich(await adapter.deployment())).rollback
        assert offer is not None
        assert (offer.to, offer.ready, "2.4.0 was left there" in offer.reason) == ("blue", False, True)
        with pytest.raises(Refused) as caught:
            await house.order(ANALYTICS_ROLLBACK)
        assert (caught.value.exit_code, service.weights()) == (3, GREEN)
        assert "--override other-version" in caught.value.error.fix
        over = replace(ANALYTICS_ROLLBACK, overrides=("other-version",))
        assert (await house.order(over, Consent(confirmed=True, reason="it is the same"))).status == "succeeded"
        assert service.weights() == BLUE
        await adapter.aclose()


async def test_a_side_that_says_no_version_is_not_silently_right(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, deploy=[]) as house:
        await house.order(ANALYTICS_FLIP)
        service.faults["blue"].body = b'{"status": "healthy", "environment": "blue"}'
        found = [finding for finding in (await house.gate.plan(ANALYTICS_ROLLBACK)).findings if finding.level != "ok"]
        assert [finding.code for finding in found] == ["version-unknown"]
        assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"


async def test_a_plan_that_is_blocked_or_done_already_has_no_undo(house: House, service: TwoColors) -> None:
    already = await house.gate.plan(replace(ANALYTICS_FLIP, to="blue"))
    assert (already.already, already.summary.undo) == (True, "")
    service.faults["green"].status = 500
    blocked = await house.gate.plan(ANALYTICS_FLIP)
    assert (blocked.blocked, blocked.summary.undo) == (True, "")


async def test_what_came_from_a_split_has_no_undo_and_a_rollback_of_it_names_no_side(
    tmp_path: Path, service: TwoColors
) -> None:
    service.write({"blue": 50, "green": 50})
    async with House(tmp_path / "state", service, bake="30s") as house:
        plan = await house.gate.plan(replace(ANALYTICS_FLIP, to="green"))
        assert (plan.blocked, plan.summary.undo) == (False, "")
        flip = await house.gate.submit(plan, YES)
        await house.reaches(flip, "bake")
        assert flip.id is not None
        here = (await house.gate.enrich(await (await house.targets.switch("analytics")).adapter.deployment())).rollback
        assert here is not None
        assert (here.to, "came from a split, and goes back to it" in here.reason) == (None, True)
        await house.kill_runner()
        back = await house.order(ANALYTICS_ROLLBACK)
        assert (back.status, service.weights(), back.undo) == ("rolled_back", {"blue": 50, "green": 50}, "")
    service.write({"blue": 50, "green": 50})
    async with House(tmp_path / "more", service) as house:
        ended = await house.order(replace(ANALYTICS_FLIP, to="green"))
        assert (ended.status, ended.changed, ended.undo) == ("succeeded", True, "")
        assert [each.undo for each in await house.journal.moved("test", "analytics")] == [""]
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        assert (plan.blocked, plan.from_, plan.to) == (True, "green", "")
        (why,) = [one for one in plan.findings if one.level == "block"]
        assert (why.code, why.fix) == ("split", "see which side is well, then teal deploy flip analytics --to COLOR")
        assert "came from a split of BLUE 50 %, GREEN 50 %" in why.text
        assert (await house.order(replace(ANALYTICS_FLIP, to="blue"))).status == "succeeded"  # what it names is taken


async def test_a_request_or_three_prove_no_split(house: House, service: TwoColors) -> None:
    service.write({"blue": 50, "green": 50})
    plan = await house.gate.plan(replace(ANALYTICS_FLIP, to="green"))
    (said,) = [one.text for one in plan.findings if one.code == "probe"]
    assert said == "fresh requests were answered by BLUE and GREEN: so few prove no split"
    assert "MIXED" not in said


async def test_a_flip_that_ends_while_a_rollback_is_agreed_to_is_taken_back_all_the_same(
    tmp_path: Path, service: TwoColors
) -> None:
    """Who carries it out is no part of what was agreed to."""
    async with House(tmp_path / "state", service, bake="30s") as house:
        flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(flip, "bake")
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        words = [finding.text for finding in plan.findings if finding.code == "open-action"]
        assert "is open, baking: it takes itself back" in words[0]
        await house.gate.submit(await house.gate.plan(promote(flip)), YES)
        assert (await house.ended(flip)).status == "succeeded"
        back = await house.ended(await house.gate.submit(plan, YES))
        assert (back.kind, back.status, service.weights()) == ("rollback", "succeeded", BLUE)


async def test_a_way_back_that_was_not_proven_is_tried_again_at_the_same_weights(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way_back, "VERIFY_S", 1.0)
    async with House(tmp_path / "state", service, bake="30s") as house:
        flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(flip, "bake")
        service.router_frozen = "green"
        ended = await house.order(ANALYTICS_ROLLBACK)
        assert (ended.status, service.weights()) == ("rollback_failed", BLUE)
        service.router_frozen = None
        adapter = (await house.targets.switch("analytics")).adapter
        told = await house.gate.enrich(await adapter.deployment())
        assert told.health == "critical"
        again, out = (told.rollback_failed or "").splitlines()[-2:]
        assert again == "again: teal deploy rollback analytics"
        flip_out = "teal deploy flip analytics --to GREEN --override rollback-failed --reason WHY"
        assert out == f"where BLUE fails its users: {flip_out}"
        meant = replace(ANALYTICS_FLIP, to="green", overrides=("rollback-failed",))
        assert not (await house.gate.plan(meant)).blocked
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        assert [finding.code for finding in plan.findings if finding.level == "warning"] == ["tried-again"]
        second = await house.order(ANALYTICS_ROLLBACK)
        assert (second.kind, second.status, second.to, second.undo) == ("rollback", "succeeded", "blue", "")
        assert (await house.gate.enrich(await adapter.deployment())).health == "ok"
        assert (await house.order(ANALYTICS_ROLLBACK)).changed is False
        assert not any(f.code == "rollback-failed" for f in (await house.gate.plan(ANALYTICS_FLIP)).findings)
