"""A deploy command does not outlive the runner that started it unseen: real processes, really killed."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from actions import switching
from actions.models import Action, OrderWord, Request
from tests.actions.house import YES, House
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
RELEASE = Request(kind="release", service="analytics", version="2.5.0")
# Tells its pid, waits until the file `go` is there, then writes: what an orphan would do to a later version.
SLOW = "echo $$ >> pids; while [ ! -e go ]; do sleep 0.05; done; echo $1 > $0.version"
SLOW_DEPLOY = {"deploy": ("sh", "-c", SLOW, "{color}", "{version}")}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switching, "HEALTH_S", 0.5)


async def pids(directory: Path, count: int = 1) -> list[int]:
    """Of the deploy commands that have begun."""
    path = directory / "pids"
    async with asyncio.timeout(20):
        while not path.exists() or path.read_text().count("\n") < count:
            await asyncio.sleep(0.02)
    return [int(line) for line in path.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def kill_runner(house: House, action: Action) -> None:
    found = await house.gate.action(str(action.id))
    assert found.owner is not None
    assert found.owner.pid != os.getpid()
    os.kill(found.owner.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while not house.gate.orphaned(await house.gate.action(str(action.id))):
            await asyncio.sleep(0.02)


async def order(house: House, action: Action, word: OrderWord) -> Action:
    request = Request(kind=action.kind, service=action.service, ref=str(action.id), order=word)
    return await house.ended(await house.gate.submit(await house.gate.plan(request), YES))


async def begun(house: House) -> Action:
    return await house.gate.submit(await house.gate.plan(RELEASE), YES)


async def test_an_abort_ends_the_command_of_a_killed_runner_first(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, detached=True, **SLOW_DEPLOY) as house:
        opened = await begun(house)
        (orphan,) = await pids(service.directory)
        await kill_runner(house, opened)
        assert alive(orphan)
        # What was there is put back by the same command: it must not wait.
        (service.directory / "green.version").write_text("1.0\n")
        aborting = asyncio.create_task(order(house, opened, "abort"))
        restores = (await pids(service.directory, 2))[1]
        assert (alive(orphan), alive(restores)) == (False, True)
        (service.directory / "go").touch()
        aborted = await aborting
        assert aborted.error is not None
        assert (aborted.status, service.weights()) == ("aborted", BLUE)
        assert "2.4.1 is back on GREEN" in aborted.error.message
        assert service.version("green") == "2.4.1"


async def test_who_goes_on_ends_it_before_he_deploys_again(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, detached=True, **SLOW_DEPLOY) as house:
        opened = await begun(house)
        (orphan,) = await pids(service.directory)
        await kill_runner(house, opened)
        resuming = asyncio.create_task(order(house, opened, "resume"))
        again = (await pids(service.directory, 2))[1]
        assert (alive(orphan), alive(again)) == (False, True)
        (service.directory / "go").touch()
        resumed = await resuming
        assert (resumed.status, resumed.error, service.version("green")) == ("succeeded", None, "2.5.0")


async def test_a_runner_killed_while_it_restores_leaves_no_command(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, detached=True, **SLOW_DEPLOY) as house:
        opened = await begun(house)
        await pids(service.directory)
        aborting = asyncio.create_task(order(house, opened, "abort"))
        deploying, restoring = await pids(service.directory, 2)
        await kill_runner(house, opened)
        await aborting
        assert (alive(deploying), alive(restoring)) == (False, True)
        aborting = asyncio.create_task(order(house, opened, "abort"))
        again = (await pids(service.directory, 3))[2]
        assert (alive(restoring), alive(again)) == (False, True)
        (service.directory / "go").touch()
        aborted = await aborting
        assert (aborted.status, service.version("green")) == ("aborted", "2.4.1")


async def test_an_abort_does_not_wait_for_a_command(tmp_path: Path, service: TwoColors) -> None:
    smoke = {"smoke": ("sh", "-c", "echo $$ >> pids; sleep 60")}
    async with House(tmp_path / "state", service, **smoke) as house:
        opened = await begun(house)
        (smoking,) = await pids(service.directory)
        began = time.monotonic()
        aborted = await order(house, opened, "abort")
        assert (aborted.status, service.version("green"), alive(smoking)) == ("aborted", "2.4.1", False)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("hangs", ["deploy", "smoke"])
async def test_a_command_is_ended_when_the_time_of_its_action_is_over(
    tmp_path: Path, service: TwoColors, hangs: str
) -> None:
    first = "[ -s pids ] || exec sh -c 'echo $$ >> pids; sleep 60';"
    hanging = {
        "deploy": {"deploy": ("sh", "-c", first + "echo $1 > $0.version", "{color}", "{version}")},
        "smoke": {"smoke": ("sh", "-c", "echo $$ >> pids; sleep 60")},
    }[hangs]
    async with House(tmp_path / "state", service, **hanging) as house:
        request = Request(kind="release", service="analytics", version="2.5.0", timeout_s=2.0)
        began = time.monotonic()
        ended = await house.order(request)
        assert (ended.status, service.weights(), service.version("green")) == ("aborted", BLUE, "2.4.1")
        assert 1.5 < time.monotonic() - began < 8
        (hung,) = await pids(service.directory)
        assert not alive(hung)
