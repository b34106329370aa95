"""A flip from the order to its end: what it proves, what it refuses, and that it goes back by itself."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from actions.facts import digits
from actions.models import Action, Consent, Finding, Plan, Refused, Request
from actions.outcome import exit_code
from actions.switching import way_back
from actions.work import Work
from backends.deployments import file_store
from backends.deployments.file_switch import FileSwitch
from backends.errors import BackendError
from backends.ports import SwitchState
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}


def statuses(action: Action) -> dict[str, str]:
    return {step.name: step.status for step in action.steps}


async def refused(house: House, request: Request, consent: Consent = YES) -> Refused:
    with pytest.raises(Refused) as caught:
        await house.order(request, consent)
    return caught.value


async def test_a_flip_moves_all_traffic_and_proves_it(house: House, service: TwoColors) -> None:
    ended = await house.order(ANALYTICS_FLIP, Consent(confirmed=True, reason="2.4.1 go"))
    assert (ended.status, ended.changed, exit_code(ended)) == ("succeeded", True, 0)
    assert (ended.from_, ended.to, ended.reason) == ("blue", "green", "2.4.1 go")
    assert statuses(ended) == dict.fromkeys(("preflight", "shift", "verify", "bake"), "succeeded")
    assert service.weights() == GREEN
    assert ended.switch is not None
    assert ended.switch.requests >= 20
    assert ended.switch.errors == 0
    assert ended.switch.first_new_s is not None
    assert ended.switch.last_old_s is not None
    assert ended.switch.first_new_s <= 1
    assert ended.ended_at is not None
    assert ended.owner is not None
    assert ended.undo == "teal deploy rollback analytics"


async def test_every_probe_comes_on_a_connection_of_its_own_past_caches(house: House, service: TwoColors) -> None:
    before = service.connections
    await house.order(ANALYTICS_FLIP)
    paths = [path for path, _ in service.requests]
    assert len(paths) == len(set(paths)) >= 20
    assert all(headers["cache-control"] == "no-cache" and "cookie" not in headers for _, headers in service.requests)
    assert service.connections - before >= len(paths)


async def test_already_live_changes_nothing_and_is_no_error(house: House, service: TwoColors) -> None:
    content = service.switch.read_bytes()
    ended = await house.order(replace(ANALYTICS_FLIP, to="blue"), Consent())
    assert (ended.status, ended.changed, exit_code(ended)) == ("succeeded", False, 0)
    assert service.switch.read_bytes() == content


@pytest.mark.parametrize(
    "fault",
    [{"status": 503, "word": "unhealthy"}, {"word": "degraded"}, {"says": "blue"}, {"says": ""}, {"body": b"<html>"}],
)
async def test_an_unhealthy_or_unproven_target_is_refused(
    house: House, service: TwoColors, fault: dict[str, Any]
) -> None:
    for name, value in fault.items():
        setattr(service.faults["green"], name, value)
    content = service.switch.read_bytes()
    no = await refused(house, ANALYTICS_FLIP)
    assert no.exit_code == 3
    assert "GREEN" in no.error.message
    assert service.switch.read_bytes() == content
    assert await house.gate.actions() == []
    (record,) = await house.gate.audit_records()
    assert (record.kind, record.result) == ("refused", "exit 3")


async def test_a_dead_target_is_refused(house: House, service: TwoColors) -> None:
    await service.stop("green")
    no = await refused(house, ANALYTICS_FLIP)
    assert no.exit_code == 3
    assert "connection refused" in no.error.message


async def test_a_probe_that_can_not_prove_the_present_proves_no_future(house: House, service: TwoColors) -> None:
    service.router_status = 502
    no = await refused(house, ANALYTICS_FLIP)
    assert (no.exit_code, "502" in no.error.message) == (3, True)
    service.router_status, service.router_frozen = 200, "green"
    no = await refused(house, ANALYTICS_FLIP)
    assert (no.exit_code, "disagree" in no.error.message) == (3, True)


async def test_an_answer_out_of_a_cache_is_no_proof(house: House, service: TwoColors) -> None:
    service.faults["blue"].headers = {"age": "12"}
    assert "cache" in (await refused(house, ANALYTICS_FLIP)).error.message


@pytest.mark.parametrize("content", ["", "{", "[]", '{"weights": {"purple": 100}}', '{"weights": {"blue": 0}}'])
async def test_what_is_live_must_be_known(house: House, service: TwoColors, content: str) -> None:
    service.switch.write_text(content)
    no = await refused(house, replace(ANALYTICS_FLIP, to="green"))
    assert (no.exit_code, "unknown" in no.error.message) == (3, True)
    assert service.switch.read_text() == content


async def test_a_split_is_flipped_only_to_a_named_side(house: House, service: TwoColors) -> None:
    service.write({"blue": 90, "green": 10})
    assert (await refused(house, ANALYTICS_FLIP)).exit_code == 3
    ended = await house.order(replace(ANALYTICS_FLIP, to="green"))
    assert (ended.status, ended.from_, service.weights()) == ("succeeded", "mixed", GREEN)


async def test_unknown_service_and_color_are_not_found(house: House) -> None:
    assert (await refused(house, replace(ANALYTICS_FLIP, to="purple"))).exit_code == 5
    with pytest.raises(BackendError, match='no service "other"') as caught:
        await house.gate.plan(Request(kind="flip", service="other"))
    assert caught.value.kind == "not_found"


@pytest.mark.parametrize("consent", [Consent(), Consent(interactive=True), Consent(reason="go")])
async def test_without_a_yes_nothing_is_changed(house: House, service: TwoColors, consent: Consent) -> None:
    assert (await refused(house, ANALYTICS_FLIP, consent)).exit_code == 3
    assert service.weights() == BLUE


async def test_a_freeze_stops_a_flip_until_it_is_overridden_with_a_reason(house: House, service: TwoColors) -> None:
    today = datetime.now(UTC).strftime("%a")
    house.under(freeze=(f"{today} 00:00 - {today} 24:00", f"{today} 00:00 - {today} 00:00"))
    no = await refused(house, ANALYTICS_FLIP)
    assert (no.exit_code, "frozen" in no.error.message) == (3, True)
    override = replace(ANALYTICS_FLIP, overrides=("freeze",))
    assert (await refused(house, override)).exit_code == 3
    ended = await house.order(override, Consent(confirmed=True, reason="fixes the outage"))
    assert ended.status == "succeeded"
    assert "override" in {record.kind for record in await house.gate.audit_records()}


async def test_a_protected_context_wants_name_color_reason_and_a_shared_lock(house: House, service: TwoColors) -> None:
    house.under(protected=True, lock="local")
    named = Consent(confirmed=True, typed_context="test", reason="r")
    assert "color named" in (await refused(house, ANALYTICS_FLIP, named)).error.message
    to_green = replace(ANALYTICS_FLIP, to="green")
    assert (await refused(house, to_green)).exit_code == 3
    house.under(lock="")
    assert "not shared" in (await refused(house, to_green, named)).error.message
    house.under(lock="local")
    assert (await house.order(to_green, named)).status == "succeeded"


async def test_a_plan_that_no_longer_holds_is_a_conflict_even_where_it_is_already_so(
    house: House, service: TwoColors
) -> None:
    plan = await house.gate.plan(replace(ANALYTICS_FLIP, to="green"))
    service.write(GREEN)
    with pytest.raises(Refused) as caught:
        await house.gate.submit(plan, YES)
    assert caught.value.exit_code == 6
    assert caught.value.error.kind == "conflict"


async def test_the_hash_of_a_plan_is_of_what_it_does_and_not_of_when(house: House, service: TwoColors) -> None:
    first = await house.gate.plan(ANALYTICS_FLIP)
    service.write(BLUE, generation=9, at="2027-01-01T00:00:00Z")
    service.faults["green"].headers = {"x-pod": "another"}
    second = await house.gate.plan(ANALYTICS_FLIP)
    assert first.hash == second.hash
    assert first.expected.revision != second.expected.revision
    service.write(GREEN)
    assert (await house.gate.plan(ANALYTICS_FLIP)).hash != first.hash


@pytest.mark.parametrize("given", ["0123456789abcdef", "zzz"])
async def test_another_plan_hash_is_refused(house: House, given: str) -> None:
    assert (await refused(house, ANALYTICS_FLIP, replace(YES, plan_hash=given))).exit_code == 6


async def test_the_start_of_the_hash_will_do(house: House) -> None:
    plan = await house.gate.plan(ANALYTICS_FLIP)
    start = digits(plan.hash)[:8]
    assert (await refused(house, ANALYTICS_FLIP, replace(YES, plan_hash=start[:5]))).exit_code == 6
    assert (await house.order(ANALYTICS_FLIP, replace(YES, plan_hash=start))).status == "succeeded"


@pytest.mark.parametrize("form", ["hash", "full_hash"])
async def test_the_whole_hash_will_do_as_it_is_printed_or_without_its_prefix(house: House, form: str) -> None:
    printed = getattr(await house.gate.plan(ANALYTICS_FLIP), form)
    assert (await house.order(ANALYTICS_FLIP, replace(YES, plan_hash=printed))).status == "succeeded"
    printed = getattr(await house.gate.plan(ANALYTICS_ROLLBACK), form)
    assert (await house.order(ANALYTICS_ROLLBACK, replace(YES, plan_hash=digits(printed)))).status == "succeeded"


async def test_the_same_key_and_request_is_done_once(house: House, service: TwoColors) -> None:
    keyed = replace(YES, idempotency_key="deploy-77")
    first = await house.order(ANALYTICS_FLIP, keyed)
    second = await house.order(ANALYTICS_FLIP, keyed)
    assert (second.id, service.weights()) == (first.id, GREEN)
    other = await refused(house, replace(ANALYTICS_FLIP, to="blue"), keyed)
    assert other.exit_code == 6


async def test_an_edit_between_look_and_write_is_a_conflict_and_stays(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FileSwitch.shift

    async def edited(
        self: FileSwitch, expected: SwitchState, weights: dict[str, int], *, stamp: str, **mark: Any
    ) -> SwitchState:
        service.write(BLUE, stamp="somebody")
        return await original(self, expected, weights, stamp=stamp, **mark)

    monkeypatch.setattr(FileSwitch, "shift", edited)
    ended = await house.order(ANALYTICS_FLIP)
    assert (ended.status, ended.changed, exit_code(ended)) == ("aborted", False, 6)
    assert ended.error is not None
    assert ended.error.kind == "conflict"
    assert "somebody" in service.switch.read_text()


async def test_an_edit_while_the_write_waits_for_the_lock_in_vain_leaves_nothing_in_doubt(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent: that nobody answered said otherwise, and the action stayed open for a person to look."""
    original = FileSwitch.shift

    async def kept_out(
        self: FileSwitch, expected: SwitchState, weights: dict[str, int], *, stamp: str, **mark: Any
    ) -> SwitchState:
        with file_store.locked(service.switch):
            service.write(BLUE, stamp="somebody")
            return await original(self, expected, weights, stamp=stamp, **mark)

    monkeypatch.setattr(file_store, "LOCK_WAIT_S", 0.1)
    monkeypatch.setattr(FileSwitch, "shift", kept_out)
    ended = await house.order(ANALYTICS_FLIP)
    assert (ended.status, ended.changed, exit_code(ended)) == ("aborted", False, 6)
    assert ended.error is not None
    assert ended.error.kind == "conflict"
    assert "somebody" in service.switch.read_text()


