"""A deploy command does not outlive the runner that started it unseen: real processes, really killed."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from actions.journal.command_events import left_in
from actions.journal.journal import Journal
from actions.journal.rows import Event
from actions.models import Action, OrderWord, Refused, Request
from actions.switching import machine as switching
from actions.work import Work
from backends.errors import BackendError
from backends.processes import Running
from tests.actions.house import ANALYTICS_FLIP, YES, House
from tests.pids import alive
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


async def kill_runner(house: House, action: Action) -> None:
    found = await house.gate.action(str(action.id))
    assert found.owner is not None
    assert found.owner.pid != os.getpid()
    os.kill(found.owner.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
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
    deploy = ("sh", "-c", f"echo half > $0.version; {SLOW}", "{color}", "{version}")  # or there is nothing to restore
    async with House(tmp_path / "state", service, detached=True, deploy=deploy) as house:
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


async def left_running(house: House, action: Action, **changed: str) -> Running:
    """The command of a killed runner, as a journal elsewhere would know it; the command itself is ended."""
    (left,) = left_in(await house.journal.history(str(action.id)))
    os.killpg(left.command.pid, signal.SIGKILL)
    record = replace(left.command, **changed)
    await house.journal.aclose()
    data = json.dumps({"command": msgspec.to_builtins(record)}, sort_keys=True)
    with contextlib.closing(sqlite3.connect(str(house.location.path))) as database, database:
        changed_rows = database.execute("update events set data = ? where kind = 'command'", (data,)).rowcount
    assert changed_rows == 1
    house.journal = house.gate.journal = Journal(house.location)
    return record


async def test_nobody_is_told_to_kill_the_command_of_an_action_that_is_under_way(
    tmp_path: Path, service: TwoColors
) -> None:
    """Who lost the race was told `kill -- -PID`, of the winner's healthy deploy."""
    async with House(tmp_path / "state", service, detached=True, **SLOW_DEPLOY) as house:
        opened = await begun(house)
        await pids(service.directory)
        (told,) = [found for found in (await house.gate.plan(RELEASE)).findings if found.code == "command-running"]
        assert ("open action" in told.text, "kill" in told.fix) == (True, False)
        assert "teal deploy rollback analytics" in told.fix
        await kill_runner(house, opened)
        (told,) = [found for found in (await house.gate.plan(RELEASE)).findings if found.code == "command-running"]
        assert ("still runs" in told.text, "kill -- -" in told.fix) == (True, True)
        assert (await order(house, opened, "abort")).status == "aborted"


async def test_one_on_another_host_holds_what_goes_forward_until_its_deadline(
    tmp_path: Path, service: TwoColors
) -> None:
    async with House(tmp_path / "state", service, detached=True, **SLOW_DEPLOY) as house:
        assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
        opened = await begun(house)
        await pids(service.directory)
        await kill_runner(house, opened)
        far = await left_running(house, opened, host="far", boot_id="another")
        resume = Request(kind="release", service="analytics", ref=str(opened.id), order="resume")
        plan = await house.gate.plan(resume)
        (told,) = [finding for finding in plan.findings if finding.code == "command-running"]
        assert (told.level, str(far) in told.text, "end it on far" in told.fix) == ("warning", True, True)
        assert f"sh on far (pid {far.pid}) for " in str(far)
        held = await house.gate.submit(plan, YES)
        async with asyncio.timeout(60):
            while held.hold is None or held.status != "paused":
                await asyncio.sleep(0.05)
                held = await house.gate.action(str(opened.id))
        assert service.version("blue") == "2.4.0"
        assert "nothing goes forward while a command runs: sh on far" in (held.error.message if held.error else "")
        (service.directory / "go").touch()
        aborted = await order(house, held, "abort")
        assert aborted.status == "aborted"
        assert "could not be ended" in (aborted.error.message if aborted.error else "")
        # Nobody has seen it end: nothing new goes forward before its deadline; the way back is only told.
        for request in (
            RELEASE,
            Request(kind="flip", service="analytics"),
            Request(kind="retire", service="analytics"),
        ):
            plan = await house.gate.plan(request)
            (told,) = [finding for finding in plan.findings if finding.code == "command-running"]
            running = (
                f"a deploy command still runs: {str(far).partition(' for ')[0]} for "  # how long goes on meanwhile
            )
            assert (told.level, running in told.text, "at most" in told.text) == ("block", True, True)
            with pytest.raises(Refused) as caught:
                await house.gate.submit(plan, YES)
            assert caught.value.exit_code == 3
        back = await house.gate.plan(Request(kind="rollback", service="analytics"))
        assert not back.blocked
        assert "command-running" in {finding.code for finding in back.findings if finding.level == "warning"}


