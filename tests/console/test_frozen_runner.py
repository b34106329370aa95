"""A runner that is stopped takes no order: the command that gave one ends in its own time, and says why."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
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
from tests.console.test_foreground import Teal
from tests.console.test_orders import written
from tests.console.test_orphan_commands import said
from tests.two_colors import TwoColors

READERS = [("status",), ("deploy", "status"), ("action", "list")]
"""One verdict everywhere."""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TwoColors]:
    async with TwoColors(tmp_path) as service:
        yield service


@pytest.fixture
def teal(tmp_path: Path, service: TwoColors) -> Teal:
    """Its bakes last until they are ended."""
    config = written(service, "")
    config.write_text(config.read_text().replace('bake = "200ms"', 'bake = "10m"'))
    return Teal(tmp_path, config)


async def test_a_rollback_takes_over_from_a_runner_that_is_stopped(teal: Teal, service: TwoColors) -> None:
    """It stood for a minute, until the lease was over."""
    code, _, err = await said(teal, "deploy", "flip", "analytics", "-y", "--detach")
    assert code == 8, err
    running = await teal.until(phase="bake")
    assert running.owner is not None
    pid = running.owner.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        code, out, err = await said(teal, "deploy", "rollback", "analytics", "-y")
        assert time.monotonic() - began < 30, "it stood until the lease was over"
        assert (code, service.weights()) == (0, {"blue": 100, "green": 0}), (out, err)
    finally:
        os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(60):
        while is_there(pid):
            await asyncio.sleep(0.05)
    assert service.weights() == {"blue": 100, "green": 0}, "continued, it writes nothing"
    await teal.until(status="rolled_back")


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
    return Action(**told, from_="blue", to="green", owner=Owner(user="u", host=host, pid=pid))  # type: ignore[arg-type]
