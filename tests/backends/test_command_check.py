"""`command` checks: what a plugin says by its exit status, its text and its perfdata, and what it may not do."""

import asyncio
import math
import os
from pathlib import Path
from typing import Any

import pytest

from backends.checks.command import CommandCheck, perfdata
from backends.errors import BackendError
from backends.http import Http
from backends.models import CheckResult, PerfDatum
from backends.pipes import MAX_BYTES
from backends.registry import AdapterContext, build
from backends.settings import Secret, run_quietly
from backends.testing.checks import consistent
from tests.own_time import Watch
from tests.pids import ends


def check_of(directory: Path, *command: str, **config: Any) -> CommandCheck:
    context = AdapterContext("mine", directory, directory, Http())
    check: CommandCheck = build("checks", "command", {"command": list(command), **config}, context)
    return check


async def look(directory: Path, script: str, **config: Any) -> CheckResult:
    check = check_of(directory, "sh", "-c", script, **config)
    result = await check.run()
    consistent(result)
    await check.aclose()
    await check.aclose()
    return result


async def refused(check: CommandCheck) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await check.run()
    return caught.value


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (0, "ok", "DISK CRITICAL - as it says"),
        (1, "warning", "DISK CRITICAL - as it says"),
        (2, "critical", "DISK CRITICAL - as it says"),
        (3, "unknown", "DISK CRITICAL - as it says"),
        (4, "unknown", "sh: exit status 4: DISK CRITICAL - as it says"),
        (127, "unknown", "sh: exit status 127: DISK CRITICAL - as it says"),
        (255, "unknown", "sh: exit status 255: DISK CRITICAL - as it says"),
    ],
)
async def test_the_exit_status_decides_whatever_the_text_says(
    tmp_path: Path, status: int, state: str, words: str
) -> None:
    result = await look(tmp_path, f"echo 'DISK CRITICAL - as it says | a=1'; exit {status}")
    assert (result.state, result.message) == (state, words)
    assert [datum.label for datum in result.perfdata] == ["a"]
    assert result.latency_ms is not None
    assert result.latency_ms > 0


async def test_a_signal_is_no_answer(tmp_path: Path) -> None:
    result = await look(tmp_path, "echo all is well; kill -9 $$")
    assert (result.state, result.message) == ("unknown", "sh: signal 9: all is well")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'no such host' >&2; exit 2", "no such host"),
        ("exit 2", "no output"),
        ("printf '\\n\\nlater'; exit 2", "no output"),
        ("printf '\\033]0;x\\007LOAD\\tCRITICAL \\342\\200\\256hi\\n'; exit 2", "LOAD CRITICAL hi"),
    ],
)
async def test_what_is_said_is_the_first_line(tmp_path: Path, script: str, words: str) -> None:
    assert (await look(tmp_path, script)).message == words


async def test_text_and_perfdata_over_several_lines(tmp_path: Path) -> None:
    """As the guidelines have it: text, perfdata behind a bar, more text, and more perfdata behind the next bar."""
    (tmp_path / "out").write_text("DISK OK | /=1MB;2;3;0;4\n/ 1 MB\n/boot 2 MB | /boot=5MB\n/home=6MB\n")
    result = await look(tmp_path, "cat out")
    assert result.message == "DISK OK"
    assert [(datum.label, datum.value) for datum in result.perfdata] == [("/", 1), ("/boot", 5), ("/home", 6)]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("time=0.012s;1;2;0;10", [PerfDatum(label="time", value=0.012, unit="s", warn="1", crit="2", min=0, max=10)]),
        ("'it''s = |'=-5%;@1:2;~:3", [PerfDatum(label="it's = |", value=-5, unit="%", warn="@1:2", crit="~:3")]),
        ("a=U b=1e3c;;;;", [PerfDatum(label="a", value=None), PerfDatum(label="b", value=1000, unit="c")]),
        ("free=100.B;;;.5", [PerfDatum(label="free", value=100, unit="B", min=0.5)]),
        ("a=1 b= =3 c=x 'd'4 'e=5 f=6", [PerfDatum(label="a", value=1), PerfDatum(label="f", value=6)]),
        ("a=1e999 b=nan c=1,5", [PerfDatum(label="a", value=None)]),
        ("", []),
    ],
)
def test_perfdata_as_the_guidelines_have_it(text: str, data: list[PerfDatum]) -> None:
    assert list(perfdata(text)) == data