async def test_one_whose_deadline_on_another_host_has_passed_holds_nothing(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, detached=True, **SLOW_DEPLOY) as house:
        opened = await begun(house)
        await pids(service.directory)
        await kill_runner(house, opened)
        past = datetime(2026, 1, 1, tzinfo=UTC)
        await left_running(house, opened, host="far", boot_id="another", until=past)
        (service.directory / "go").touch()
        assert (await order(house, opened, "resume")).status == "succeeded"


async def test_a_live_version_that_is_not_the_verified_one_is_critical(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service) as house:
        assert (await house.order(RELEASE)).status == "succeeded"
        target = await house.targets.switch("analytics")
        seen = await house.gate.enrich(await target.adapter.deployment())
        assert (seen.verified_version, seen.unverified, seen.health) == ("2.5.0", "", "ok")
        (service.directory / "green.version").write_text("2.3.0\n")
        seen = await house.gate.enrich(await target.adapter.deployment())
        assert seen.unverified == "GREEN runs 2.3.0, and 2.5.0 was verified there"
        assert seen.health == "critical"
        for kind in ("flip", "retire"):
            plan = await house.gate.plan(Request(kind=kind, service="analytics"))
            (told,) = [finding for finding in plan.findings if finding.code == "unverified-version"]
            assert (told.level, "2.3.0" in told.text, "2.5.0" in told.text) == ("warning", True, True)
        assert (await house.order(Request(kind="rollback", service="analytics"))).status == "succeeded"
        seen = await house.gate.enrich(await target.adapter.deployment())
        assert (seen.live, seen.verified_version, seen.unverified, seen.health) == ("blue", "2.4.0", "", "ok")


async def test_what_a_killed_command_has_left_ends_with_its_action(tmp_path: Path, service: TwoColors) -> None:
    """Runner and command were killed, and a child that has left the group goes on."""
    script = "[ -s pids ] && exit; setsid sh -c 'echo $$ >> pids; sleep 60' & wait"
    async with House(tmp_path / "state", service, detached=True, deploy=("sh", "-c", script)) as house:
        opened = await begun(house)
        (child,) = await pids(service.directory)
        (left,) = left_in(await house.journal.history(str(opened.id)))
        await kill_runner(house, opened)
        os.kill(left.command.pid, signal.SIGKILL)
        assert alive(child)
        assert (await order(house, opened, "abort")).status == "aborted"
        assert not alive(child)


async def test_a_service_that_a_command_has_started_is_never_ended_by_another_action(
    tmp_path: Path, service: TwoColors
) -> None:
    """Also where nobody could record that the command was over."""
    script = "setsid sh -c 'echo $$ >> pids; exec sleep 60' >/dev/null 2>&1 & echo $1 > $0.version"
    deploy = ("sh", "-c", script, "{color}", "{version}")
    async with House(tmp_path / "state", service, deploy=deploy) as house:
        released = await house.order(RELEASE)
        (serves,) = await pids(service.directory)
        assert (released.status, alive(serves)) == ("succeeded", True)
        await house.journal.aclose()
        with contextlib.closing(sqlite3.connect(str(house.location.path))) as database, database:
            assert database.execute("delete from events where kind = 'command-ended'").rowcount == 1
        house.journal = house.gate.journal = Journal(house.location)
        plan = await house.gate.plan(Request(kind="flip", service="analytics"))
        assert "command-running" not in {finding.code for finding in plan.findings}
        assert (await house.order(Request(kind="rollback", service="analytics"))).status == "succeeded"
        assert alive(serves)
        os.kill(serves, signal.SIGKILL)


async def test_a_command_whose_success_can_not_be_recorded_has_not_succeeded(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Work.record

    async def away(self: Work, event: Event) -> None:
        if event.kind == "command-ended":
            raise BackendError("unreachable", "journal: away")
        await record(self, event)

    monkeypatch.setattr(Work, "record", away)
    ended = await house.order(RELEASE)
    assert (ended.status, service.weights()) == ("aborted", BLUE)
