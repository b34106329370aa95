"""`teal check` as monitoring runs it: an empty environment, wrong calls, systems that hang, states that change."""

import json
import os
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warm import Job, called

CONFIG = """
default_context = "production"
[contexts.production]
[[contexts.production.checks]]
name = "port"
type = "tcp"
host = "127.0.0.1"
port = {port}
[[contexts.production.checks]]
name = "backup"
type = "backup"
path = "*.dump"
"""
NAMELESS_USER = """
import pwd, sys
def nobody(uid): raise KeyError(uid)
pwd.getpwuid = nobody
from console.config.load import search_path
from console.paths import state_dir
assert str(state_dir()) == "/.local/state/tealdeck", state_dir()
assert str(search_path(None)[0]) == "/.config/tealdeck/config.toml", search_path(None)
import os
from actions.journal.location import journal_location
assert str(journal_location("", os.environ).directory) in ("/.local/state/tealdeck", "/var/lib/tealdeck")
os.environ["TEAL_STATE_DIR"] = {state!r}
sys.argv = ["teal", "check", "-c", {config!r}]
from console.cli.main import main
main()
"""
HANGING_RESOLVER = """
import socket, sys, time
socket.getaddrinfo = lambda *_, **__: time.sleep(60)
import console.cli.check as module
module.BUDGET_S, module.READ_S = 8.0, {read_s}
sys.argv = ["teal", "check", "-c", {config!r}]
from console.cli.main import main
main()
"""


