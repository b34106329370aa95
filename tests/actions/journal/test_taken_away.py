"""The file of a journal is taken away or replaced while a runner works by it: nothing it does goes unrecorded."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actions.gate import Gate
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.late import add_late, waiting
from actions.journal.sql import SqlJournal
from actions.models import Action
from actions.switching.unjournalled_plan import RUNNER_LIVES
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors


@pytest.fixture
async def house(tmp_path: Path, service: TwoColors) -> AsyncIterator[House]:
    async with House(tmp_path / "state", service, bake="1500ms") as house:
        yield house


@pytest.fixture
async def another(house: House) -> AsyncIterator[Journal]:
    """As a program opens it that is started later."""
    journal = Journal(house.location)
    yield journal
    await journal.aclose()


async def baking(house: House) -> Action:
    return await house.reaches(await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES), "bake")


def files(house: House) -> list[Path]:
    path = house.location.path
    assert path is not None
    return sorted(path.parent.glob(f"{path.name}*"))


async def refused(journal: Journal) -> JournalError:
    """What a reader is told, as soon as its runner has noticed."""
    async with asyncio.timeout(5):
        while True:
            try:
                await journal.open_action("test", "analytics")
            except JournalError as error:
                return error
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_journal_that_is_taken_away_from_a_runner_is_broken_until_it_ends_and_then_made_whole(
    house: House, another: Journal, service: TwoColors, tmp_path: Path, replaced: bool
) -> None:
    action = await baking(house)
    for path in files(house):
        if replaced:
            shutil.copy(path, tmp_path / path.name)
        path.unlink()
        if replaced:
            shutil.copy(tmp_path / path.name, path)
    for journal in (another, house.journal):  # one that is started later; one that had it open
        error = await refused(journal)
        assert (error.kind, "its file was taken away" in error.message) == ("unreachable", True)
        assert f"{action.id} on analytics runs, and is not in it; its records are in " in error.message
        assert "teal deploy rollback analytics" in error.fix
        with pytest.raises(JournalError):
            await journal.actions("test", open_only=True)
    await asyncio.wait(house.runners)
    assert waiting(house.location, os.environ)
    assert await add_late(another, "test", os.environ) == [action.id]
    assert not waiting(house.location, os.environ)
    (known,) = await another.action("test", str(action.id))
    assert (known.status, known.changed, known.error) == ("succeeded", True, None)
    assert (await another.plan(str(action.id))).to == "green"
    records = [record for record in await another.audit_records() if record.action == action.id]
    assert [record.kind for record in records].count("command") == 1
    assert records[-1].result == "succeeded"
    assert (await another.audit_verify()).intact
    assert await another.open_action("test", "analytics") is None


async def test_the_way_back_goes_by_the_mark_and_says_that_a_runner_lives(
    house: House, another: Journal, service: TwoColors
) -> None:
    action = await baking(house)
    for path in files(house):
        path.unlink()
    await refused(another)
    gate = Gate(house.gate.policy, another, house.targets, house.gate.actor, house.gate._launch)
    plan = await gate.plan(ANALYTICS_ROLLBACK)
    told = {finding.code: finding.text for finding in plan.findings}
    assert (plan.to, plan.blocked) == ("blue", False)
    assert str(action.id) in told[RUNNER_LIVES]
    with pytest.raises(JournalError):
        await gate.submit(await gate.plan(ANALYTICS_FLIP), YES)
    await asyncio.wait(house.runners)


async def test_who_watches_an_action_sees_its_end_all_the_same(house: House) -> None:
    action = await baking(house)
    for path in files(house):
        path.unlink()
    assert (await house.ended(action)).status == "succeeded"


async def test_what_is_killed_after_that_is_still_told(house: House, another: Journal, service: TwoColors) -> None:
    action = await baking(house)
    for path in files(house):
        path.unlink()
    await refused(another)
    house.runners[-1].cancel()
    await asyncio.gather(house.runners[-1], return_exceptions=True)
    assert await add_late(another, "test", os.environ) == [action.id]
    (known,) = await another.action("test", str(action.id))
    assert (known.status, known.changed, service.weights()["green"]) == ("abandoned", True, 100)


async def test_what_is_under_way_when_a_runner_ends_is_answered(house: House) -> None:
    await house.order(ANALYTICS_FLIP)

    def ask(sql: SqlJournal) -> str:
        house.journal._records = None  # as its runner does, which waits for nobody that it has cancelled
        return sql.identity()

    async with house.journal.keeping("A", "test", lambda words: None):
        assert await house.journal._do(ask, reads=True) == await house.journal.identity()
