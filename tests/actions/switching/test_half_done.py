"""Writes that reach only a part of the control object: some nodes of several, a file that is not in force yet."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from actions.models import Action, Consent
from actions.outcome import exit_code
from actions.starting import start
from actions.switching import traffic, way_back
from actions.work import Work
from backends.deployments.file_store import Problem
from backends.deployments.file_switch import FileSwitch
from backends.deployments.switch_format import JsonForm
from backends.errors import BackendError
from backends.ports import SwitchState
from tests.actions.fake_switch import Killed
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.orders.test_orders import order
from tests.two_colors import TwoColors

BLUE, GREEN, HALF = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}, {"blue": 50, "green": 50}


Cut = Callable[..., list[tuple[str, dict[str, int]]]]


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Cut:
    """`cut(shift=1)`: the first write of that step reaches half of the file, as two nodes of which one is lost. Returns
    the steps that are written, with what was expected there."""
    monkeypatch.setattr(traffic, "HALF_S", 0.2)
    real = FileSwitch.shift

    def cut(**steps: int) -> list[tuple[str, dict[str, int]]]:
        written: list[tuple[str, dict[str, int]]] = []

        async def shift(
            self: FileSwitch, expected: SwitchState, weights: dict[str, int], *, stamp: str, **mark: Any
        ) -> SwitchState:
            step = stamp.partition(":")[2]
            written.append((step, dict(expected.weights)))
            name = step.replace("-", "_")
            if steps.get(name, 0) <= 0:
                return await real(self, expected, weights, stamp=stamp, **mark)
            steps[name] -= 1
            await real(self, expected, HALF, stamp=stamp, **mark)
            raise BackendError("unreachable", "lb-2: refused")

        monkeypatch.setattr(FileSwitch, "shift", shift)
        return written

    return cut


async def test_a_flip_that_reaches_only_a_part_goes_back_from_there(house: House, service: TwoColors, cut: Cut) -> None:
    written = cut(shift=1)
    ended = await house.order(ANALYTICS_FLIP)
    assert (ended.status, service.weights()) == ("rolled_back", BLUE)
    assert ended.error is not None
    assert "lb-2: refused; half done" in ended.error.message
    assert written == [("shift", BLUE), ("shift-back", HALF)]


@pytest.mark.parametrize("after", ["as before", "the other side answers"])
async def test_a_write_that_was_in_force_and_is_put_back_has_changed_something(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """Its answer was lost, not its effect: what the adapter took back had been there for a moment."""

    async def shift(self: FileSwitch, *_: Any, **__: Any) -> SwitchState:
        service.router_frozen = "green" if after != "as before" else None
        raise BackendError("timeout", "lb-1: no answer; lb-1 may have changed", taken_back=True)

    monkeypatch.setattr(FileSwitch, "shift", shift)
    monkeypatch.setattr(way_back, "LOOK_S", 0.01)
    ended = await house.order(ANALYTICS_FLIP)
    steps = {step.name: step.status for step in ended.steps}
    proven = after == "as before"
    assert (ended.status, exit_code(ended)) == (("rolled_back", 1) if proven else ("rollback_failed", 9))
    assert (ended.changed, steps["verify-back"]) == (True, "succeeded" if proven else "failed")
    assert service.weights() == BLUE


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_write_in_doubt_says_who_answered_and_never_that_nothing_changed(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    """Its answer is lost, and then nobody can look: fresh requests still come through the balancer."""
    real, away = FileSwitch.shift, []

    async def shift(self: FileSwitch, *given: Any, **more: Any) -> SwitchState:
        if arrives:
            await real(self, *given, **more)
        away.append(True)
        raise BackendError("unreachable", "lb-1: connection reset")

    async def observe(self: FileSwitch) -> SwitchState:
        if away:
            raise BackendError("unreachable", "lb-1: connection refused")
        return await seen(self)

    seen = FileSwitch.observe
    with monkeypatch.context() as patch:
        patch.setattr(traffic, "READ_AGAIN_S", (0.2, 0.2, 0.2, 0.2))
        patch.setattr(FileSwitch, "shift", shift)
        patch.setattr(FileSwitch, "observe", observe)
        doubt = await house.ended(await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES))
    assert (doubt.status, exit_code(doubt), doubt.changed) == ("in_doubt", 9, True)
    assert doubt.switch is not None
    assert doubt.switch.new_seen is arrives
    ended = await house.order(ANALYTICS_ROLLBACK)
    assert (ended.status, ended.changed) == (("rolled_back", True) if arrives else ("aborted", False))
    assert service.weights() == BLUE


async def test_a_way_back_that_reaches_only_a_part_is_written_again(house: House, service: TwoColors, cut: Cut) -> None:
    written = cut(shift=1, shift_back=2)
    ended = await house.order(ANALYTICS_FLIP)
    assert (ended.status, service.weights()) == ("rolled_back", BLUE)
    assert [step for step, _ in written] == ["shift", "shift-back", "shift-back", "shift-back"]


async def test_a_part_that_can_never_be_reached_is_a_failed_rollback_that_says_what_to_type(
    house: House, service: TwoColors, cut: Cut
) -> None:
    cut(shift=1, shift_back=9)
    ended = await house.order(ANALYTICS_FLIP)
    assert (ended.status, service.weights()) == ("rollback_failed", HALF)
    assert ended.error is not None
    assert "printf" in ended.error.fix


@pytest.mark.parametrize(
    ("order", "status", "weights"), [("resume", "succeeded", GREEN), ("rollback", "rolled_back", BLUE)]
)
async def test_whoever_takes_over_a_half_done_write_finishes_or_undoes_it(
    house: House,
    service: TwoColors,
    cut: Cut,
    monkeypatch: pytest.MonkeyPatch,
    order: str,
    status: str,
    weights: dict[str, int],
) -> None:
    async def dies(*_: Any, **__: Any) -> None:
        raise BackendError("unreachable", "journal: disk full")

    cut(shift=1)
    with monkeypatch.context() as patch:
        patch.setattr(Work, "observed", dies)
        patch.setattr(traffic.Traffic, "_settled", dies)
        flip = await house.ended(await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES))
    assert (flip.status, service.weights()) == ("running", HALF)
    if order == "resume":
        await start(str(flip.id), house.gate._launch, house.journal, house.gate.action)
        ended = await house.ended(flip)
    else:
        ended = await house.order(ANALYTICS_ROLLBACK)
    assert (ended.id, ended.status, service.weights()) == (flip.id, status, weights)


@pytest.mark.parametrize(
    ("order", "status", "weights"), [("resume", "succeeded", GREEN), ("rollback", "rolled_back", BLUE)]
)
async def test_a_write_whose_reload_nobody_saw_is_reloaded_by_whoever_takes_over(
    house: House,
    service: TwoColors,
    monkeypatch: pytest.MonkeyPatch,
    order: str,
    status: str,
    weights: dict[str, int],
) -> None:
    def killed(*_: Any) -> Any:
        raise Killed

    monkeypatch.setattr(traffic, "HALF_S", 0.2)
    house.targets._config["reload"] = ["sh", "-c", "cp switch.json running"]
    plan = await house.gate.plan(ANALYTICS_FLIP)
    real = FileSwitch.shift
    with monkeypatch.context() as patch:

        async def shift(self: FileSwitch, *told: Any, **mark: Any) -> SwitchState:
            patch.setattr(FileSwitch, "_run", killed)  # from here on: a preflight runs a command, too
            return await real(self, *told, **mark)

        patch.setattr(FileSwitch, "shift", shift)
        flip = await house.gate.submit(plan, YES)
        await asyncio.gather(*house.runners, return_exceptions=True)
    assert (service.weights(), (service.directory / "running").exists()) == (GREEN, False)
    if order == "resume":
        await start(str(flip.id), house.gate._launch, house.journal, house.gate.action)
        ended = await house.ended(flip)
    else:
        ended = await house.order(ANALYTICS_ROLLBACK)
    assert (ended.status, service.weights()) == (status, weights)
    assert JsonForm(("blue", "green")).read((service.directory / "running").read_bytes()).weights == weights


async def test_an_edit_by_hand_under_our_stamp_while_a_reload_fails_is_a_conflict(
    house: House, service: TwoColors
) -> None:
    edit = "sed 's/100/55/; s/: 0/: 45/' switch.json > new; mv new switch.json; exit 1"
    house.targets._config["reload"] = ["sh", "-c", edit]
    ended = await house.order(ANALYTICS_FLIP)
    assert ended.error is not None
    assert (ended.error.kind, sorted(service.weights().values())) == ("conflict", [45, 55])


@pytest.mark.parametrize("works", [False, True])
async def test_a_reload_that_fails_by_its_own_word_is_looked_after_by_fresh_requests(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    def reload(_: FileSwitch, command: tuple[str, ...]) -> Problem:
        if command and works:
            service.router_frozen = "green"
        return Problem("exit status 1" if command else "")

    house.targets._config["reload"] = ["reload"]
    monkeypatch.setattr(FileSwitch, "_run", reload)
    ended = await house.order(ANALYTICS_FLIP)
    assert (ended.status, service.weights(), ended.changed) == ("aborted", BLUE, works)
    assert ended.error is not None
    assert ("production is unchanged" in ended.error.message, "does not prove it" in ended.error.message) == (
        not works,
        works,
    )
    assert ("printf" in ended.error.fix) is works


async def _in_conflict(house: House, monkeypatch: pytest.MonkeyPatch) -> Action:
    """A flip whose write reached half, as two nodes of which a hand put one back; its adapter says that it is not as it
    was written."""
    real = FileSwitch.shift

    async def shift(
        self: FileSwitch, expected: SwitchState, weights: dict[str, int], *, stamp: str, **mark: Any
    ) -> SwitchState:
        if not stamp.endswith(":shift"):
            return await real(self, expected, weights, stamp=stamp, **mark)
        await real(self, expected, HALF, stamp=stamp, **mark)
        raise BackendError("conflict", "somebody wrote in the same moment")

    monkeypatch.setattr(FileSwitch, "shift", shift)
    flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
    return await house.stands(flip, "conflict")


async def test_a_write_that_stands_in_part_is_held_for_a_person_and_goes_back_from_there(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip = await _in_conflict(house, monkeypatch)
    assert (flip.status, flip.changed, exit_code(flip), service.weights()) == ("conflict", True, 6, HALF)
    assert flip.error is not None
    assert "somebody else" not in flip.error.message, "it is its own write"
    told = [line.event.data for line in await house.journal.history(flip.id or "")]
    assert [data["result"] for data in told if "result" in data] == ["applied in part"]
    back = await house.ended(await house.order(ANALYTICS_ROLLBACK))
    assert (back.id, back.status, service.weights()) == (flip.id, "rolled_back", BLUE), back.error


async def test_a_write_that_stands_in_part_is_the_newest_change_once_it_is_abandoned(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip = await _in_conflict(house, monkeypatch)
    closed = await house.ended(await order(house, flip, "abandon", Consent(confirmed=True, reason="seen")))
    assert (closed.status, closed.changed) == ("abandoned", True)
    plan = await house.gate.plan(ANALYTICS_ROLLBACK)
    codes = [found.code for found in plan.findings]
    assert (plan.to, plan.blocked, "changed-since" in codes) == ("blue", False, True), plan.findings
    back = await house.order(ANALYTICS_ROLLBACK)
    assert (back.status, service.weights()) == ("succeeded", BLUE), back.error


async def test_a_way_back_to_a_set_that_differed_asks_for_what_each_part_had(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, int], dict[str, dict[str, int]]]] = []
    parts = {"lb-1": BLUE, "lb-2": GREEN}
    observe, real = FileSwitch.observe, FileSwitch.shift

    async def differing(self: FileSwitch) -> SwitchState:
        found = await observe(self)
        return replace(found, parts=parts) if found.weights == HALF and not found.stamp.endswith("back") else found

    async def shift(
        self: FileSwitch, expected: SwitchState, weights: dict[str, int], *, stamp: str, **mark: Any
    ) -> SwitchState:
        asked.append((stamp.partition(":")[2], weights, expected.back_to))
        if stamp.endswith(":shift"):
            await real(self, expected, {"blue": 30, "green": 70}, stamp=stamp, **mark)
            raise BackendError("rate_limited", "lb-2: throttled")
        return await real(self, expected, weights, stamp=stamp, **mark)

    service.write(HALF)
    monkeypatch.setattr(traffic, "HALF_S", 0.2)
    monkeypatch.setattr(FileSwitch, "observe", differing)
    monkeypatch.setattr(FileSwitch, "shift", shift)
    ended = await house.order(replace(ANALYTICS_FLIP, to="green"))
    assert (ended.status, ended.changed, service.weights()) == ("rolled_back", True, HALF), ended.error
    assert asked == [("shift", GREEN, {}), ("shift-back", HALF, parts)]
