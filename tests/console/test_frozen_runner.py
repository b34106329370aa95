"""A runner that is stopped takes no order: the command that gave one ends in its own time, and says why."""

import asyncio
import contextlib
import os
import signal
import sqlite3
from datetime import UTC
from pathlib import Path

import pytest

from actions.models import Action, Owner
from actions.orphans import is_frozen
from actions.who import host_name
from backends.processes import is_stopped
from console.check_results import of_actions
from console.cli.following import not_taken
from console.session import Acting
from tests.console.test_foreground import BLUE, Teal
from tests.console.test_orders import written
from tests.console.test_orphan_commands import said
from tests.two_colors import TwoColors

READERS = [("status",), ("deploy", "status"), ("action", "list")]
"""One verdict everywhere."""


@pytest.fixture
def teal(tmp_path: Path, service: TwoColors) -> Teal:
    """Its bakes last until they are ended."""
    config = written(service, "")
    config.write_text(config.read_text().replace('bake = "200ms"', 'bake = "10m"'))
    return Teal(tmp_path, config)


async def test_a_rollback_takes_over_from_a_runner_that_is_stopped(
    teal: Teal, service: TwoColors, tmp_path: Path
) -> None:
    """It stood for a minute, until the lease was over."""
    code, _, err = await said(teal, "deploy", "flip", "analytics", "-y", "--detach")
    assert code == 8, err
    owner = (await teal.until(phase="bake")).owner
    assert owner is not None
    assert owner.lease_expires_at is not None
    await stop_between_writes(owner.pid, tmp_path / "state" / "journal.db")
    try:
        code, out, err = await said(teal, "deploy", "rollback", "analytics", "-y")
        assert (code, service.weights()) == (0, BLUE), (out, err)
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    await gone(owner.pid)
    assert service.weights() == BLUE, "continued, it writes nothing"
    ended = await teal.until(status="rolled_back")
    (back,) = (step for step in ended.steps if step.name == "shift-back")
    assert back.started_at is not None
    assert back.started_at < owner.lease_expires_at, "it stood until the lease was over"


async def test_a_runner_that_is_stopped_within_a_write_keeps_nobody_from_the_way_back(
    teal: Teal, service: TwoColors, tmp_path: Path
) -> None:
    """Then nobody else can write the journal: the rollback is done without."""
    code, _, err = await said(teal, "deploy", "flip", "analytics", "-y", "--detach")
    assert code == 8, err
    owner = (await teal.until(phase="bake")).owner
    assert owner is not None
    journal = tmp_path / "state" / "journal.db"
    await stop_between_writes(owner.pid, journal)
    try:
        with contextlib.closing(sqlite3.connect(journal, isolation_level=None)) as write:  # as its own would be
            write.execute("BEGIN IMMEDIATE")
            code, out, err = await said(teal, "deploy", "rollback", "analytics", "-y")
        assert (code, service.weights(), "not in the journal" in err) == (0, BLUE, True), (out, err)
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    await gone(owner.pid)
    assert service.weights() == BLUE, "continued, it writes nothing"
    found = (await teal.document("action", "list"))["items"]
    assert [(each["kind"], each["status"]) for each in found] == [("rollback", "succeeded"), ("flip", "conflict")]


async def stop_between_writes(pid: int, journal: Path) -> None:
    """Returns when all of it stands, and holds no lock of the journal."""
    with contextlib.closing(sqlite3.connect(journal, isolation_level=None, timeout=0)) as other:
        async with asyncio.timeout(60):
            while True:
                os.kill(pid, signal.SIGSTOP)
                while not all_stopped(pid):
                    await asyncio.sleep(0.01)
                with contextlib.suppress(sqlite3.OperationalError):
                    other.execute("BEGIN IMMEDIATE")
                    other.execute("ROLLBACK")
                    return
                os.kill(pid, signal.SIGCONT)
                await asyncio.sleep(0.01)


def all_stopped(pid: int) -> bool:
    """Whether each of its threads is: one that waits for the disk goes on until it has written."""
    return all(is_stopped(int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir())


async def gone(pid: int) -> None:
    async with asyncio.timeout(60):
        while is_there(pid):
            await asyncio.sleep(0.05)


async def test_every_reader_says_that_a_runner_is_stopped(teal: Teal) -> None:
    """Only `check` said so: the others had it running, with seconds left."""
    await said(teal, "deploy", "flip", "analytics", "-y", "--detach")
    running = await teal.until(phase="bake")
    assert running.owner is not None
    pid = running.owner.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        readers = [*READERS, ("action", "show", running.id or "")]
        answers = await asyncio.gather(*(said(teal, *words) for words in readers))
        for words, (_, shown, why) in zip(readers, answers, strict=True):
            assert "its process is stopped" in shown, (words, shown, why)
            assert f"kill -CONT {pid}" in shown, (words, shown, why)
            assert " left" not in shown, words
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("order", ["promote", "pause"])
async def test_an_order_to_a_runner_that_is_stopped_is_not_in_force(teal: Teal, order: str) -> None:
    """It was exit 0."""
    await said(teal, "deploy", "flip", "analytics", "-y", "--detach")
    running = await teal.until(phase="bake")
    assert running.owner is not None
    pid = running.owner.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        code, out, err = await said(teal, "action", order, running.id or "", "-y")
        assert (code, f"{order}: ordered, not in force yet" in out) == (8, True), (out, err)
        assert f"kill -CONT {pid}" in out
    finally:
        os.kill(pid, signal.SIGKILL)


async def test_what_is_said_of_an_order_that_was_not_taken() -> None:
    process = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(10):
            while not is_stopped(process.pid):
                await asyncio.sleep(0.01)
        stopped = flip(host_name(), process.pid)
        assert "is stopped" in not_taken(stopped)
        for way in (f"kill -CONT {process.pid}", "gives up, and nobody runs it", "teal deploy rollback analytics"):
            assert way in not_taken(stopped)
        found = of_actions(Acting(actions=[stopped]), UTC)
        assert (found.state, f"kill -CONT {process.pid}" in found.message) == ("critical", True)
        assert of_actions(Acting(actions=[flip(host_name(), os.getpid())]), UTC).state == "ok"
        assert not_taken(flip("elsewhere", process.pid)) == "its runner has not taken the order yet"
        assert not is_frozen(flip(host_name(), os.getpid()))
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("status", ["rolling_back", "paused", "rolled_back"])
def test_nothing_is_said_of_one_that_goes_back_or_has_ended(status: str) -> None:
    assert not_taken(flip("elsewhere", 1, status)) == ""


def is_there(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    return False


def flip(host: str, pid: int, status: str = "running") -> Action:
    told: dict[str, object] = {"id": "A", "kind": "flip", "service": "analytics", "status": status, "phase": "bake"}
    return Action(**told, from_="blue", to="green", owner=Owner(user="u", host=host, pid=pid))
