"""A runner that is told to end leaves its action as it is: paused, its lease free, a split held with a deadline."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.models import Action, Consent, Refused, Request
from actions.runner import run_action
from actions.switching import watching
from console.runners import build_described
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors

BLUE, GREEN, SPLIT = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}, {"blue": 60, "green": 40}
GRADUAL = replace(ANALYTICS_FLIP, strategy="gradual")
STAGES: dict[str, Any] = {"stages": {"gradual": [40, 100]}, "bake": "200ms"}
WITH_REASON = Consent(confirmed=True, reason="we are sure")


async def left_in(house: House, request: Request, phase: str, consent: Consent = YES) -> Action:
    """What is left of an action whose runner was told to end in `phase`."""
    park, runners = asyncio.Event(), list[asyncio.Task[Action | None]]()

    async def launch(action_id: str, _: str) -> None:
        runners.append(
            asyncio.create_task(run_action(action_id, house.journal, build_described, house.gate.own, park=park))
        )

    opened = await house.gate.submit(await house.gate.plan(request), consent, launch=launch)
    await house.reaches(opened, phase)
    park.set()
    async with asyncio.timeout(30):
        await asyncio.gather(*runners)
    left = await house.gate.action(str(opened.id))
    assert (left.status, house.gate.orphaned(left)) == ("paused", True)
    assert left.error is not None
    assert left.error.kind == "parked"
    assert f"teal action resume {left.id}" in left.error.fix
    return left


async def resumed(house: House, left: Action) -> Action:
    order = Request(kind=left.kind, service=left.service, ref=str(left.id), order="resume")
    return await house.ended(await house.gate.submit(await house.gate.plan(order), YES))


async def test_a_split_is_held_and_goes_on_where_the_evidence_is_there(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, **STAGES, stage_time="2s") as house:
        left = await left_in(house, GRADUAL, "analyse[40]")
        assert service.weights() == SPLIT
        assert left.hold is not None
        assert left.hold.until is not None
        assert left.hold.why == "GREEN was left at 40 %, and nobody watches it"
        assert (left.hold.until - left.hold.since).total_seconds() == pytest.approx(watching.HOLD_S, abs=1)
        ended = await resumed(house, left)
        assert (ended.status, ended.error, service.weights()) == ("succeeded", None, GREEN)


async def test_what_is_all_there_has_no_deadline(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="2s") as house:
        left = await left_in(house, ANALYTICS_FLIP, "bake")
        assert (left.hold, service.weights()) == (None, GREEN)
        assert (await house.order(ANALYTICS_ROLLBACK)).status == "rolled_back"
        assert service.weights() == BLUE


async def test_a_retirement_is_left_and_resumed(tmp_path: Path, service: TwoColors) -> None:
    retire = Request(kind="retire", service="analytics", overrides=("rollback-window",))
    async with House(tmp_path / "state", service, retire=("sh", "-c", "sleep 1; echo > {color}.version")) as house:
        await house.order(Request(kind="release", service="analytics", version="2.5.0"))
        left = await left_in(house, retire, "retire", WITH_REASON)
        with pytest.raises(Refused):
            await house.order(ANALYTICS_FLIP)
        ended = await resumed(house, left)
        assert (ended.status, ended.error, service.weights()) == ("succeeded", None, GREEN)
