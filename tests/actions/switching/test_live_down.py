"""The side with all traffic is dead, the other one is well, and nothing is to be taken back: a flip gets out of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from actions.models import Consent, Refused
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors

GREEN = {"blue": 0, "green": 100}


@pytest.fixture
async def house(tmp_path: Path, service: TwoColors) -> AsyncIterator[House]:
    async with House(tmp_path / "state", service, probe_timeout="2s") as house:
        yield house


async def test_a_flip_leaves_a_side_that_says_itself_that_it_is_down(house: House, service: TwoColors) -> None:
    service.faults["blue"].status, service.faults["blue"].word = 503, "unhealthy"
    service.router_says = (503, "")
    plan = await house.gate.plan(ANALYTICS_FLIP)
    assert [finding.level for finding in plan.findings if finding.code == "live-down"] == ["warning"]
    house.before_runner = lambda: None
    opened = await house.gate.submit(plan, YES)
    while service.weights() != GREEN:
        assert (await house.gate.action(str(opened.id))).open
        await asyncio.sleep(0.02)
    service.router_says = None
    assert (await house.ended(opened)).status == "succeeded"


async def test_where_only_the_probe_fails_a_person_can_say_so(house: House, service: TwoColors) -> None:
    service.router_says = (503, "")
    with pytest.raises(Refused):
        await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
    known = replace(ANALYTICS_FLIP, overrides=("probe",))
    opened = await house.gate.submit(
        await house.gate.plan(known), Consent(confirmed=True, reason="the balancer hides it")
    )
    while service.weights() != GREEN:
        assert (await house.gate.action(str(opened.id))).open
        await asyncio.sleep(0.02)
    service.router_says = None
    assert (await house.ended(opened)).status == "succeeded"


async def test_a_rollback_with_nothing_to_take_back_says_that_what_is_live_is_down(
    house: House, service: TwoColors
) -> None:
    assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
    assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"
    service.faults["blue"].status, service.faults["blue"].word = 503, "unhealthy"
    plan = await house.gate.plan(ANALYTICS_ROLLBACK)
    assert plan.already
    (down,) = [finding for finding in plan.findings if finding.code == "live-down"]
    assert "teal deploy flip analytics --to GREEN" in down.fix
