"""A release of Helm by the gate, with a stand-in for its program: released, taken back, and what a way back that runs a
migration is agreed to with."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.guards import Policy, refusal
from actions.models import Action, Consent, Refused
from backends.ports import Order
from tests.actions.controlling.desk import RELEASE, ROLLBACK, Desk, at_desk
from tests.backends.helm_fixtures import Lab, Make, make_helm
from tests.backends.stand_in_helm import release_of

__all__ = ["make_helm"]
JOB = {"name": "migrate", "kind": "Job", "manifest": "", "events": ["pre-rollback"], "weight": 0}


@pytest.fixture
async def lab(make_helm: Make) -> Lab:
    return await make_helm(release_of(1, "1.0", "superseded", hooks=[JOB]), release_of(2, "1.1"))


@pytest.fixture
async def desk(tmp_path: Path, lab: Lab) -> AsyncIterator[Desk]:
    controller: Any = lab.adapter
    async with at_desk(tmp_path, {"deploy": lab.entry["deploy"]}, controller) as at:
        yield at


async def over(desk: Desk, action: Action) -> Action:
    """As it ended, once its runner has closed the adapter, which is everybody's here."""
    found = await desk.ended(action)
    await asyncio.gather(*desk.runners)
    return found


async def test_a_release_is_followed_and_a_rollback_goes_to_the_revision_before(desk: Desk, lab: Lab) -> None:
    released = await over(desk, await desk.begin(RELEASE))
    assert (released.status, released.to) == ("succeeded", "2.0")
    back = await over(desk, await desk.begin(ROLLBACK))
    assert (back.status, back.to) == ("succeeded", "1.1")
    assert [call[2] for call in lab.calls()] == ["2"]
    again = await desk.begin(ROLLBACK)
    assert (again.changed, again.status) == (False, "succeeded")
    assert len(lab.calls()) == 1


async def test_a_release_that_fails_goes_back_by_itself(desk: Desk, lab: Lab) -> None:
    (lab.directory / "fail-upgrade").write_text("timed out waiting for the condition")
    found = await over(desk, await desk.begin(RELEASE))
    assert found.status == "rolled_back"
    assert "timed out waiting for the condition" in str(found.error)
    assert [call[2] for call in lab.calls()] == ["2"]
    state = await lab.adapter.observe()
    assert state.view.stable is not None
    assert (state.view.phase, state.view.stable.version) == ("healthy", "1.1")


async def test_a_way_back_that_fails_too_pages_somebody_with_the_command(desk: Desk, lab: Lab) -> None:
    (lab.directory / "fail").write_text("cannot patch")
    found = await over(desk, await desk.begin(RELEASE))
    assert found.status == "rollback_failed"
    assert found.error is not None
    assert "helm rollback model 2 " in found.error.fix


async def test_a_rollback_stops_a_release_under_way_and_its_command(desk: Desk, lab: Lab) -> None:
    (lab.directory / "hold").touch()
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")

    async def let_go() -> None:
        while not lab.calls():
            await asyncio.sleep(0.02)
        (lab.directory / "hold").unlink()

    letting = asyncio.create_task(let_go())
    await desk.begin(ROLLBACK)
    found = await over(desk, action)
    await letting
    assert found.status == "rolled_back"
    assert [call[2] for call in lab.calls()] == ["2"]
    state = await lab.adapter.observe()
    assert state.view.stable is not None
    assert state.view.stable.version == "1.1"


async def test_a_way_back_that_runs_a_migration_is_agreed_to_as_a_way_forward(desk: Desk, lab: Lab) -> None:
    plan = await desk.gate.plan(ROLLBACK)
    assert {each.code: each.level for each in plan.findings}["migration"] == "warning"
    assert plan.guard_class == "3"
    protected = Policy(context="c", protected=True, zone=UTC)
    yes = Consent(confirmed=True)
    error = refusal(protected, replace(plan, protected=True), yes)
    assert error is not None
    assert "--confirm c" in error.fix
    assert refusal(protected, replace(plan, protected=True), replace(yes, typed_context="c", reason="r")) is None
    await lab.adapter.order(await lab.adapter.observe(), Order(order="release", version="1.2"), stamp="A:release")
    async with asyncio.timeout(20):
        while (await lab.adapter.observe()).open:
            await asyncio.sleep(0.05)
    without = await desk.gate.plan(ROLLBACK)  # to revision 2, which has no hooks
    assert (without.guard_class, without.to) == ("R", "1.1")


async def test_where_nothing_is_older_a_revision_that_is_named_is_not_found(desk: Desk, lab: Lab) -> None:
    lab.keep(release_of(1, "1.0", "failed"))
    with pytest.raises(Refused, match="no revision is known that is older than what runs") as caught:
        await desk.gate.plan(replace(ROLLBACK, to="1"))
    assert caught.value.exit_code == 5
