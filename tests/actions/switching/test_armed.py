"""A switch that is ARMED: what runs is what users get, and what a way back writes; the file is what waits."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions import enrichment
from actions.expected import SwitchExpected
from actions.ids import now
from actions.models import Request
from backends.deployments.file_switch import FileSwitch
from backends.ports import SwitchState
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors

BLUE, GREEN, HALF = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}, {"blue": 50, "green": 50}
TO_GREEN = replace(ANALYTICS_FLIP, to="green")

Arm = Callable[..., None]


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Arm:
    """`arm(runs=BLUE)`: until an action of ours writes it, another content waits for its reload, and `runs` is what
    users get; empty where nobody can say it."""
    real = FileSwitch._in_force

    def arm(runs: dict[str, int], stamp: str = "") -> None:
        def in_force(self: FileSwitch, content: bytes) -> SwitchState:
            found = real(self, content)
            if ":" in found.stamp and found.stamp != stamp:
                return found
            told = "any reload goes to GREEN 100 %"
            return replace(
                found, weights=HALF, wrote={}, revision=f"{found.revision}+", detail=f"ARMED: {told}", armed=told,
                runs=runs,
            )  # fmt: skip

        monkeypatch.setattr(FileSwitch, "_in_force", in_force)

    return arm


async def shown(house: House) -> Any:
    adapter = (await house.targets.switch("analytics")).adapter
    return await house.gate.enrich(await adapter.deployment())


async def test_a_flip_from_there_comes_from_what_runs_and_goes_back_to_it(
    tmp_path: Path, service: TwoColors, arm: Arm
) -> None:
    """It came from a split of 50 and 50 that nobody ever had, and its way back would have written that."""
    arm(runs=BLUE)
    async with House(tmp_path / "state", service, bake="30s") as house:
        plan = await house.gate.plan(TO_GREEN)
        assert (plan.from_, plan.to, plan.summary.undo) == ("blue", "green", "teal deploy rollback analytics")
        assert plan.summary.effects[0].endswith(": ARMED → green")
        assert plan.summary.effects[1] == "traffic  BLUE 100 % → 0 %   GREEN 0 % → 100 %"
        assert plan.expecting(SwitchExpected).runs == BLUE
        assert not [each for each in plan.findings if each.code == "mixed" or "50 %" in each.text]
        flip = await house.gate.submit(plan, YES)
        await house.reaches(flip, "bake")
        await house.order(ANALYTICS_ROLLBACK)
        assert ((await house.ended(flip)).status, service.weights()) == ("rolled_back", BLUE)


async def test_nothing_goes_forward_where_nobody_knows_what_runs(house: House, arm: Arm) -> None:
    arm(runs={})
    told = [each for each in (await house.gate.plan(TO_GREEN)).findings if each.level == "block"]
    assert [(each.code, each.text) for each in told] == [("mixed", "ARMED: any reload goes to GREEN 100 %")]


async def test_the_panel_shows_what_runs_and_the_way_back_of_what_waits(
    house: House, service: TwoColors, arm: Arm
) -> None:
    """A runner that died between rename and reload: users are on BLUE, and a rollback has the file to write."""
    await house.order(ANALYTICS_FLIP)
    stamp = (await (await house.targets.switch("analytics")).adapter.observe()).stamp
    service.write(BLUE, stamp=stamp)
    arm(runs=BLUE, stamp=stamp)
    seen = await shown(house)
    assert {name: side.weight_pct for name, side in seen.colors.items()} == {"blue": 100, "green": 0}
    assert (seen.live, seen.health, "50 %" in (seen.changed_since or "")) == ("blue", "critical", False)
    assert (seen.rollback.to, seen.rollback.ready) == ("blue", True)
    back = await house.gate.plan(Request(kind="rollback", service="analytics"))
    assert (back.to, back.already, [each for each in back.findings if "50 %" in each.text]) == ("blue", False, [])


async def test_a_write_that_is_going_on_is_not_armed_and_one_of_a_dead_runner_or_that_lasts_is(
    tmp_path: Path, service: TwoColors, arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Consoles recorded a critical ARMED in the middle of every healthy move of ours."""
    async with House(tmp_path / "state", service, bake="30s", reload=["sleep", "1.5"]) as house:
        adapter = (await house.targets.switch("analytics")).adapter
        flip = await house.gate.submit(await house.gate.plan(TO_GREEN), YES)
        async with asyncio.timeout(30):
            while not (read := await adapter.deployment()).armed:
                await asyncio.sleep(0.02)
        seen = await house.gate.enrich(read)
        assert (seen.action, seen.armed, seen.health) == (flip.id, "", "warning")
        with monkeypatch.context() as dead:
            dead.setattr(enrichment, "orphaned_since", lambda *_: now())
            assert (await house.gate.enrich(read)).armed, "nobody ends that write"
        await house.reaches(flip, "bake")
        assert not (await house.gate.enrich(read)).armed, "it was read before the end of the write"
        await asyncio.sleep(enrichment.OBSERVED_WITHIN.total_seconds())
        arm(runs=BLUE, stamp=(await adapter.observe()).stamp)
        assert (await house.gate.enrich(await adapter.deployment())).armed, "the write is over, and it is so still"
        await house.order(ANALYTICS_ROLLBACK)
