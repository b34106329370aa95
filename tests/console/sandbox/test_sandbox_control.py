"""The sandbox as a whole: a real supervisor with its processes in a state directory of the test's own."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from console.errors import EXIT_USAGE
from console.sandbox import control, faults, files, settings, supervisor, warehouse
from console.sandbox.children import claim_ports
from console.sandbox.control import FAULTS, SandboxError, SandboxInfo
from console.sandbox.fetch import fetch
from tests.console.sandbox_tools import until

SANDBOX = Path("sandbox")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a sandbox that does not run yet, and that ends with the test."""
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path))
    yield tmp_path / SANDBOX
    control.stop()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxInfo]:
    """A sandbox that several tests share; each leaves it without faults."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEAL_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield control.ensure_running()
        control.stop()


class Process(NamedTuple):
    pid: int
    command: str


def processes(directory: Path) -> list[Process]:
    """What runs for a sandbox, by what its command line or environment names; zombies are dead."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if command and (str(directory) in command or f"SANDBOX_DIR={directory}".encode() in environment):
            found.append(Process(int(entry.name), command))
    return found


def switch_of(info: SandboxInfo) -> Path:
    return info.config_path.parent / files.SWITCH


def test_what_is_up_serves_and_is_told(up: SandboxInfo) -> None:
    assert control.running() == up
    assert control.ensure_running() == up
    status, headers, body = fetch(up.port, "/health")
    assert (status, headers["x-environment"], json.loads(body)["status"]) == (200, "blue", "healthy")
    assert len(json.loads(fetch(up.port, "/api/customers?limit=7")[2])) == 7
    assert json.loads(fetch(up.port, "/api/v1/status")[2])["rows"]["customers"] == 200
    assert json.loads(fetch(up.port, "/work")[2])[0]["orders"] > 0
    directory = up.config_path.parent
    assert directory.stat().st_mode & 0o777 == 0o700
    for name in (files.CONFIG, files.RUN, files.SWITCH, files.WAREHOUSE):
        assert (directory / name).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_can_be_seen_and_taken_away(up: SandboxInfo, fault: str) -> None:
    directory = up.config_path.parent
    line = faults.inject(fault)
    assert "\n" not in line
    assert "`teal " in line
    found = control.running()
    assert found is not None
    assert found.faults == (fault,)
    assert fetch(up.port, "/health")[:1] == (200,), "production is not what breaks"
    assert seen(fault, up, directory)
    faults.fix(fault)
    assert control.running() == up
    assert not seen(fault, up, directory)
    assert faults.fix(fault) == f"{fault} was not broken"


def seen(fault: str, up: SandboxInfo, directory: Path) -> bool:
    green = files.read_json(directory / files.PORTS)["green"]
    started = time.monotonic()
    try:
        status = fetch(green, "/health", timeout_s=5)[0]
    except ConnectionRefusedError:
        status = 0
    took_s = time.monotonic() - started
    runs = files.read_json(directory / files.STATE)["drills"]
    match fault:
        case "bad-release":
            return status == 503
        case "crash-color":
            return status == 0
        case "slow-color":
            return took_s > 0.7
        case "alert-flood":
            connection = sqlite3.connect(directory / files.WAREHOUSE)
            (count,) = connection.execute("SELECT count(*) FROM dead_letters").fetchone()
            connection.close()
            return bool(count == 5000)
        case "dead-backend":
            return fetch(up.port, "/api/v1/status")[0] == 503
        case "failing-task":
            return bool(runs["production_data_pipeline"]["state"] == "failed")
        case "bad-data":
            text = (directory / files.PIPELINES_LOG).read_text()
            newest = [line for line in text.splitlines() if "transactions_suite: score" in line][-1]
            return " ERROR " in newest and runs["production_data_pipeline"]["state"] == "success"
    raise AssertionError(fault)


