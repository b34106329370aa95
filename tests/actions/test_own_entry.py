"""A runner takes addresses, commands and secrets from its own config: whatever a row of the journal says, and whatever
became of the entry since."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from actions.models import Action, Refused, Request
from actions.targets import described
from backends.errors import BackendError
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House, OneService
from tests.actions.journals import execute, rechain, without_digest
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
RELEASE = Request(kind="release", service="analytics", version="2.5.0")


@pytest.fixture
async def house(tmp_path: Path, service: TwoColors) -> AsyncIterator[House]:
    async with House(tmp_path / "state", service, bake="30s") as house:
        yield house


async def killed(house: House, phase: str) -> Action:
    """A release whose runner died in `phase`."""
    house.halts_in = phase
    opened = await house.gate.submit(await house.gate.plan(RELEASE), YES)
    await house.reaches(opened, phase)
    await house.kill_runner()
    return await house.gate.action(str(opened.id))


def target_of(house: House) -> dict[str, Any]:
    ((plan,),) = execute(house.location, "SELECT plan FROM actions ORDER BY created_at DESC LIMIT 1")
    found: dict[str, Any] = json.loads(plan)["target"]
    return found


def rewrite(house: House, target: dict[str, Any]) -> None:
    """As a member of the journal's group could who writes the audit anew, too, as an older program wrote it."""
    quoted = json.dumps(target).replace("'", "''")
    execute(house.location, f"UPDATE actions SET plan = json_set(plan, '$.target', json('{quoted}'))")
    rechain(house.location, without_digest)


def edit(house: House, **config: Any) -> None:
    house.targets._config |= config


async def order(house: House, action: Action, word: str) -> Action:
    request = Request(kind=action.kind, service="analytics", ref=str(action.id), order=word)
    return await house.ended(await house.gate.submit(await house.gate.plan(request), YES))


async def test_a_row_holds_no_address_no_command_and_no_reference_of_a_secret(house: House) -> None:
    await killed(house, "bake")
    assert target_of(house).keys() == {"port", "type", "name", "moves", "digest"}


async def test_a_command_that_was_put_into_a_row_is_never_run(house: House, tmp_path: Path) -> None:
    left = await killed(house, "health")
    mark = tmp_path / "pwned"
    config = {"smoke": ["touch", str(mark)], "deploy": ["touch", str(mark)], "validate": ["touch", str(mark)]}
    rewrite(house, {**target_of(house), "config": config, "base_dir": "/", "sources": [], "notify": [config]})
    edit(house, bake="100ms")
    edit(house, bake="30s")  # as it was: the same entry
    opened = await house.gate.submit(
        await house.gate.plan(Request(kind="release", service="analytics", ref=str(left.id), order="resume")), YES
    )
    await house.reaches(opened, "bake")
    assert not mark.exists()
    back = await house.order(ANALYTICS_ROLLBACK)
    assert (back.status, mark.exists()) == ("rolled_back", False)


async def test_an_entry_that_was_edited_goes_only_back_and_runs_no_command(
    house: House, service: TwoColors, tmp_path: Path
) -> None:
    left = await killed(house, "bake")
    assert service.weights() == GREEN
    mark = tmp_path / "ran"
    edit(house, deploy=["touch", str(mark)], smoke=["touch", str(mark)])
    seen, ways = await house.gate.action(str(left.id)), "teal deploy rollback analytics"
    why = "its entry in the config is not the one that it was agreed to with"
    assert (seen.findings[0].fix, why in seen.findings[0].text) == (ways, True), "what is refused is not advised"
    adapter = (await house.targets.switch("analytics")).adapter
    shown = await house.gate.enrich(await adapter.deployment())
    assert (shown.ways_out, why in shown.orphaned_why) == (ways, True)
    held = [each for each in (await house.gate.plan(RELEASE)).findings if each.code == "open-action"]
    assert [each.fix for each in held] == [ways]
    for word in ("resume", "takeover"):
        with pytest.raises(Refused) as refused:
            await order(house, left, word)
        assert refused.value.exit_code == 3
        assert "entry-edited" in [finding.code for finding in refused.value.findings]
    assert service.weights() == GREEN
    back = await house.order(ANALYTICS_ROLLBACK)
    assert (back.id, back.status, service.weights()) == (left.id, "rolled_back", BLUE)
    assert not mark.exists()


async def test_what_had_not_moved_is_left_as_it_is_and_says_so(house: House, service: TwoColors) -> None:
    service.faults["green"].status = 503
    left = await killed(house, "health")
    edit(house, deploy=["false"])
    ended = await order(house, left, "abort")
    assert (ended.status, service.weights()) == ("aborted", BLUE)
    assert ended.error is not None
    assert "GREEN is left as it is: its entry was edited" in ended.error.message


async def test_another_object_of_that_name_is_not_touched(house: House, service: TwoColors) -> None:
    left = await killed(house, "bake")
    other = service.directory / "other.json"
    other.write_text(service.switch.read_text())
    edit(house, path="other.json")
    before = other.read_bytes()
    with pytest.raises(BackendError) as caught:
        await house.gate.plan(ANALYTICS_ROLLBACK)
    assert (caught.value.kind, "other.json in this config" in caught.value.message) == ("conflict", True)
    assert f"teal action abandon {left.id} --reason WHY" in caught.value.fix
    shown = await house.gate.enrich(await (await house.targets.switch("analytics")).adapter.deployment())
    assert shown.rollback is not None  # it was "ready, at once"
    assert (shown.rollback.ready, "other.json in this config" in (shown.rollback.reason or "")) == (False, True)
    assert (await house.gate.action(str(left.id))).open
    assert (other.read_bytes(), service.weights()) == (before, GREEN)


@pytest.mark.parametrize("row", [{"type": "haproxy"}, {"moves": "/elsewhere"}, {"name": "gone"}, {"port": "notify"}])
async def test_a_row_that_names_another_entry_runs_nothing(
    house: House, service: TwoColors, row: dict[str, str]
) -> None:
    left = await killed(house, "bake")
    rewrite(house, {**target_of(house), "digest": "0", **row})
    with pytest.raises(Refused):
        await order(house, left, "resume")
    assert service.weights() == GREEN


async def test_nothing_is_begun_that_its_runner_would_refuse(house: House, service: TwoColors) -> None:
    """A console that was opened before the edit left an action in planning, and advised a resume that was refused."""
    now = OneService(service, house.http, bake="31s")
    house.gate._entry_now = partial(described, now)
    plan = await house.gate.plan(ANALYTICS_FLIP)
    told = [finding for finding in plan.findings if finding.level == "block"]
    assert [(each.code, "was edited since" in each.text) for each in told] == [("entry-edited", True)]
    with pytest.raises(Refused) as refused:
        await house.gate.submit(plan, YES)
    assert (refused.value.exit_code, await house.gate.actions()) == (3, [])
    house.gate._entry_now = partial(described, house.targets)
    flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
    await house.reaches(flip, "bake")
    house.gate._entry_now = partial(described, now)
    assert (await house.order(ANALYTICS_ROLLBACK)).open is False
    assert ((await house.ended(flip)).status, service.weights()) == ("rolled_back", BLUE)