@pytest.mark.parametrize("text", ["'" * 65536, "'a" * 32768, "a" * 65536, "'a'=" * 16384, "a=1;" * 16384, "=" * 65536])
def test_perfdata_of_a_hostile_plugin_takes_no_time(text: str) -> None:
    watch = Watch()
    assert all(datum.value is None or math.isfinite(datum.value) for datum in perfdata(text))
    assert watch.seconds() < 1


async def test_output_without_an_end_is_bounded(tmp_path: Path) -> None:
    script = "echo 'OK | first=1'; head -c 30000000 /dev/zero | tr '\\0' x; exit 1"
    result = await look(tmp_path, script, timeout="60s")
    assert (result.state, result.message, len(result.perfdata)) == ("warning", "OK", 1)
    ran = await run_quietly(["sh", "-c", script], timeout_s=60)
    assert (ran.status, len(ran.output)) == (1, MAX_BYTES)


async def test_one_that_does_not_end_is_ended_with_its_group_and_nobody_knows(tmp_path: Path) -> None:
    check = check_of(tmp_path, "sh", "-c", "sleep 300 & echo $! > pid; echo OK; wait", timeout="500ms")
    watch = Watch()
    error = await refused(check)
    assert (error.kind, error.message) == ("timeout", "sh: no end in 500ms, ended")
    assert watch.seconds() < 5
    assert ends(int((tmp_path / "pid").read_text()))


async def test_one_that_is_cancelled_is_ended(tmp_path: Path) -> None:
    looking = asyncio.create_task(check_of(tmp_path, "sh", "-c", "echo $$ > new; mv new pid; exec sleep 300").run())
    while not (tmp_path / "pid").exists():
        await asyncio.sleep(0.01)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert ends(int((tmp_path / "pid").read_text()))


async def test_what_it_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    watch = Watch()
    result = await look(tmp_path, "sleep 300 & echo $! > pid; echo OK")
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert (result.state, result.message) == ("ok", "OK")
    assert watch.seconds() < 5


async def test_it_gets_no_secret_no_stdin_and_only_the_variables_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COMMUNITY", "OTHER", "TOKEN_OF_ANOTHER"):
        monkeypatch.setenv(name, f"{name.lower()}-value-1")
    assert await Secret(env="TOKEN_OF_ANOTHER").resolve() == "token_of_another-value-1"
    script = 'echo "$COMMUNITY,$OTHER,$TOKEN_OF_ANOTHER,${PATH:+path},${HOME:+home},$(pwd),$(cat)"'
    result = await look(tmp_path, script, env=["COMMUNITY"])
    assert result.message == f"community-value-1,,,path,home,{tmp_path},"
    leaked = await look(tmp_path, "echo $TOKEN_OF_ANOTHER", env=["TOKEN_OF_ANOTHER"])
    assert leaked.message == "***"


async def test_one_that_others_could_change_is_not_run(tmp_path: Path) -> None:
    plugin = tmp_path / "check_it"
    plugin.write_text("#!/bin/sh\ntouch was-run\n")
    plugin.chmod(0o757)
    error = await refused(check_of(tmp_path, "./check_it"))
    assert (error.kind, error.fix) == ("config", f"chmod go-w {plugin}")
    assert "others can write it" in error.message
    assert not (tmp_path / "was-run").exists()
    plugin.chmod(0o755)
    assert (await check_of(tmp_path, "./check_it").run()).state == "ok"
    assert (tmp_path / "was-run").exists()


async def test_one_that_can_not_be_started_is_a_fault_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no program")
    for command, words in (
        ("check_nothing_such", "check_nothing_such: No such file or directory"),
        ("./gone", "gone: No such file or directory"),
        ("./plain", "plain: Permission denied"),
    ):
        error = await refused(check_of(tmp_path, command))
        assert (error.kind, error.message) == ("config", words)


@pytest.mark.parametrize("config", [{"command": []}, {"command": [" "]}, {"command": ["x"], "timeout": "0s"},
                                    {"command": "x"}, {"command": ["x"], "env": ["A=B"]}])  # fmt: skip
def test_configs_that_are_none(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(BackendError):
        build("checks", "command", config, AdapterContext("mine", tmp_path, tmp_path, Http()))
