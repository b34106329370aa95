"""The way back is in nobody's way: also where somebody edited the switch so that nobody can read it."""

import subprocess
from pathlib import Path

import pytest

from actions.models import Consent
from backends.deployments.file_switch import FileSwitch
from backends.ports import SwitchState
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, House
from tests.actions.orders.test_orders import in_phase
from tests.two_colors import TwoColors

BLUE = {"blue": 100, "green": 0}


async def test_a_rollback_writes_over_an_edit(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    service.router_frozen = "green"
    service.switch.write_text('{"weights": {"green": 1}, "by": "hand"}')
    plan = await house.gate.plan(ANALYTICS_ROLLBACK)
    assert not plan.blocked, plan.findings
    assert [(found.code, found.level) for found in plan.findings if found.code == "changed-since"] == [
        ("changed-since", "warning")
    ]
    flip = await house.gate.plan(ANALYTICS_FLIP)
    (block,) = [found for found in flip.findings if found.code == "truth-unknown"]
    assert "GREEN" in block.fix.partition(": ")[0], "what answers now"
    service.router_frozen = None
    service.router_says = (200, "blue")  # the router follows what it could read last
    ended = await house.ended(await house.order(ANALYTICS_ROLLBACK))
    assert (ended.status, service.weights()) == ("succeeded", BLUE), ended.error


async def test_an_open_flip_takes_itself_back_over_an_edit(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="600s") as house:
        opened = await in_phase(house, "bake", ANALYTICS_FLIP)
        service.router_says = (200, "green")
        service.switch.write_text('{"weights": {"green": 1}, "by": "hand"}')
        await house.stands(opened, "conflict")
        service.router_says = (200, "blue")
        await house.gate.submit(await house.gate.plan(ANALYTICS_ROLLBACK), Consent(confirmed=True))
        ended = await house.ended(opened)
    assert (ended.status, service.weights()) == ("rolled_back", BLUE), ended.error


@pytest.mark.parametrize("back", [False, True])
async def test_what_nobody_can_read_is_written_anew_with_the_side_that_was_live(
    house: House, service: TwoColors, back: bool
) -> None:
    """Pasted at 3 a.m. it moved traffic to the side just left."""
    await house.order(ANALYTICS_FLIP)
    if back:
        await house.order(ANALYTICS_ROLLBACK)
    live, other = ("BLUE", "GREEN") if back else ("GREEN", "BLUE")
    service.router_says = (502, "")
    switch = (await house.targets.switch("analytics")).adapter
    for text in ("garbage", '{"weights": {"green": 1}}', None):
        service.switch.unlink() if text is None else service.switch.write_text(text)
        told = [(await house.gate.enrich(await switch.deployment())).truth.control.detail]
        plan = await house.gate.plan(ANALYTICS_FLIP)
        told += [found.fix for found in plan.findings if found.code == "truth-unknown"]
        assert len(told) == 2
        for found in (await house.gate.plan(ANALYTICS_ROLLBACK)).findings:
            assert found.code != "truth-unknown" or "then go back to BLUE by hand: " in found.fix
        for words in told:
            assert f"say with {live}: " in words
            assert f"with {other}" not in words
            assert f"where {other}" not in words


async def test_one_look_asks_the_switch_once(house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is behind the way back, and how the file is written anew, each asked: three requests to a real balancer."""
    await house.order(ANALYTICS_FLIP)
    service.switch.write_text('{"weights": {"green": 1}}')
    service.router_says = (502, "")
    shown = await (await house.targets.switch("analytics")).adapter.deployment()
    asked, observe = [], FileSwitch.observe

    async def counted(switch: FileSwitch) -> SwitchState:
        asked.append(switch)
        return await observe(switch)

    monkeypatch.setattr(FileSwitch, "observe", counted)
    shown = await house.gate.enrich(shown)
    assert "say with GREEN: " in shown.truth.control.detail
    assert shown.rollback is not None
    assert (shown.rollback.to, shown.rollback.ready, len(asked)) == ("blue", True, 1)


async def test_a_file_broken_under_an_open_flip_is_not_called_ready_and_the_way_back_by_hand_goes_back(
    tmp_path: Path, service: TwoColors
) -> None:
    async with House(tmp_path / "state", service, bake="600s") as house:
        opened = await in_phase(house, "bake", ANALYTICS_FLIP)
        service.router_says = (502, "")
        service.switch.write_text('{"weights": {"blue":')
        await house.stands(opened, "conflict")
        shown = await house.gate.enrich(await (await house.targets.switch("analytics")).adapter.deployment())
        assert shown.rollback is not None
        assert (shown.rollback.to, shown.rollback.ready, shown.rollback.instant) == ("blue", False, False)
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        (unknown,) = [found for found in plan.findings if found.level == "block"]
        by_hand = unknown.fix.partition("go back to BLUE by hand: ")[2]
        subprocess.run(by_hand, shell=True, check=True)
        service.router_says = None
    assert service.weights() == BLUE
