"""Traffic that was moved outside shows: it is held against what the journal's newest change left."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.models import Consent, Refused, Request
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, House
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}


async def shown(house: House) -> Any:
    adapter = (await house.targets.switch("analytics")).adapter
    seen = await house.gate.enrich(await adapter.deployment())
    await adapter.aclose()
    return seen


async def test_a_switch_that_was_moved_by_hand_is_a_warning_until_it_is_taken_as_meant(
    house: House, service: TwoColors
) -> None:
    await house.order(ANALYTICS_FLIP)
    assert ((await shown(house)).changed_since, (await shown(house)).health) == (None, "ok")
    service.write(BLUE)
    seen = await shown(house)
    who = house.gate.actor.login
    words = f"changed since: live is BLUE 2.4.0, {who}'s flip left GREEN 2.4.1"
    assert (seen.changed_since.splitlines()[0], seen.rejected, seen.health) == (words, None, "warning")
    (told,) = [each for each in (await house.gate.plan(ANALYTICS_FLIP)).findings if each.code == "changed-since"]
    assert (told.level, words.partition(":")[0] in told.text) == ("warning", True)
    assert "teal deploy flip analytics --to BLUE" in seen.changed_since
    meant = await house.order(replace(ANALYTICS_FLIP, to="blue"))
    assert meant.changed is False
    assert ((await shown(house)).changed_since, (await shown(house)).health) == (None, "ok")
    service.write({"blue": 60, "green": 40})
    seen = await shown(house)
    assert seen.changed_since.startswith("changed since: live is BLUE 60 %, GREEN 40 %")


async def test_a_rollback_that_does_nothing_takes_no_change_as_meant(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    service.write(BLUE)
    assert (await house.order(ANALYTICS_ROLLBACK)).changed is False
    assert (await shown(house)).changed_since is not None


async def test_a_hand_that_moves_traffic_onto_a_rejected_version_is_critical(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    await house.order(ANALYTICS_ROLLBACK)
    await house.order(Request(kind="reject", service="analytics", version="2.4.1"))
    assert ((await shown(house)).rejected, (await shown(house)).health) == (None, "ok")
    service.write(GREEN)
    seen = await shown(house)
    assert (seen.rejected.startswith("live 2.4.1 was rejected by "), seen.health) == (True, "critical")
    assert seen.changed_since.startswith("changed since: live is GREEN 2.4.1, ")


async def test_a_live_version_that_was_found_bad_is_accepted_by_one_order(house: House, service: TwoColors) -> None:
    """It stayed critical until traffic was moved away and back, which is the last thing to do with what is meant."""
    accept = Request(kind="accept", service="analytics", version="2.4.1")
    await house.order(ANALYTICS_FLIP)
    await house.order(ANALYTICS_ROLLBACK)
    await house.order(Request(kind="reject", service="analytics", version="2.4.1"))
    with pytest.raises(Refused) as caught:
        await house.gate.plan(accept)
    assert (caught.value.exit_code, caught.value.error.message) == (
        5, "2.4.1 has no traffic of analytics: live is BLUE 2.4.0"
    )  # fmt: skip
    service.write(GREEN)
    seen = await shown(house)
    assert seen.rejected.splitlines()[1] == "where that is meant: teal deploy accept analytics 2.4.1 --reason WHY"
    with pytest.raises(Refused) as caught:
        await house.order(accept)
    assert (caught.value.exit_code, "only accepted with a reason" in caught.value.error.message) == (3, True)
    plan = await house.gate.plan(accept)
    assert (plan.to, plan.already, "2.4.1 on GREEN, although 2.4.1 was rejected by" in plan.summary.effects[0]) == (
        "green", False, True
    )  # fmt: skip
    done = await house.gate.submit(plan, Consent(confirmed=True, reason="the gate was wrong"))
    assert (done.status, done.version, done.reason) == ("succeeded", "2.4.1", "the gate was wrong")
    assert (await shown(house)).rejected is None
    assert (await house.gate.plan(accept)).already
    service.write(BLUE)
    findings = (await house.gate.plan(ANALYTICS_FLIP)).findings
    assert ("rejected", "block") in [(each.code, each.level) for each in findings], "it was accepted where it was"
    await house.order(replace(ANALYTICS_FLIP, to="blue"))
    service.write(GREEN)
    assert (await shown(house)).rejected is None, "nothing that the journal knows has moved it"
    assert (await house.order(replace(ANALYTICS_FLIP, to="blue"))).changed
    service.write(GREEN)
    assert "was rejected by" in (await shown(house)).rejected


async def test_a_hand_that_puts_a_version_live_that_failed_is_critical(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, smoke=["false"]) as house:
        failed = await house.order(Request(kind="release", service="analytics", version="2.5.0"))
        assert failed.status == "aborted"
        (service.directory / "green.version").write_text("2.5.0")
        service.write(GREEN)
        seen = await shown(house)
        assert (seen.rejected.startswith("live 2.5.0 failed "), seen.health) == (True, "critical")
