"""`teal` itself over a slow deploy command: what a killed runner leaves, what signals end, what the command is told."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.console.test_foreground import Teal, end_of
from tests.console.test_orders import written
from tests.pids import alive
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
SLOW = "echo $$ >> pids; while [ $1 = 6.1 ] && [ ! -e go ]; do sleep 0.05; done; echo $1 > $0.version"
DEAF = f"trap : TERM; {SLOW}"
RELEASE = ("deploy", "release", "analytics", "-y", "--version")


def teal_with(tmp_path: Path, service: TwoColors, script: str, more: str = "", notify: str = "") -> Teal:
    deploy = f'deploy = ["sh", "-c", {json.dumps(script)}, "{{color}}", "{{version}}"]\n{more}\n'
    config = written(service, notify)
    config.write_text(config.read_text().replace('bake = "200ms"\n', f'bake = "200ms"\n{deploy}'))
    return Teal(tmp_path, config)


async def begun(directory: Path) -> int:
    async with asyncio.timeout(30):
        while not (directory / "pids").exists() or not (directory / "pids").read_text().endswith("\n"):
            await asyncio.sleep(0.02)
    return int((directory / "pids").read_text().split()[0])


async def test_the_command_of_a_killed_runner_does_not_write_over_the_next_version(
    tmp_path: Path, service: TwoColors
) -> None:
    teal = teal_with(tmp_path, service, SLOW)
    opened = (await teal.document(*RELEASE, "6.1", "--detach"))["items"][0]
    orphan = await begun(service.directory)
    os.kill(opened["owner"]["pid"], signal.SIGKILL)
    shown = await teal.start("action", "abort", opened["id"], "--dry-run")
    told = b"".join(await shown.communicate()).decode()
    assert f"a deploy command still runs: sh on {opened['owner']['host']} (pid {orphan}) for " in told
    aborted = (await teal.document("action", "abort", opened["id"], "-y"))["items"][0]
    assert (aborted["status"], alive(orphan)) == ("aborted", False)
    released = (await teal.document(*RELEASE, "6.2"))["items"][0]
    assert (released["status"], service.weights()) == ("succeeded", GREEN)
    (service.directory / "go").touch()
    await asyncio.sleep(0.3)
    assert service.version("green") == "6.2"
    (service.directory / "green.version").write_text("6.1\n")
    status = await teal.document("deploy", "status")
    assert (status["health"], status["items"][0]["verified_version"]) == ("critical", "6.2")
    checked = await teal.start("check", "deployments")
    said = (await checked.communicate())[0].decode()
    assert checked.returncode == 2
    assert "GREEN runs 6.1, and 6.2 was verified there" in said


@pytest.mark.parametrize("script", [SLOW, DEAF])
async def test_a_foreground_runner_that_is_told_to_end_ends_its_command(
    tmp_path: Path, service: TwoColors, script: str
) -> None:
    teal = teal_with(tmp_path, service, script)
    process = await teal.start(*RELEASE, "6.1", "--foreground")
    command = await begun(service.directory)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, said = await end_of(process)
    assert (code, alive(command), "leaving it paused" in said) == (8, False, True), said
    assert time.monotonic() - began < 8
    assert (await teal.action())["status"] == "paused"
    assert (service.version("green"), service.weights()) == ("2.4.1", BLUE)


@pytest.mark.parametrize("how", ["detached", "foreground"])
async def test_a_deploy_command_is_told_no_secret_of_others(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    for name in ("SEC_TOKEN", "SEC_PASS", "TEAL_HOOK", "OTHERS", "NAMED"):
        monkeypatch.setenv(name, f"http://127.0.0.1:9/value-of-{name}")
    notify = '[[contexts.c.notify]]\ntype = "webhook"\nurl = { env = "TEAL_HOOK" }\n'
    notify += '[[contexts.other.notify]]\ntype = "webhook"\nurl = { env = "OTHERS" }\n'
    script = "env > told; echo $1 > $0.version"
    more = 'smoke = ["sh", "-c", "env > smoked"]\nenv = ["NAMED"]'
    teal = teal_with(tmp_path, service, script, more, notify)
    foreground = ("--foreground",) if how == "foreground" else ()
    released = (await teal.document(*RELEASE, "6.2", *foreground))["items"][0]
    assert released["status"] == "succeeded"
    for name in ("told", "smoked"):
        told = (service.directory / name).read_text()
        values = [line for line in told.splitlines() if "value-of-" in line]
        assert values == ["NAMED=http://127.0.0.1:9/value-of-NAMED"]
        assert f"TEAL_ACTION_ID={released['id']}" in told
        assert "TEAL_COMMAND_ID=" in told
        assert "TEAL_RUNNER_JOURNAL" not in told
