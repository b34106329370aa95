"""A way back whose runner dies at its start is run by whoever ordered it: no process of its own has to come up."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.lease import Lease
from actions.models import Action, Consent, Request
from console.config.selection import select
from console.session import Session, opened
from tests.console.test_foreground import BLUE, GREEN, Teal
from tests.console.test_orders import FLIP, written
from tests.two_colors import TwoColors
from tests.warm import Job, Piped, piped

YES = Consent(confirmed=True)
ROLLBACK = Request(kind="rollback", service="analytics")


@pytest.fixture
def config(tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    return written(service, "")


@pytest.fixture
async def session(config: Path) -> AsyncIterator[Session]:
    """A console's, without its screens."""
    async with opened(Session(select(str(config), "c"))) as session:
        yield session


@pytest.fixture
def no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started as a runner says that it has begun, and is gone."""
    monkeypatch.setattr("console.runners.sys.executable", "/bin/true")
    monkeypatch.setattr("actions.orphans.STARTS_WITHIN_S", 0.5)


class DeadRunners(Teal):
    """The command where each runner dies at its start."""

    async def start(self, *words: str) -> Piped:
        return await piped(Job("tests.console.dead_runners", "main", list(words), self._env, os.getcwd()))


async def flipped(session: Session) -> Action:
    action = await session.orders.submit(await session.plan(FLIP), YES, foreground=True)
    await session.orders.run_out()
    return await session.orders.action(str(action.id))


async def ended(session: Session, action: Action) -> Action:
    async with asyncio.timeout(300):
        while action.open:
            await asyncio.sleep(0.05)
            action = await session.orders.action(str(action.id))
    return action


async def test_the_console_runs_a_rollback_whose_runner_died_at_its_start(
    session: Session, service: TwoColors, monkeypatch: pytest.MonkeyPatch, no_runner: None
) -> None:
    """It was shown as "not started yet", and nobody ran it."""
    said: list[str] = []
    session.say = said.append
    assert (await flipped(session)).status == "succeeded"
    assert service.weights() == GREEN
    action = await session.submit(await session.plan(ROLLBACK), YES)
    done = await ended(session, action)
    assert (done.kind, done.status, service.weights()) == ("rollback", "succeeded", BLUE)
    assert said == ["rollback analytics: its runner died: once more, in this process"]


async def test_where_the_journal_lets_nobody_run_it_the_console_goes_back_without(
    session: Session, service: TwoColors, monkeypatch: pytest.MonkeyPatch, no_runner: None
) -> None:
    said: list[str] = []
    session.say = said.append
    await flipped(session)

    acquire = Journal.acquire

    async def refused(journal: Journal, *told: Any) -> Lease:
        if type(journal) is not Journal:
            return await acquire(journal, *told)
        raise JournalError("auth", "journal: permission denied for table leases")

    monkeypatch.setattr(Journal, "acquire", refused)
    await session.submit(await session.plan(ROLLBACK), YES)
    async with asyncio.timeout(300):
        while not said or "succeeded" not in said[-1]:
            await asyncio.sleep(0.05)
    assert service.weights() == BLUE
    assert said[1] == "rollback analytics: journal: permission denied for table leases: without the journal"
    assert "its records are in" in said[2]
    assert said[3] == "rollback analytics: succeeded, without the journal"


async def said(teal: Teal, *words: str) -> tuple[int | None, str, str]:
    process = await teal.start(*words)
    output, complaints = await asyncio.wait_for(process.communicate(), 300)
    return process.returncode, output.decode(), complaints.decode()


async def test_so_does_a_detached_command(session: Session, service: TwoColors, tmp_path: Path, config: Path) -> None:
    """It said that the rollback goes on."""
    await flipped(session)
    code, output, complaints = await said(
        DeadRunners(tmp_path, config), "deploy", "rollback", "analytics", "--detach", "-y"
    )
    assert (code, service.weights()) == (0, BLUE), (output, complaints)
    assert "teal: its runner died: once more, in this process" in complaints


async def test_so_does_an_order_to_an_action_that_nobody_runs(
    session: Session, service: TwoColors, tmp_path: Path, config: Path, no_runner: None
) -> None:
    """Nobody obeyed it."""
    begun = await session.orders.submit(await session.plan(FLIP), YES)
    assert begun.orphaned_since is not None
    teal = DeadRunners(tmp_path, config)
    code, output, complaints = await said(teal, "action", "rollback", str(begun.id), "-y")
    assert (code, service.weights()) == (0, BLUE), (output, complaints)
    assert "teal: its runner died: once more, in this process" in complaints
    assert (await session.orders.action(str(begun.id))).status == "aborted"


async def test_a_detached_release_that_nobody_runs_does_not_go_on(
    tmp_path: Path, service: TwoColors, config: Path
) -> None:
    code, output, _ = await said(DeadRunners(tmp_path, config), "deploy", "flip", "analytics", "-y", "--detach")
    assert (code, service.weights()) == (8, BLUE)
    assert "nobody runs it" in output
    assert "goes on" not in output