def test_a_fault_may_name_its_color_and_several_are_fixed_at_once(up: SandboxInfo) -> None:
    faults.inject("bad-release:live")
    faults.inject("slow-color:green")
    assert fetch(up.port, "/health")[0] == 503
    found = control.running()
    assert found is not None
    assert found.faults == ("bad-release", "slow-color")
    faults.fix(None)
    assert fetch(up.port, "/health")[0] == 200
    assert faults.fix(None) == "nothing was broken"


@pytest.mark.parametrize(
    ("fault", "message", "fix"),
    [
        ("bad-dta", 'no fault "bad-dta"', "did you mean bad-data? there are: "),
        ("", 'no fault ""', "there are: bad-release"),
        ("bad-release:purple", 'no color "purple"', "one of: idle, live, blue, green"),
        ("bad-data:blue", "bad-data concerns no color", "teal sandbox break bad-data"),
    ],
)
def test_a_fault_that_is_none_is_refused(up: SandboxInfo, fault: str, message: str, fix: str) -> None:
    with pytest.raises(SandboxError) as error:
        faults.inject(fault)
    assert error.value.message == message
    assert error.value.fix.startswith(fix)
    assert error.value.exit_code == EXIT_USAGE
    assert control.running() == up


@pytest.mark.parametrize(
    ("broken", "asked", "in_the_way"),
    [
        ({"failing-task": {}}, "bad-data", "failing-task"),
        ({"dead-backend": {}}, "bad-data", "dead-backend"),
        ({"dead-backend": {}}, "failing-task", "dead-backend"),
        ({"dead-backend": {}}, "alert-flood", "dead-backend"),
        ({"crash-color": {"color": "green"}}, "slow-color:green", "crash-color"),
        ({"crash-color": {"color": "green"}}, "bad-release:green", "crash-color"),
        ({"bad-data": {}, "failing-task": {}}, "-bad-data", "failing-task"),
        ({"failing-task": {}, "dead-backend": {}}, "-failing-task", "dead-backend"),
    ],
)
def test_a_fault_that_another_hides_is_refused_at_once(
    state: Path, monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any], asked: str, in_the_way: str
) -> None:
    """It was changed all the same, waited for 30 s in vain, and the words said to reset."""
    control.sandbox_dir()
    before = {"generation": 3, "faults": broken}
    files.write_json(state / files.FAULTS, before)
    info = SandboxInfo(
        pid=1, boot_id="", version="", url="http://127.0.0.1:1", config=str(state / files.CONFIG), started_at=""
    )
    monkeypatch.setattr(faults, "running", lambda: info)
    monkeypatch.setattr(faults, "_observe", lambda *_, **__: pytest.fail("it was waited for"))
    change = faults.fix if asked.startswith("-") else faults.inject
    with pytest.raises(SandboxError) as refused:
        change(asked.removeprefix("-"))
    assert f"while {in_the_way} is broken" in refused.value.message
    assert refused.value.fix == f"`teal sandbox fix {in_the_way}` first"
    assert files.read_json(state / files.FAULTS) == before


