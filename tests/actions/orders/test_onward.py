"""What is recorded against a service while an action of it is open: nothing lets that go forward any more unseen."""

import asyncio
from datetime import UTC
from pathlib import Path

import pytest
from msgspec.structs import replace

from actions.gate import Gate
from actions.models import Action, Consent, OrderWord, Plan, Refused, Request
from actions.waiting import waits
from tests.actions.house import ANALYTICS_FLIP, YES, House
from tests.actions.journals import draft
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
FREEZE = Request(kind="freeze", service="analytics")
REJECT = Request(kind="reject", service="analytics", version="2.5.0")
ROLLBACK = Request(kind="rollback", service="analytics")
BECAUSE = Consent(confirmed=True, reason="quarter end")


async def planned(house: House, action: Action, word: OrderWord, *overrides: str) -> Plan:
    request = Request(
        kind=action.kind, service=action.service, ref=action.id or "", order=word, overrides=overrides
    )  # fmt: skip
    return await house.gate.plan(request)


async def paused(house: House, service: TwoColors) -> Action:
    """A flip to GREEN 2.5.0 that stands paused, with nothing moved."""
    released = asyncio.Event()
    house.before_runner = lambda: setattr(service.faults["green"], "released", released)
    opened = await house.reaches(await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES), "preflight")
    await house.gate.submit(await planned(house, opened, "pause"), YES)
    released.set()
    return await house.stands(opened, "paused")


@pytest.mark.parametrize(("record", "code"), [(FREEZE, "freeze"), (REJECT, "rejected")], ids=["freeze", "rejected"])
async def test_an_open_action_is_not_resumed_past_what_was_recorded_since(
    house: House, service: TwoColors, record: Request, code: str
) -> None:
    (service.directory / "green.version").write_text("2.5.0\n")
    opened = await paused(house, service)
    assert (await house.order(record, BECAUSE)).changed
    plan = await planned(house, opened, "resume")
    assert [(finding.level, finding.code, finding.overridable) for finding in plan.findings] == [("block", code, True)]
    with pytest.raises(Refused) as caught:
        await house.gate.submit(plan, BECAUSE)
    assert caught.value.exit_code == 3
    assert "quarter end" in caught.value.error.message
    assert f"--override {code}" in caught.value.error.fix
    over = await planned(house, opened, "resume", code)
    with pytest.raises(Refused, match="only overridden with a reason"):
        await house.gate.submit(over, YES)
    assert service.weights() == BLUE
    await house.gate.submit(over, BECAUSE)
    assert ((await house.ended(opened)).status, service.weights()) == ("succeeded", GREEN)
    overridden = [entry for entry in await house.journal.audit_records() if entry.kind == "override"]
    assert [(entry.order, entry.result, entry.action) for entry in overridden] == [("resume", code, opened.id)]


async def before_the_shift(house: House, service: TwoColors) -> tuple[Action, asyncio.Event]:
    """A flip to GREEN 2.5.0 whose preflight ends when the event is set."""
    (service.directory / "green.version").write_text("2.5.0\n")
    released = asyncio.Event()
    house.before_runner = lambda: setattr(service.faults["green"], "released", released)
    opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
    return await house.reaches(opened, "preflight"), released


async def test_a_freeze_holds_what_is_open_before_traffic_moves_and_its_end_lets_it_go_on(
    house: House, service: TwoColors
) -> None:
    opened, released = await before_the_shift(house, service)
    await house.order(FREEZE, BECAUSE)
    released.set()
    held = await house.stands(opened, "paused")
    assert held.hold is not None
    assert held.error is not None
    assert (held.hold.until, service.weights()) == (None, BLUE)
    assert "frozen by" in held.error.message
    for way in ("teal deploy rollback analytics", "teal deploy unfreeze analytics", "--override freeze"):
        assert way in held.error.fix
        assert way in waits(held, UTC)[1]
    await house.order(Request(kind="unfreeze", service="analytics"))
    assert ((await house.ended(opened)).status, service.weights()) == ("succeeded", GREEN)


