"""A way back that the action it takes back overtakes: between its plan and its order that goes on, ends, or begins."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.models import Action, Consent, Refused
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors

BLUE, GREEN, HALF = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}, {"blue": 50, "green": 50}
STAGED = {"stages": {"gradual": [50, 100]}, "stage_time": "60s", "bake": "60s"}
GRADUALLY = replace(ANALYTICS_FLIP, strategy="gradual")


async def half_way(house: House, service: TwoColors) -> Action:
    """A gradual flip at 50 %."""
    flip = await house.gate.submit(await house.gate.plan(GRADUALLY), YES)
    await house.reaches(flip, "analyse[50]")
    assert service.weights() == HALF
    return flip


async def goes_on(house: House, flip: Action) -> None:
    """To all traffic."""
    promote = replace(GRADUALLY, order="promote", ref=str(flip.id))
    await house.gate.submit(await house.gate.plan(promote), YES)
    await house.reaches(flip, "analyse[100]")


@pytest.mark.parametrize("agreed", [False, True], ids=["by -y", "by the hash of its plan"])
async def test_a_canary_that_goes_on_meanwhile_is_taken_back_all_the_same(
    tmp_path: Path, service: TwoColors, agreed: bool
) -> None:
    async with House(tmp_path / "state", service, **STAGED) as house:
        flip = await half_way(house, service)
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        await goes_on(house, flip)
        assert service.weights() == GREEN
        consent = Consent(confirmed=True, plan_hash=plan.hash if agreed else "")
        ended = await house.ended(await house.gate.submit(plan, consent))
        assert (ended.id, ended.status, service.weights()) == (flip.id, "rolled_back", BLUE)


async def test_the_hash_of_another_plan_is_refused_still(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, **STAGED) as house:
        await half_way(house, service)
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        with pytest.raises(Refused) as caught:
            await house.gate.submit(plan, Consent(confirmed=True, plan_hash="0" * 16))
        assert (caught.value.exit_code, service.weights()) == (6, HALF)
        assert [record.kind for record in await house.gate.audit_records()].count("refused") == 1
        await house.kill_runner()


async def test_a_plan_to_the_other_side_is_not_taken_for_it(house: House, service: TwoColors) -> None:
    """Back was BLUE; after a flip by somebody else, and one of ours, it is GREEN."""
    await house.order(ANALYTICS_FLIP)
    plan = await house.gate.plan(ANALYTICS_ROLLBACK)
    await house.order(ANALYTICS_FLIP)
    with pytest.raises(Refused) as caught:
        await house.gate.submit(plan, YES)
    assert (caught.value.exit_code, service.weights()) == (6, BLUE)


async def test_a_flip_that_ends_before_it_gets_the_order_is_taken_back_by_a_rollback(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.halts_in = "verify"
    flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
    await house.reaches(flip, "verify")
    enqueue = house.journal.enqueue

    async def too_late(*given: Any, **more: Any) -> bool:
        monkeypatch.setattr(house.journal, "enqueue", enqueue)
        await ends(house, flip)
        return await enqueue(*given, **more)

    monkeypatch.setattr(house.journal, "enqueue", too_late)
    ended = await house.order(ANALYTICS_ROLLBACK)
    assert (ended.kind, ended.status, service.weights()) == ("rollback", "succeeded", BLUE)
    assert "refused" not in [record.kind for record in await house.gate.audit_records()]


async def ends(house: House, flip: Action) -> None:
    """Another runner carries it to its end."""
    await house.kill_runner()
    house.halts_in = ""
    takeover = replace(ANALYTICS_FLIP, order="takeover", ref=str(flip.id))
    await house.ended(await house.gate.submit(await house.gate.plan(takeover), YES))


async def test_of_two_rollbacks_in_one_moment_the_second_is_the_first(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.order(ANALYTICS_FLIP)
    plan, begin, first = await house.gate.plan(ANALYTICS_ROLLBACK), house.journal.begin, []

    async def late(*given: Any, **more: Any) -> Action:
        monkeypatch.setattr(house.journal, "begin", begin)
        first.append(await house.gate.submit(plan, YES))
        return await begin(*given, **more)

    monkeypatch.setattr(house.journal, "begin", late)
    second = await house.gate.submit(plan, YES)
    assert second.id == first[0].id
    ended = await house.ended(second)
    assert (ended.status, service.weights()) == ("succeeded", BLUE)