def test_one_color_down_hides_nothing_of_the_other_and_fixing_all_asks_for_no_order(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.sandbox_dir()
    files.write_json(state / files.FAULTS, {"generation": 1, "faults": {"crash-color": {"color": "green"}}})
    info = SandboxInfo(
        pid=1, boot_id="", version="", url="http://127.0.0.1:1", config=str(state / files.CONFIG), started_at=""
    )
    monkeypatch.setattr(faults, "running", lambda: info)
    monkeypatch.setattr(faults, "_observe", lambda *_, **__: "seen")
    assert faults.inject("slow-color:blue") == "seen"
    files.write_json(state / files.FAULTS, {"generation": 1, "faults": {"bad-data": {}, "failing-task": {}}})
    assert faults.fix() == "seen; seen"
    assert files.read_json(state / files.FAULTS)["faults"] == {}


def test_load_is_spread_as_the_switch_says_and_loses_nothing(up: SandboxInfo) -> None:
    report = control.load(100, 1)
    assert (report.requests, report.errors) == (100, 0)
    assert report.by_color == {"blue": 100}
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(control.load, 200, 2)
        time.sleep(0.8)
        files.write_json(switch_of(up), {"weights": {"blue": 0, "green": 100}, "generation": 2})
        report = future.result()
    files.write_json(switch_of(up), {"weights": {"blue": 100, "green": 0}, "generation": 3})
    assert (report.requests, report.errors, report.reasons) == (400, 0, {})
    assert report.by_color["green"] > 100
    assert report.p95_ms is not None


def test_a_child_that_crashes_is_started_again(up: SandboxInfo) -> None:
    directory = up.config_path.parent
    (router,) = [found for found in processes(directory) if "sandbox.router" in found.command]
    os.kill(router.pid, signal.SIGKILL)
    until(lambda: router not in processes(directory))
    until(lambda: answers(up.port))
    assert "router ended with status -9" in (directory / files.SUPERVISOR_LOG).read_text()


def answers(port: int) -> bool:
    try:
        return fetch(port, "/health")[0] == 200
    except OSError:
        return False


def test_stop_leaves_nothing_and_the_live_color_stays(state: Path) -> None:
    first = control.ensure_running()
    files.write_json(state / files.SWITCH, {"weights": {"blue": 0, "green": 100}, "generation": 2})
    faults.inject("bad-release:blue")
    assert control.stop()
    assert control.running() is None
    assert processes(state) == []
    assert not control.stop()
    progress: list[str] = []
    second = control.ensure_running(on_progress=progress.append)
    assert (second.pid != first.pid, second.url) == (True, first.url)
    assert any("first runs" in line for line in progress)
    assert second.faults == ()
    assert fetch(second.port, "/health")[1]["x-environment"] == "green"
    third = control.reset()
    assert third.pid != second.pid
    assert fetch(third.port, "/health")[1]["x-environment"] == "blue"
    rows = json.loads(fetch(third.port, "/api/transactions")[2])
    assert sum(row["orders"] for row in rows) <= 500, "one run after a reset"


def test_a_killed_supervisor_takes_its_children_with_it_and_another_starts(state: Path) -> None:
    first = control.ensure_running()
    assert len(processes(state)) >= 4
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: processes(state) == [])
    assert (state / files.RUN).exists(), "nobody was left to remove it"
    assert control.running() is None
    second = control.ensure_running()
    assert second.pid != first.pid
    assert answers(second.port)