@pytest.mark.parametrize("onward", [True, False], ids=["overridden", "taken back"])
async def test_a_version_that_is_rejected_meanwhile_gets_no_traffic_unless_a_person_says_so(
    house: House, service: TwoColors, onward: bool
) -> None:
    opened, released = await before_the_shift(house, service)
    await house.order(REJECT, BECAUSE)
    released.set()
    held = await house.stands(opened, "paused")
    assert held.error is not None
    assert ("was rejected by" in held.error.message, service.weights()) == (True, BLUE)
    if onward:
        await house.gate.submit(await planned(house, held, "resume", "rejected"), BECAUSE)
    else:
        await house.gate.submit(await planned(house, held, "rollback"), YES)
    ended = await house.ended(opened)
    assert (ended.status, service.weights()) == (("succeeded", GREEN) if onward else ("aborted", BLUE))


async def test_a_split_that_is_held_so_is_left_when_its_new_side_goes_down(tmp_path: Path, service: TwoColors) -> None:
    (service.directory / "green.version").write_text("2.5.0\n")
    async with House(tmp_path / "state", service, stage_time="2s") as house:
        request = replace(ANALYTICS_FLIP, strategy="gradual")
        opened = await house.reaches(await house.gate.submit(await house.gate.plan(request), YES), "analyse[10]")
        await house.order(REJECT, BECAUSE)
        held = await house.stands(opened, "paused")
        assert held.hold is not None
        assert held.hold.until is not None
        assert 0 < service.weights()["green"] < 50
        service.sicken("green")
        assert ((await house.ended(opened)).status, service.weights()) == ("rolled_back", BLUE)


@pytest.mark.parametrize("word", ["rollback", "abort", "abandon"])
async def test_what_stops_it_is_never_held_back(house: House, service: TwoColors, word: OrderWord) -> None:
    opened = await paused(house, service)
    await house.order(FREEZE, BECAUSE)
    plan = await planned(house, opened, word)
    assert not plan.blocked, plan.findings
    await house.gate.submit(plan, BECAUSE)
    ended = await house.ended(opened)
    assert (ended.status in ("aborted", "abandoned"), service.weights()) == (True, BLUE)


@pytest.mark.parametrize("record", [FREEZE, REJECT], ids=["freeze", "reject"])
async def test_the_record_tells_of_what_is_open_and_how_to_stop_it(
    house: House, service: TwoColors, record: Request
) -> None:
    assert (await house.gate.plan(record)).findings == ()
    opened = await paused(house, service)
    (told,) = (await house.gate.plan(record)).findings
    assert (told.level, told.code, str(opened.id) in told.text) == ("warning", "open-action", True)
    assert "teal deploy rollback analytics" in told.fix
    assert (await house.order(record, BECAUSE)).findings == (told,)
    await house.gate.submit(await planned(house, opened, "abort"), YES)
    await house.ended(opened)


@pytest.mark.parametrize(("word", "left"), [("resume", ["resume"]), ("takeover", []), ("pause", ["promote", "pause"])])
async def test_a_promotion_that_nobody_obeyed_is_dropped_by_the_next_order_to_go_on(
    house: House, word: str, left: list[str]
) -> None:
    made = draft()
    opened = await house.journal.begin(made)
    for each in ("promote", word):
        assert await house.journal.enqueue(str(opened.id), each, made.actor, "")
    assert [order.word for order in await house.journal.waiting(str(opened.id))] == left
    noted = [each.detail for each in await house.journal.audit_records() if each.result == "dropped"]
    dropped = [f"promote of {made.actor.person} was not obeyed: {word} came, and drops it"]
    assert noted == ([] if "promote" in left else dropped)


async def test_who_takes_over_what_was_paused_by_hand_is_told_that_it_stays_so(
    house: House, service: TwoColors
) -> None:
    opened = await paused(house, service)
    await house.kill_runner()
    then = (await planned(house, opened, "takeover")).summary.effects[1]
    assert "stays paused, as" in then
    assert f"teal action resume {opened.id}" in then
    await house.gate.submit(await planned(house, opened, "takeover"), YES)
    assert (await house.stands(opened, "paused")).paused is not None
    await house.gate.submit(await planned(house, opened, "resume"), YES)
    assert ((await house.ended(opened)).status, service.weights()) == ("succeeded", GREEN)


