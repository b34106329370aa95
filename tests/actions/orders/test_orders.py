"""Orders to an action that is open: seen at once, by any operator, possible or refused with the reason."""

import asyncio
import re
import time
from datetime import UTC
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from actions.guards import Policy
from actions.ids import now
from actions.journal.steering import possible_orders
from actions.models import Action, Consent, GateView, Hold, OrderWord, Refused, Request, Step
from actions.orders.steering_plan import plan_order
from actions.outcome import exit_code
from actions.switching import watching
from actions.switching.probing import ProbeResult
from actions.targets import SwitchTarget
from backends.deployments.file_switch import FileSwitch
from backends.models import ColorState
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
WITH_REASON = replace(YES, reason="we are sure")


async def order(house: House, action: Action, word: OrderWord, consent: Consent = WITH_REASON) -> Action:
    request = Request(kind=action.kind, service=action.service, ref=action.id or "", order=word)
    return await house.gate.submit(await house.gate.plan(request), consent)


async def in_phase(house: House, phase: str, request: Request = ANALYTICS_FLIP) -> Action:
    return await house.reaches(await house.gate.submit(await house.gate.plan(request), YES), phase)


async def paused_before_the_shift(house: House, service: TwoColors) -> Action:
    """An action that stands paused after its preflight: GREEN does not answer its runner before."""
    released = asyncio.Event()
    house.before_runner = lambda: setattr(service.faults["green"], "released", released)
    opened = await in_phase(house, "preflight")
    before = time.monotonic()
    await order(house, opened, "pause")
    assert time.monotonic() - before < 5  # 0.2 s where the machine has time
    released.set()
    return await house.stands(opened, "paused")


async def test_paused_it_stops_before_the_next_step_and_resumed_it_goes_on(house: House, service: TwoColors) -> None:
    opened = await paused_before_the_shift(house, service)
    assert exit_code(opened) == 8
    await asyncio.sleep(0.3)
    still = await house.gate.action(str(opened.id))
    assert (still.status, still.changed, service.weights()) == ("paused", False, BLUE)
    await order(house, opened, "resume")
    ended = await house.ended(opened)
    assert (ended.status, ended.error, service.weights()) == ("succeeded", None, GREEN)
    told = [record for record in await house.gate.audit_records() if record.kind == "command"]
    assert [record.order for record in told] == ["flip", "pause", "resume"]
    assert {record.action for record in told} == {opened.id}


async def test_an_order_with_a_key_is_given_once(house: House, service: TwoColors) -> None:
    keyed = replace(WITH_REASON, idempotency_key="page-77")
    opened = await paused_before_the_shift(house, service)
    await order(house, opened, "resume", keyed)
    ended = await house.ended(opened)
    again = await order(house, opened, "resume", keyed)  # refused without the key: it has ended
    assert (again.id, again.status) == (ended.id, "succeeded")
    for other in (order(house, opened, "abort", keyed), house.order(ANALYTICS_FLIP, keyed)):
        with pytest.raises(Refused, match="this idempotency key belongs to") as caught:
            await other
        assert caught.value.exit_code == 6
    told = [record.order for record in await house.gate.audit_records() if record.kind == "command"]
    assert told == ["flip", "pause", "resume"]


async def test_the_key_of_an_action_is_no_key_for_an_order_to_it(house: House, service: TwoColors) -> None:
    keyed = replace(WITH_REASON, idempotency_key="deploy-77")
    ended = await house.order(ANALYTICS_FLIP, keyed)
    with pytest.raises(Refused, match="belongs to") as caught:
        await order(house, ended, "rollback", keyed)
    assert caught.value.exit_code == 6