HANGING_AFTER_ONE_ANSWER = """
import sys, time
from console.ports.store import Store
put = Store.put
def put_and_hang(store, snapshot):
    put(store, snapshot)
    if snapshot.key.name == "backup" and snapshot.items:
        time.sleep(60)
Store.put = put_and_hang
import console.cli.check as module
module.BUDGET_S = {budget_s}
sys.argv = ["teal", "check", "-c", {config!r}, "-o", {output!r}]
from console.cli.main import main
main()
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def config(listening: socket.socket, tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(port=listening.getsockname()[1]))
    path.chmod(0o600)
    backup = tmp_path / "w.dump"
    backup.write_bytes(b"x" * 100)
    os.utime(backup, (time.time() - 3600,) * 2)
    return path


def check(config: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """With nothing in the environment but `env`."""
    return teal(config.parent, "check", "-c", str(config), *arguments, **env)


def teal(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return called(Job("tests.warm_teal", "main", list(words), {"TEAL_STATE_DIR": str(home / "state"), **env}))


def test_an_empty_environment(config: Path) -> None:
    state = f"TEAL_STATE_DIR={config.parent / 'state'}"  # or it would keep its snapshots in the tester's home
    command = ["env", "-i", state, sys.executable, "-m", "console.cli.main", "check", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr, done.stdout[:15]) == (0, b"", b"OK: 2 checks | ")


def test_a_user_without_a_name_or_a_home(config: Path) -> None:
    program = NAMELESS_USER.format(config=str(config), state=str(config.parent / "state"))
    command = ["env", "-i", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr, done.stdout[:13]) == (0, "", "OK: 2 checks ")


def test_letters_that_the_encoding_does_not_have(config: Path) -> None:
    (config.parent / "w.dump").rename(config.parent / "größte….dump")
    command = [sys.executable, "-m", "console.cli.main", "check", "-c", str(config), "backup"]
    env = {"TEAL_STATE_DIR": str(config.parent / "state"), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=env, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "gr\\xf6\\xdfte\\u2026.dump is 1h" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [("--nope",), ("--warning", "soon", "port"), ("--warning", "1"), ("nothing",), ("-o", "yaml"), ("-C", "nowhere"),
     ("",), ("port", ""), ("-C", ""), ("--config", "")],
)  # fmt: skip
def test_a_wrong_call_is_unknown(config: Path, arguments: tuple[str, ...]) -> None:
    done = check(config, *arguments)
    assert done.returncode == 3
    assert done.stdout.startswith("UNKNOWN: ") or "-o" in arguments


@pytest.mark.parametrize(
    "before", [("-C", ""), ("-c", ""), ("--nope",), ("-C", "check", "--nope"), ("-c", "a", "--no-color=1")]
)
def test_a_wrong_call_before_the_command_is_unknown_too(tmp_path: Path, before: tuple[str, ...]) -> None:
    """2 would be critical, and page somebody, for a variable of a script that is unset."""
    done = teal(tmp_path, *before, "check", "port")
    assert (done.returncode, done.stdout[:9]) == (3, "UNKNOWN: "), done


def test_a_wrong_call_in_each_format(config: Path) -> None:
    for output in ("json", "junit", "prom"):
        done = check(config, "nothing", "-o", output)
        assert (done.returncode, "nothing" in done.stderr) == (3, True)
        if output == "json":
            assert json.loads(done.stdout)["errors"][0]["kind"] == "not_found"
        elif output == "junit":
            assert ET.fromstring(done.stdout).attrib["errors"] == "1"
        else:
            assert 'check="teal"} 3\n' in done.stdout


def test_no_config_is_unknown_even_where_a_sandbox_runs(tmp_path: Path) -> None:
    done = check(tmp_path / "missing.toml")
    assert (done.returncode, done.stdout[:9]) == (3, "UNKNOWN: ")


def test_only_what_is_named_is_looked_at(config: Path) -> None:
    done = check(config, "port", "-o", "json")
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert [item["name"] for item in shown["items"]] == ["port"]
    assert [source["name"] for source in shown["sources"]] == ["port"]


@pytest.mark.parametrize("read_s", [1.0, 60.0])
def test_a_resolver_that_hangs_does_not_outlast_the_budget(tmp_path: Path, read_s: float) -> None:
    config = tmp_path / "config.toml"
    text = CONFIG.format(port=1).replace("127.0.0.1", "db.internal")
    config.write_text(text.replace("port = 1\n", 'port = 1\ntimeout = "60s"\n'))
    config.chmod(0o600)
    program = HANGING_RESOLVER.format(config=str(config), read_s=read_s)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"TEAL_STATE_DIR": str(tmp_path / "state")},
        timeout=30,
        check=False,
    )
    assert time.monotonic() - began < 16, "a busy machine takes seconds of the budget to import"
    assert (done.returncode, done.stderr) == (2, "")
    assert "UNKNOWN: port: no answer in time\n" in done.stdout
    assert "CRITICAL: backup: no file matches" in done.stdout


@pytest.mark.parametrize("output", ["nagios", "json"])
def test_what_had_answered_is_told_where_the_rest_hangs(tmp_path: Path, output: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(port=1).replace('"tcp"\nhost', '"http"\nurl = "http://127.0.0.1:1/"\n#'))
    config.write_text(config.read_text().replace("port = 1", ""))
    config.chmod(0o600)
    program = HANGING_AFTER_ONE_ANSWER.format(config=str(config), budget_s=4.0, output=output)
    env = {"TEAL_STATE_DIR": str(tmp_path / "state")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=30, check=False)
    assert done.returncode == 2, (done.stdout, done.stderr)
    if output == "json":
        assert {item["name"]: item["state"] for item in json.loads(done.stdout)["items"]}["backup"] == "critical"
    else:
        assert done.stdout.startswith("CRITICAL: backup: no file matches")
        assert "\nUNKNOWN: port: no answer in time\n" in done.stdout or "CRITICAL: port" in done.stdout


def test_the_budget_counts_from_the_start_of_the_process(config: Path) -> None:
    program = f"import time; time.sleep(1.5); {HANGING_RESOLVER.format(config=str(config), read_s=60)}"
    program = program.replace("lambda *_, **__: time.sleep(60)", "socket.getaddrinfo")
    program = program.replace("= 8.0,", "= 1.0,")
    command, env = [sys.executable, "-c", program], {"TEAL_STATE_DIR": str(config.parent / "state")}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (3, "UNKNOWN: no answer in 1 s\n")


def test_changes_of_state_are_recorded_once(config: Path, listening: socket.socket) -> None:
    def notes() -> list[tuple[str, str, str]]:
        done = teal(config.parent, "audit", "list", "-c", str(config), "-o", "json")
        return [
            (item["target"], item["before"]["state"], item["after"]["state"])
            for item in json.loads(done.stdout)["items"]
        ]

    assert check(config, "--record").returncode == 0
    assert notes() == [], "fine from the first look on"
    listening.close()
    for _ in range(2):
        assert check(config, "--record").returncode == 2
    assert notes() == [("check:port", "ok", "critical")]
    (config.parent / "w.dump").write_bytes(b"")
    assert check(config, "backup", "--record").returncode == 2
    assert check(config).returncode == 2
    assert notes() == [("check:port", "ok", "critical"), ("check:backup", "ok", "critical")]


def test_a_journal_that_cannot_be_written_changes_no_state(config: Path, listening: socket.socket) -> None:
    listening.close()
    (config.parent / "state").write_text("a file where the directory should be")
    done = check(config, "port", "--record")
    assert (done.returncode, done.stdout[:14]) == (2, "CRITICAL: port")
    assert "not recorded: " in done.stderr