async def test_an_edit_between_plan_and_runner_is_a_conflict(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await house.gate.plan(ANALYTICS_FLIP)
    begin = house.journal.begin

    async def edited(*given: Any, **more: Any) -> Action:
        service.write(BLUE, stamp="somebody")
        return await begin(*given, **more)

    monkeypatch.setattr(house.journal, "begin", edited)
    ended = await house.ended(await house.gate.submit(plan, YES))
    assert (ended.status, exit_code(ended)) == ("aborted", 6)


async def test_a_lost_answer_is_looked_for_and_found(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FileSwitch.shift

    async def lost(
        self: FileSwitch, expected: SwitchState, weights: dict[str, int], *, stamp: str, **mark: Any
    ) -> SwitchState:
        await original(self, expected, weights, stamp=stamp, **mark)
        raise BackendError("timeout", "no answer")

    monkeypatch.setattr(FileSwitch, "shift", lost)
    ended = await house.order(ANALYTICS_FLIP)
    assert (ended.status, service.weights()) == ("succeeded", GREEN)


async def test_a_write_that_did_not_land_aborts(house: House, service: TwoColors, monkeypatch: Any) -> None:
    async def failing(*_: Any, **__: Any) -> SwitchState:
        raise BackendError("unreachable", "disk full")

    monkeypatch.setattr(FileSwitch, "shift", failing)
    ended = await house.order(ANALYTICS_FLIP)
    assert (ended.status, ended.changed, exit_code(ended)) == ("aborted", False, 7)
    assert statuses(ended)["verify"] == "skipped"


async def test_a_target_that_turns_bad_while_it_bakes_is_rolled_back(tmp_path: Any, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(opened, "bake")
        service.sicken("green")
        ended = await house.ended(opened)
        assert (ended.status, exit_code(ended), service.weights()) == ("rolled_back", 1, BLUE)
        assert ended.error is not None
        assert "bake failed" in ended.error.message
        assert statuses(ended)["verify-back"] == "succeeded"
        assert (await house.gate.verify_audit()).intact


async def test_traffic_that_does_not_arrive_is_rolled_back(service: TwoColors, house: House) -> None:
    plan = await house.gate.plan(replace(ANALYTICS_FLIP, timeout_s=3))
    opened = await house.gate.submit(plan, YES)
    service.router_frozen = "blue"
    ended = await house.ended(opened)
    assert (ended.status, service.weights()) == ("rolled_back", BLUE)
    assert ended.error is not None
    assert "verify failed" in ended.error.message


async def test_no_traffic_goes_back_to_a_dead_side(tmp_path: Any, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(opened, "bake")
        await service.stop("blue")
        service.faults["green"].status = 500
        held = await house.stands(opened, "paused")
        assert (held.open, exit_code(held), service.weights()) == (True, 9, GREEN)
        assert held.error is not None
        assert "BLUE is not healthy" in held.error.message
        assert held.hold is not None
        assert held.hold.until is not None
        await service.start("blue")
        ended = await house.ended(opened)
        assert (ended.status, service.weights()) == ("rolled_back", BLUE)


async def test_a_side_that_stays_dead_ends_it_with_what_to_type(
    tmp_path: Any, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way_back, "HEALTHY_AGAIN_S", 1.0)
    async with House(tmp_path / "state", service, bake="8s") as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(opened, "bake")
        await service.stop("blue")
        service.faults["green"].status = 500
        ended = await house.ended(opened)
        assert (ended.status, exit_code(ended), service.weights()) == ("rollback_failed", 9, GREEN)
        assert ended.error is not None
        assert "BLUE is not healthy" in ended.error.message
        assert "switch.json" in ended.error.fix
        await service.start("blue")
        service.faults["green"].status = 200
        no = await refused(house, replace(ANALYTICS_FLIP, to="blue"))
        assert (no.exit_code, no.error.fix) == (3, no.error.fix)
        assert "rollback-failed" in no.error.fix
        over = replace(ANALYTICS_FLIP, to="blue", overrides=("rollback-failed",))
        assert (await house.order(over, replace(YES, reason="looked at it"))).status == "succeeded"


async def test_somebody_elses_change_during_the_bake_is_left_alone(tmp_path: Any, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(opened, "bake")
        service.write({"blue": 50, "green": 50}, stamp="somebody")
        ended = await house.ended(opened)
        assert (ended.status, ended.open, exit_code(ended)) == ("conflict", True, 6)
        assert service.weights() == {"blue": 50, "green": 50}


async def test_two_at_once_one_wins_the_other_hears_who_and_what(house: House, service: TwoColors) -> None:
    plans = [await house.gate.plan(ANALYTICS_FLIP) for _ in range(3)]
    results = await asyncio.gather(*(house.gate.submit(plan, YES) for plan in plans), return_exceptions=True)
    won = [result for result in results if isinstance(result, Action)]
    lost = [result for result in results if isinstance(result, Refused)]
    assert (len(won), len(lost)) == (1, 2)
    for no in lost:
        assert no.exit_code == 6
        assert won[0].id is not None
        assert won[0].id in no.error.message
        assert house.gate.actor.login in no.error.message
    assert (await house.ended(won[0])).status == "succeeded"


async def test_who_begins_while_another_looks_again_is_named_whatever_his_work_looks_like(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, again = await house.gate.plan(ANALYTICS_FLIP), house.gate.plan
    won: list[Action] = []

    async def overtaken(request: Request) -> Plan:
        monkeypatch.setattr(house.gate, "plan", again)
        won.append(await house.gate.submit(plan, YES))
        fresh = await again(request)
        return replace(fresh, findings=(Finding(level="block", code="mixed", text="the layers disagree"),))

    monkeypatch.setattr(house.gate, "plan", overtaken)
    with pytest.raises(Refused) as caught:
        await house.gate.submit(plan, YES)
    assert caught.value.exit_code == 6
    assert str(won[0].id) in caught.value.error.message
    assert (await house.ended(won[0])).status == "succeeded"


async def test_a_journal_that_fails_after_the_write_does_not_call_it_undone(
    tmp_path: Any, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise BackendError("unreachable", "journal: disk full")

    async with House(tmp_path / "state", service) as house:
        monkeypatch.setattr(Work, "observed", full)
        opened = await house.ended(await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES))
        assert (opened.status, opened.open, service.weights()) == ("running", True, GREEN)
        assert house.gate.orphaned(opened)
        monkeypatch.undo()
        ended = await house.order(ANALYTICS_ROLLBACK)
        assert (ended.id, ended.status, service.weights()) == (opened.id, "rolled_back", BLUE)


async def test_a_journal_that_fails_before_the_write_leaves_traffic_alone(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise BackendError("unreachable", "journal: disk full")

    monkeypatch.setattr(Work, "intent", full)
    opened = await house.ended(await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES))
    assert (opened.changed, service.weights()) == (False, BLUE)


async def test_an_order_that_a_later_version_knows_is_not_taken_for_a_rollback(
    tmp_path: Any, service: TwoColors
) -> None:
    async with House(tmp_path / "state", service, bake="1s") as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.journal.enqueue(str(opened.id), "teleport", house.gate.actor, "")
        assert (await house.ended(opened)).status == "succeeded"