async def test_a_rollback_with_a_key_is_queued_once_to_what_is_open(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        keyed = replace(YES, idempotency_key="back-77")
        opened = await in_phase(house, "bake")
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        both = await asyncio.gather(*(house.gate.submit(plan, keyed) for _ in range(2)))
        assert [action.id for action in both] == [opened.id] * 2
        ended = await house.ended(opened)
        late = await house.gate.submit(await house.gate.plan(ANALYTICS_ROLLBACK), keyed)
        assert (late.id, ended.status, service.weights()) == (opened.id, "rolled_back", BLUE)
        told = [record.order for record in await house.gate.audit_records() if record.kind == "command"]
        assert told == ["flip", "rollback"]


async def test_what_breaks_while_it_is_paused_goes_back(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "bake")
        await order(house, opened, "pause")
        await house.stands(opened, "paused")
        service.faults["green"].status = 503
        ended = await house.ended(opened)
        assert (ended.status, service.weights()) == ("rolled_back", BLUE)


@pytest.mark.parametrize("word", ["abort", "rollback"])
async def test_before_traffic_has_moved_it_is_aborted_after_it_taken_back(
    tmp_path: Path, service: TwoColors, word: OrderWord
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "bake")
        await order(house, opened, word)
        ended = await house.ended(opened)
        assert (ended.status, exit_code(ended, ordered="rollback"), service.weights()) == ("rolled_back", 0, BLUE)
        again = await paused_before_the_shift(house, service)
        await order(house, again, word)
        ended = await house.ended(again)
        assert (ended.status, ended.changed, service.weights()) == ("aborted", False, BLUE)


async def test_promoted_it_does_not_wait_for_the_rest_of_the_bake(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="600s") as house:
        opened = await in_phase(house, "bake")
        await order(house, opened, "promote")
        ended = await house.ended(opened)
        assert (ended.status, service.weights()) == ("succeeded", GREEN)
        (bake,) = [step for step in ended.steps if step.name == "bake"]
        assert re.search(r"\d+ looks? in \d+s, promoted by hand, GREEN healthy", bake.detail)


def on_watching(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set as soon as a stage or the bake is watched."""
    watched, begin = asyncio.Event(), watching.Watching._begin

    async def begun(self: watching.Watching) -> float:
        watched.set()
        return await begin(self)

    monkeypatch.setattr(watching.Watching, "_begin", begun)
    return watched


def blind_once_watched(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """From a stage or the bake on nobody can look at a side, until the event is cleared."""
    original = FileSwitch.color_health
    watched = on_watching(monkeypatch)

    async def blind(self: FileSwitch, color: str) -> ColorState:
        unseen = ColorState(healthy=None, detail="nobody could look")
        return unseen if watched.is_set() else await original(self, color)

    monkeypatch.setattr(FileSwitch, "color_health", blind)
    return watched


async def test_missing_evidence_holds_at_100_percent_until_it_is_there(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = blind_once_watched(monkeypatch)
    async with House(tmp_path / "state", service) as house:
        opened = await in_phase(house, "bake")
        held = await house.stands(opened, "paused")
        assert (exit_code(held), service.weights()) == (8, GREEN)
        assert held.hold is not None
        assert (held.hold.why, held.hold.until) == ("GREEN: nobody could look", None)
        watched.clear()
        ended = await house.ended(opened)
        assert (ended.status, ended.hold, ended.error) == ("succeeded", None, None)


async def test_below_100_percent_a_hold_ends_with_the_way_back(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HOLD_S", 1.0)
    original = SwitchTarget.probe
    blind = on_watching(monkeypatch)

    async def probe(self: SwitchTarget) -> ProbeResult | None:
        return None if blind.is_set() else await original(self)

    monkeypatch.setattr(SwitchTarget, "probe", probe)
    async with House(tmp_path / "state", service, stages={"gradual": [40, 100]}, stage_time="300ms") as house:
        opened = await in_phase(house, "analyse[40]", replace(ANALYTICS_FLIP, strategy="gradual"))
        held = await house.stands(opened, "paused")
        assert held.hold is not None
        assert held.hold.until is not None
        rolling = await house.stands(opened, "rolling_back")
        assert rolling.error is not None
        assert "nothing could be proven" in rolling.error.message
        blind.clear()
        assert (await house.ended(opened)).status == "rolled_back"
        assert service.weights() == BLUE


async def test_a_forward_deadline_takes_back_what_is_not_all_there(tmp_path: Path, service: TwoColors) -> None:
    config: dict[str, Any] = {"stages": {"gradual": [40, 100]}, "stage_time": "600s"}
    async with House(tmp_path / "state", service, **config) as house:
        opened = await in_phase(house, "analyse[40]", replace(ANALYTICS_FLIP, strategy="gradual", timeout_s=15))
        assert opened.phase == "analyse[40]"
        ended = await house.ended(opened)
        assert (ended.status, exit_code(ended), service.weights()) == ("rolled_back", 1, BLUE)


async def test_an_orphan_is_taken_over_and_goes_on(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="2s") as house:
        for word in ("takeover", "resume"):
            opened = await in_phase(house, "bake")
            with pytest.raises(Refused) as caught:
                await order(house, opened, word)
            assert caught.value.exit_code == 3
            await house.kill_runner()
            await order(house, opened, word)
            ended = await house.ended(opened)
            assert (ended.status, ended.error) == ("succeeded", None)
        owners = [record.fence for record in await house.gate.audit_records() if record.kind in ("lock", "takeover")]
        assert owners == [1, 2, 3, 4]


async def test_a_paused_action_that_is_taken_over_stays_paused(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service) as house:
        opened = await paused_before_the_shift(house, service)
        await house.kill_runner()
        await order(house, opened, "takeover")
        await asyncio.sleep(2)
        assert (await house.gate.action(str(opened.id))).open
        await order(house, opened, "resume")
        assert (await house.ended(opened)).status == "succeeded"


async def test_a_way_back_that_its_runner_did_not_finish_goes_on_back(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "bake")
        house.halts_in = "verify-back"
        await house.gate.submit(await house.gate.plan(ANALYTICS_ROLLBACK), YES)
        await house.reaches(opened, "verify-back")
        await house.kill_runner()
        assert (await house.gate.action(str(opened.id))).status == "rolling_back"
        await order(house, opened, "takeover")
        ended = await house.ended(opened)
        assert (ended.status, service.weights()) == ("rolled_back", BLUE)


async def test_abandoned_it_says_what_was_true(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="6s") as house:
        opened = await in_phase(house, "bake")
        service.write({"blue": 50, "green": 50}, stamp="somebody")
        assert (await house.ended(opened)).status == "conflict"
        with pytest.raises(Refused):
            await order(house, opened, "abandon", YES)  # without a reason
        ended = await order(house, opened, "abandon")
        ended = await house.ended(ended)
        assert (ended.status, exit_code(ended), service.weights()) == ("abandoned", 1, {"blue": 50, "green": 50})
        assert ended.error is not None
        assert "traffic: BLUE 50 %, GREEN 50 %" in ended.error.message
        assert (await house.order(replace(ANALYTICS_FLIP, to="green"))).status == "succeeded"


async def test_of_an_action_that_has_ended_nothing_is_ordered(house: House) -> None:
    ended = await house.order(ANALYTICS_FLIP)
    for word in get_args(OrderWord):
        with pytest.raises(Refused) as caught:
            await order(house, ended, word)
        assert (caught.value.exit_code, "it has ended" in caught.value.error.message) == (3, True)
        assert caught.value.error.fix == ended.undo, "it still stands"
    await house.order(ANALYTICS_ROLLBACK)
    with pytest.raises(Refused) as caught:
        await order(house, ended, "pause")
    assert caught.value.error.fix == f"teal action show {ended.id}", "nothing is left to undo"


def action(**fields: Any) -> Action:
    given = {"id": "A", "kind": "flip", "service": "s", "status": "running", "phase": "bake", "from_": "b", "to": "g"}
    return Action(**{**given, **fields})


HELD = Hold(why="no data", since=now())


@pytest.mark.parametrize(
    ("found", "orphaned", "possible"),
    [
        (action(), False, {"pause", "promote", "abort", "rollback"}),
        (action(phase="shift"), False, {"pause", "abort", "rollback"}),
        (action(status="paused"), False, {"resume", "promote", "abort", "rollback", "abandon"}),
        (action(status="paused", hold=HELD), False,
         {"pause", "resume", "promote", "accept", "abort", "rollback", "abandon"}),
        (action(status="conflict"), True, {"resume", "abort", "rollback", "takeover", "abandon"}),
        (action(status="rolling_back"), False, set()),
        (action(status="rolling_back"), True, {"abort", "rollback", "takeover", "abandon"}),
        (action(), True, {"resume", "promote", "abort", "rollback", "takeover", "abandon"}),
        (action(kind="rollback"), False, set()),
        (action(kind="rollback"), True, {"resume", "rollback", "takeover", "abandon"}),
        (action(kind="trigger"), True, {"abandon"}),
        (action(kind="trigger"), False, set()),
        (action(status="succeeded"), False, set()),
    ],
)  # fmt: skip
def test_what_is_possible_in_each_state_and_why_not(found: Action, orphaned: bool, possible: set[str]) -> None:
    orders = possible_orders(found, orphaned=orphaned)
    assert {word for word, why in orders.items() if not why} == possible


def test_a_promotion_says_which_evidence_is_missing_and_where_traffic_goes() -> None:
    steps = tuple(
        Step(name=name) for name in ("shift[25]", "analyse[25]", "shift[50]", "analyse[50]", "shift[100]", "bake")
    )
    gone = GateView(name="errors", word="inconclusive", sample="inconclusive", words="prometheus: connection refused")
    promote = Request(kind="order", service="s", order="promote", ref="A")
    policy = Policy(context="lab", zone=UTC)
    canary = action(phase="analyse[25]", steps=steps, gates=(gone,))
    plan = plan_order(promote, policy, canary, orphaned=False)
    assert plan.summary.effects[-1] == "traffic  G 25 % → 50 %"
    (missing,) = [finding for finding in plan.findings if finding.code == "unproven"]
    assert (missing.level, missing.fix) == ("warning", "teal deploy rollback s")
    assert missing.text.endswith("goes on without it: errors: prometheus: connection refused")
    last = replace(canary, phase="analyse[50]", gates=(replace(gone, word="pass"),))
    plan = plan_order(promote, policy, last, orphaned=False)
    assert plan.summary.effects[-1] == "traffic  G 50 % → 100 %"
    assert [finding.code for finding in plan.findings if finding.code == "unproven"] == []
    held = plan_order(promote, policy, action(status="paused", hold=HELD), orphaned=False)
    assert any(finding.text.endswith("goes on without it: no data") for finding in held.findings)
