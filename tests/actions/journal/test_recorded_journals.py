"""Journals of earlier releases with an action open in each phase: read, resumed and rolled back by this program.

`tests/fixtures/journals/record.py` made them.
"""

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest

from actions import targets
from actions.gate import Gate
from actions.guards import Policy
from actions.ids import now, time_text
from actions.journal.journal import Journal
from actions.models import Action, Actor, Consent, Request
from actions.runner import run_action
from tests.actions.fake_switch import FakeSwitch, FakeTargets
from tests.actions.journals import execute, here
from tests.actions.switching.test_machine import QUICK
from tests.fixtures.journals.record import CONFIG, fair

RECORDED = sorted((Path(__file__).parents[2] / "fixtures" / "journals").glob("*/*.sql"))
YES = Consent(confirmed=True, reason="a test")
MOVED = ("shifted", "verify", "analyse", "paused", "rolling_back", "conflict")


class Found(NamedTuple):
    phase: str
    journal: Journal
    switch: FakeSwitch
    gate: Gate

    async def action(self) -> Action:
        (action,) = await self.gate.actions()
        return action

    async def ordered(self, word: Any) -> Action:
        action = await self.action()
        request = Request(kind=action.kind, service="svc", ref=action.id or "", order=word)
        await self.gate.submit(await self.gate.plan(request), YES)
        return await self.action()


@pytest.fixture(params=RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def found(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Found]:
    location = here(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        database.executescript(request.param.read_text())
        # Whatever the clock of this host says, the runner is long dead.
        database.execute("UPDATE leases SET expires_at = '2000-01-01T00:00:00.000000Z'")
        database.execute("UPDATE actions SET owner = json_set(owner, '$.lease_expires_at', '2000-01-01T00:00:00Z')")
        # And what an ended deadline makes of a step is another test's: it has a minute left.
        soon = time_text(now() + timedelta(seconds=60))
        steps = "step IN ('deploy', 'health', 'smoke') OR step LIKE 'verify%'"
        database.execute(
            f"UPDATE events SET data = json_set(data, '$.until', ?) WHERE ({steps}) AND data LIKE '%until%'", (soon,)
        )
        database.commit()
    switch = FakeSwitch()
    vars(switch).update(json.loads(request.param.with_suffix(".json").read_text()))
    journal = Journal(location)

    async def build(_: Any) -> FakeSwitch:
        return switch

    async def launch(action_id: str, _: str) -> None:
        await run_action(action_id, journal, build, gate.own)

    policy, alice = Policy(context="c", zone=UTC), Actor(login="alice", host="bastion-2")
    gate = Gate(policy, journal, FakeTargets(switch, CONFIG), alice, launch)
    with _quick(switch):
        yield Found(request.param.stem, journal, switch, gate)
    await journal.aclose()


@contextlib.contextmanager
def _quick(switch: FakeSwitch) -> Iterator[None]:
    with contextlib.ExitStack() as patches:
        for module, name, value in QUICK:
            patches.enter_context(mock.patch.object(module, name, value))
        patches.enter_context(mock.patch.object(targets.SwitchTarget, "probe", side_effect=fair(switch)))
        yield


def schema(journal: Journal) -> str:
    ((version,),) = execute(journal.location, "SELECT version_num FROM alembic_version")
    return str(version)


async def test_it_is_read_as_it_is(found: Found) -> None:
    action = await found.action()
    assert (action.open, action.kind, action.version) == (True, "release", "2.0")
    assert action.changed is (found.phase in MOVED)
    assert (await found.journal.audit_verify()).intact
    assert await found.journal.identity() == ""
    assert schema(found.journal) == "0004"


async def test_it_is_resumed(found: Found) -> None:
    ended = await found.ordered("takeover" if found.phase == "rolling_back" else "resume")
    expected = {"rolling_back": "rolled_back", "conflict": "conflict"}.get(found.phase, "succeeded")
    assert ended.status == expected, ended
    assert found.switch.weights[ended.to if expected == "succeeded" else ended.from_] == 100
    await _migrates_when_it_has_ended(found, ended)


async def test_it_is_rolled_back(found: Found) -> None:
    rollback = await found.gate.plan(Request(kind="rollback", service="svc"))
    await found.gate.submit(rollback, YES)
    ended = await found.action()
    assert ended.status == ("rolled_back" if found.phase in MOVED else "aborted"), ended
    assert found.switch.weights == {"blue": 100, "green": 0}
    await _migrates_when_it_has_ended(found, ended)


async def _migrates_when_it_has_ended(found: Found, ended: Action) -> None:
    assert found.switch.unsafe == []
    assert schema(found.journal) == "0004"
    await found.journal.aclose()
    later = Journal(found.journal.location)
    assert len(await later.actions("c")) == 1
    assert (await later.audit_verify()).intact
    assert (schema(later) > "0004", await later.identity() != "") == (not ended.open, not ended.open)
    await later.aclose()
