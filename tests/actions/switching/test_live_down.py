"""The side with all traffic is dead, the other one is well, and nothing is to be taken back: a flip gets out of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from actions.models import Consent, Refused
from actions.telling import standing
from actions.work import Work
from console.cli.writing import action_lines
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.console.test_one_look import Counting
from tests.two_colors import TwoColors

GREEN = {"blue": 0, "green": 100}


@pytest.fixture
async def house(tmp_path: Path, service: TwoColors) -> AsyncIterator[House]:
    async with House(tmp_path / "state", service, probe_timeout="2s") as house:
        yield house


async def test_a_flip_leaves_a_side_that_says_itself_that_it_is_down(house: House, service: TwoColors) -> None:
    service.sicken("blue")
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
    ended = await house.ended(opened)
    assert ended.status == "succeeded"
    (preflight,) = [step.detail for step in ended.steps if step.name == "preflight"]
    assert "proves" not in preflight, "the plan said that nothing does"
    assert "BLUE not proven, overridden: " in preflight


async def test_an_error_that_names_the_color_proves_what_is_live_and_is_left_without_an_override(
    house: House, service: TwoColors
) -> None:
    """Its health check passes, and every request fails: no override, which is for a color that can not be told."""
    service.router_says = (500, "blue")
    plan = await house.gate.plan(ANALYTICS_FLIP)
    assert [(each.level, each.code) for each in plan.findings if each.level != "ok"] == [("warning", "live-down")]
    opened = await house.gate.submit(plan, YES)
    while service.weights() != GREEN:
        assert (await house.gate.action(str(opened.id))).open
        await asyncio.sleep(0.02)
    service.router_says = None
    ended = await house.ended(opened)
    (preflight,) = [step.detail for step in ended.steps if step.name == "preflight"]
    assert (ended.status, "a fresh request proves BLUE, answered with an error: " in preflight) == ("succeeded", True)


async def test_an_error_that_names_another_color_proves_nothing(house: House, service: TwoColors) -> None:
    service.router_says = (500, "green")
    plan = await house.gate.plan(ANALYTICS_FLIP)
    assert [(each.level, each.code) for each in plan.findings if each.level != "ok"] == [("block", "probe")]


async def test_a_rollback_with_nothing_to_take_back_says_that_what_is_live_is_down(
    house: House, service: TwoColors
) -> None:
    assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
    assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"
    service.sicken("blue")
    plan = await house.gate.plan(ANALYTICS_ROLLBACK)
    assert plan.already
    (down,) = [finding for finding in plan.findings if finding.code == "live-down"]
    assert down.fix == "teal deploy flip analytics --to GREEN"
    service.sicken("green")
    (down,) = [each for each in (await house.gate.plan(ANALYTICS_ROLLBACK)).findings if each.code == "live-down"]
    assert down.fix.startswith("make GREEN healthy first (GREEN: "), "that flip is refused as it is"
    assert down.fix.endswith("), then teal deploy flip analytics --to GREEN")


async def test_a_flip_away_from_a_dead_side_names_no_undo_that_is_refused(house: House, service: TwoColors) -> None:
    assert (await house.gate.plan(ANALYTICS_FLIP)).summary.undo == "teal deploy rollback analytics"
    service.sicken("blue")
    service.router_says = (503, "")
    plan = await house.gate.plan(ANALYTICS_FLIP)
    (down,) = [each for each in plan.findings if each.code == "live-down"]
    assert (plan.summary.undo, down.fix) == ("", "no rollback goes back there before BLUE is healthy again")


async def test_one_whose_requests_fail_names_the_flip_that_leaves_it_and_is_no_success(
    house: House, service: TwoColors
) -> None:
    assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
    assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"
    service.router_says = (500, "blue")
    action = await house.order(ANALYTICS_ROLLBACK)
    assert (action.changed, standing(action)) == (False, "warning")
    assert any(
        line.startswith("▲ BLUE") and "teal deploy flip analytics --to GREEN" in line for line in action_lines(action)
    )
    service.router_says = None
    assert standing(await house.order(ANALYTICS_ROLLBACK)) == "ok"


async def test_one_that_fails_the_requests_of_others_is_told_by_counters(tmp_path: Path, service: TwoColors) -> None:
    server = await asyncio.start_server(Counting(10, 10).answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    async with House(tmp_path / "state", service, exposition={"blue": url}) as house:
        assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
        assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        (bad,) = [finding for finding in plan.findings if finding.code == "live-down"]
        assert (plan.already, bad.text) == (
            True,
            "BLUE, which has all traffic: 10 of 10 requests failed, too few to judge",
        )
    server.close()
    await server.wait_closed()


async def test_a_way_back_that_was_out_of_time_before_its_write_says_so_with_the_command(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"

    def none_left(self: Work, at_most: float) -> float:
        return 0.0

    monkeypatch.setattr(Work, "remaining_s", none_left)
    ended = await house.order(replace(ANALYTICS_ROLLBACK, timeout_s=30.0))
    assert (ended.status, service.weights()) == ("aborted", GREEN)
    assert ended.error is not None
    assert ended.error.kind == "deadline"
    assert ended.error.fix == (
        "nothing was moved back; with more time, or no --timeout: teal deploy rollback analytics -y"
    )