async def test_a_takeover_past_a_freeze_goes_on_where_only_that_held_it(house: House, service: TwoColors) -> None:
    opened, released = await before_the_shift(house, service)
    await house.order(FREEZE, BECAUSE)
    released.set()
    await house.stands(opened, "paused")
    await house.kill_runner()
    await house.gate.submit(await planned(house, opened, "takeover", "freeze"), BECAUSE)
    assert ((await house.ended(opened)).status, service.weights()) == ("succeeded", GREEN)


@pytest.mark.parametrize("word", ["takeover", "resume"])
async def test_nobody_takes_it_over_past_a_freeze(house: House, service: TwoColors, word: OrderWord) -> None:
    opened = await paused(house, service)
    await house.kill_runner()
    await house.order(FREEZE, BECAUSE)
    blocks = [each.code for each in (await planned(house, opened, word)).findings if each.level == "block"]
    assert blocks == ["freeze"]


async def test_a_bake_is_not_promoted_past_a_rejection_that_its_own_consent_did_not_know(
    tmp_path: Path, service: TwoColors
) -> None:
    (service.directory / "green.version").write_text("2.5.0\n")
    async with House(tmp_path / "state", service, bake="30s") as house:
        await house.order(REJECT, BECAUSE)
        request = replace(ANALYTICS_FLIP, overrides=("rejected",))
        opened = await house.reaches(await house.gate.submit(await house.gate.plan(request), BECAUSE), "bake")
        assert not (await planned(house, opened, "promote")).blocked  # it was agreed to in spite of that one
        await house.order(FREEZE, BECAUSE)
        assert [each.code for each in (await planned(house, opened, "promote")).findings] == ["freeze"]
        await house.gate.submit(await planned(house, opened, "rollback"), YES)
        assert ((await house.ended(opened)).status, service.weights()) == ("rolled_back", BLUE)


@pytest.mark.parametrize("record", [FREEZE, REJECT], ids=["freeze", "reject"])
async def test_a_second_record_holds_what_overrode_the_first(house: House, service: TwoColors, record: Request) -> None:
    """A second freeze said "already so, nothing changed", and the flip went on from 10 to 100 %."""
    await house.order(record, BECAUSE)
    (service.directory / "green.version").write_text("2.5.0\n")
    released = asyncio.Event()
    house.before_runner = lambda: setattr(service.faults["green"], "released", released)
    code = {"freeze": "freeze", "reject": "rejected"}[record.kind]
    request = replace(ANALYTICS_FLIP, overrides=(code,))
    opened = await house.reaches(await house.gate.submit(await house.gate.plan(request), BECAUSE), "preflight")
    again = await house.order(record, BECAUSE)
    assert again.changed
    released.set()
    held = await house.stands(opened, "paused")
    assert (held.error and held.error.kind, service.weights()) == ("held_back", BLUE)
    await house.gate.submit(await planned(house, held, "rollback"), YES)
    assert (await house.ended(opened)).status == "aborted"
    assert (await house.gate.plan(record)).already


async def test_a_rollback_with_nothing_to_do_looks_once_more_whether_something_has_begun(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flip began while the plan of a rollback was made: "back already", exit 0, and all traffic was moved."""
    await house.order(ANALYTICS_FLIP)
    await house.order(ROLLBACK)
    begun = list[tuple[Action, asyncio.Event]]()
    agreed = Gate._agreed

    async def slow(gate: Gate, plan: Plan, consent: Consent) -> Plan:
        fresh = await agreed(gate, plan, consent)
        if plan.kind == "rollback" and not begun:
            begun.append(await before_the_shift(house, service))
        return fresh

    monkeypatch.setattr(Gate, "_agreed", slow)
    plan = await house.gate.plan(ROLLBACK)
    assert plan.already
    found = await house.gate.submit(plan, YES)
    opened, released = begun[0]
    released.set()
    assert found.id == opened.id
    assert ((await house.ended(opened)).status, service.weights()) == ("aborted", BLUE)