def test_one_that_starts_can_be_stopped(state: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(control.ensure_running)
        until(lambda: "first runs" in files.last_line(state / files.SUPERVISOR_LOG))
        assert control.running() is None
        assert control.stop()
        with pytest.raises(SandboxError, match="stopped"):
            starting.result()
    assert processes(state) == []


def test_another_version_replaces_what_runs(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = control.ensure_running()
    told = files.read_json(state / files.RUN)
    files.write_json(state / files.RUN, {**told, "version": "of yesterday"})
    second = control.ensure_running()
    assert second.pid != first.pid
    assert second.version == files.code_version()
    assert [found.pid for found in processes(state) if "sandbox.supervisor" in found.command] == [second.pid]


def test_two_that_start_at_once_get_the_same_one_although_its_ports_are_taken(state: Path) -> None:
    control.sandbox_dir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        files.write_json(state / files.PORTS, {"router": port, "blue": port, "green": "x"})
        with ThreadPoolExecutor(3) as pool:
            infos = list(pool.map(lambda _: control.ensure_running(), range(3)))
    assert len({info.pid for info in infos}) == 1
    assert infos[0].port != port
    assert answers(infos[0].port)
    assert len([found for found in processes(state) if "sandbox.supervisor" in found.command]) == 1


def test_ports_are_held_from_choice_to_use(tmp_path: Path) -> None:
    claims = [claim_ports(tmp_path) for _ in range(3)]
    ports = [listener.getsockname()[1] for claim in claims for listener in claim.values()]
    for claim in claims:
        for listener in claim.values():
            listener.close()
    assert len(set(ports)) == 9


def test_it_ends_by_itself_when_nobody_uses_it(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_SANDBOX_UNUSED_S", "0.5")
    control.ensure_running()
    until(lambda: processes(state) == [])
    assert "nobody used the sandbox" in (state / files.SUPERVISOR_LOG).read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\x00\xff", '{"pid": 1}'])
def test_a_run_file_without_a_supervisor_is_nothing(state: Path, text: str) -> None:
    control.sandbox_dir()
    (state / files.RUN).write_text(text)
    assert control.running() is None
    (state / files.LOCK).write_text("1\n")  # a pid that lives, but a lock that nobody holds
    assert control.running() is None
    assert not control.stop()
    for told in (faults.inject, faults.fix):
        with pytest.raises(SandboxError, match="the sandbox does not run"):
            told("bad-data")
    with pytest.raises(SandboxError, match="the sandbox does not run"):
        control.load(1, 1)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_run_file_that_can_not_be_read_is_said_while_one_runs(state: Path, text: str) -> None:
    """It was "not running", beside one that ran."""
    control.sandbox_dir()
    (state / files.RUN).write_text(text)
    with (state / files.LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SandboxError, match=r"a sandbox runs, but .*run\.json: not what a sandbox writes") as error:
            control.running()
    assert error.value.fix == "`teal sandbox stop`, then start it again"


def test_a_disk_without_space_is_told(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1 << 30, 1 << 30, 5 << 20))
    with pytest.raises(SandboxError, match="disk full, 5 MB left") as error:
        control.ensure_running()
    assert "TEAL_STATE_DIR" in error.value.fix
    assert processes(state) == []


@pytest.mark.parametrize("broken", ["warehouse", "suites", "logs"])
def test_a_start_that_fails_says_why(state: Path, broken: str) -> None:
    control.sandbox_dir()
    (state / broken).write_text("a file where a directory should be")
    with pytest.raises(SandboxError, match="the sandbox does not start") as error:
        control.ensure_running()
    assert broken in error.value.message
    assert error.value.fix
    assert processes(state) == []


def test_asking_costs_no_heavy_import(state: Path) -> None:
    code = (
        "import sys; from console.sandbox.control import running; running();"
        "print([name for name in ('sqlalchemy', 'textual', 'httpx', 'asyncio', 'sqlite3') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **files.import_path()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_config_is_one_that_every_adapter_accepts(up: SandboxInfo) -> None:
    import tomllib

    from backends.registry import adapter_class
    from backends.settings import decode_hook

    context: dict[str, Any] = tomllib.loads(up.config_path.read_text())["contexts"]["sandbox"]
    ports = ("pipelines", "quality", "alerts", "deployments", "logs", "checks")
    for port in ports:
        for entry in context[port]:
            kind = entry.pop("type")
            entry.pop("name", None)
            msgspec.convert(entry, adapter_class(port, kind).Config, dec_hook=decode_hook)


def test_a_start_is_a_healthy_one_also_after_a_flood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 alerts outlived the sandbox of which they were a fault, and `teal sandbox fix` said that nothing was."""
    monkeypatch.setattr(supervisor, "claim_ports", lambda _: {"router": _Listening()})
    warehouse.create(tmp_path)
    warehouse.flood(tmp_path, 10)
    monkeypatch.setattr(settings, "document", lambda *_: {})
    supervisor.Supervisor(tmp_path)._prepare()
    with contextlib.closing(sqlite3.connect(tmp_path / files.WAREHOUSE)) as connection:
        assert connection.execute("SELECT count(*) FROM dead_letters").fetchone() == (0,)


class _Listening:
    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 0
