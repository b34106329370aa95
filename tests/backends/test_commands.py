"""Commands of a config: recorded before they begin, ended with all that they started, told no secret of others."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from backends import environment, processes
from backends.commands import OWNER, run_bounded
from backends.deployments import file_store
from backends.environment import command_environment, referenced, without_secrets
from backends.processes import Member, Running, fate, members
from backends.settings import Secret
from tests.pids import alive, ends

LASTS = "sleep 30"


class Remembers:
    """An owner that keeps what it is told."""

    def __init__(self, *, left_s: float = 60.0) -> None:
        self.stopping = asyncio.Event()
        self.environment = {"TEAL_ACTION_ID": "A1"}
        self.begun: list[Running] = []
        self.over: list[str] = []
        self.began = asyncio.Event()
        self.refuses: Exception | None = None
        self._left_s = left_s

    def left_s(self) -> float:
        return self._left_s

    async def started(self, command: Running) -> None:
        self.begun.append(command)
        self.began.set()
        if self.refuses is not None:
            raise self.refuses

    async def ended(self, command: Running, how: str) -> None:
        self.over.append(how)


@pytest.fixture
async def owner() -> AsyncIterator[Remembers]:
    owner = Remembers()
    token = OWNER.set(owner)
    yield owner
    OWNER.reset(token)


async def run(script: str, directory: Path, timeout_s: float = 20.0) -> "asyncio.Task[tuple[int | None, str]]":
    async def ran() -> tuple[int | None, str]:
        ended = await run_bounded(("sh", "-c", script), directory, timeout_s=timeout_s)
        return ended.status, ended.why

    return asyncio.create_task(ran())


async def written(path: Path) -> str:
    async with asyncio.timeout(10):
        while not path.exists() or not path.read_text().endswith("\n"):
            await asyncio.sleep(0.01)
    return path.read_text().strip()


async def test_it_has_no_effect_before_it_is_recorded(tmp_path: Path, owner: Remembers) -> None:
    owner.refuses = RuntimeError("no room")
    with pytest.raises(RuntimeError):
        await (await run("echo > effect", tmp_path))
    assert (owner.over, (tmp_path / "effect").exists()) == (["interrupted"], False)
    assert fate(owner.begun[0]) == "gone"


async def test_its_record_says_which_process_it_is(tmp_path: Path, owner: Remembers) -> None:
    task = await run(f"echo $$ $TEAL_ACTION_ID $TEAL_COMMAND_ID > told; {LASTS}", tmp_path)
    pid, action, mark = (await written(tmp_path / "told")).split()
    (record,) = owner.begun
    assert (str(record.pid), record.mark, record.name, action) == (pid, mark, "sh", "A1")
    assert (fate(record), os.getpgid(record.pid)) == ("here", record.pid)
    assert record.until - record.since == timedelta(seconds=20)
    assert fate(replace(record, start_ticks=(record.start_ticks or 0) + 1, mark="other")) == "gone"
    assert fate(replace(record, boot_id="another")) == "gone", "this host has booted since"
    assert fate(replace(record, host="far", boot_id="another")) == "elsewhere"
    assert fate(replace(record, pid_namespace="pid:[1]")) == "elsewhere"
    owner.stopping.set()
    assert (await task, fate(record)) == ((None, "sh: ended before its time"), "gone")


@pytest.mark.parametrize("how", ["deadline", "stopped", "cancelled", "failed"])
async def test_what_it_started_ends_with_it(tmp_path: Path, owner: Remembers, how: str) -> None:
    script = (
        f"setsid sh -c 'echo $$ > stray; trap : TERM; while :; do sleep 1; done' & sh -c 'echo $$ > child; {LASTS}' &"
    )
    script += " while [ ! -s stray ] || [ ! -s child ]; do sleep 0.01; done; " + (
        "exit 3" if how == "failed" else LASTS
    )

    task = await run(script, tmp_path, timeout_s=1.0 if how == "deadline" else 20.0)
    pids = [int(await written(tmp_path / name)) for name in ("stray", "child")]
    if how == "stopped":
        owner.stopping.set()
    if how == "cancelled":
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        assert (await task)[1]
    assert [alive(pid) for pid in pids] == [False, False]
    assert members(owner.begun[0]) == []


async def test_one_that_can_not_be_ended_is_not_told_to_be_over(
    tmp_path: Path, owner: Remembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of another user, behind sudo: it stays recorded, and holds what goes forward."""
    real = processes.end

    async def deaf(command: Running, **_: object) -> list[Member]:
        return members(command)

    monkeypatch.setattr(processes, "end", deaf)
    status, why = await (await run(LASTS, tmp_path, timeout_s=0.2))
    assert (status, "can not be ended from here" in why, owner.over) == (None, True, [])
    assert fate(owner.begun[0]) == "here"
    assert await real(owner.begun[0]) == []


async def test_a_record_alone_ends_no_process() -> None:
    """Boot, namespace and start of any process can be read by all, and so forged into a journal."""
    environ = {"PATH": os.environ["PATH"], environment.MARK: "real"}
    foreign = subprocess.Popen(["sh", "-c", "sleep 30 & wait"], start_new_session=True)
    own = subprocess.Popen(["sh", "-c", "sleep 30 & wait"], start_new_session=True, env=environ)
    now = datetime.now(UTC)
    try:
        for forged in ("", "forged", "real"):
            record = processes.running(foreign.pid, "sh", forged, now, now + timedelta(minutes=1))
            assert (fate(record), processes.is_vouched(record)) == ("here", False)
            left = await processes.end(record, grace_s=0.2)
            assert foreign.pid in [member.pid for member in left]
            assert foreign.poll() is None
        assert own.wait(10) == -signal.SIGTERM, "what carries the mark is ended"
    finally:
        for started in (foreign, own):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()


async def test_a_child_that_hides_its_mark_is_ended_by_who_started_it(tmp_path: Path, owner: Remembers) -> None:
    task = await run(f"env -i sh -c 'echo $$ > child; {LASTS}'", tmp_path)
    child = int(await written(tmp_path / "child"))
    assert [member.marked for member in members(owner.begun[0]) if member.pid == child] == [False]
    owner.stopping.set()
    assert (await task)[0] is None
    assert not alive(child)


async def test_so_is_one_that_hides_it_in_a_session_of_its_own(tmp_path: Path, owner: Remembers) -> None:
    """Neither mark, group nor session told of it: it outlived the command unsaid. While its parent lives that does."""
    hidden = f"env -i setsid sh -c 'echo $$ > child; trap : TERM; {LASTS}'"
    task = await run(f"({hidden} & wait); {LASTS}", tmp_path)
    child = int(await written(tmp_path / "child"))
    assert child in [member.pid for member in members(owner.begun[0])]
    owner.stopping.set()
    assert (await task)[0] is None
    assert not alive(child)


async def test_what_one_that_succeeded_has_started_goes_on(tmp_path: Path, owner: Remembers) -> None:
    task = await run("nohup setsid sh -c 'echo $$ > service; exec sleep 30' >/dev/null 2>&1 &", tmp_path)
    assert await task == (0, "")
    pid = int(await written(tmp_path / "service"))
    try:
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


async def test_a_killed_leader_does_not_leave_its_children_unknown(tmp_path: Path, owner: Remembers) -> None:
    """The record finds them by their mark; another process that has the number by now is left alone."""
    task = await run(f"sh -c 'echo $$ > child; {LASTS}' & echo $$ > leader; {LASTS}", tmp_path)
    child, leader = int(await written(tmp_path / "child")), int(await written(tmp_path / "leader"))
    (record,) = owner.begun
    foreign = replace(record, pid=os.getpid(), mark="other", start_ticks=1)
    assert members(foreign) == []
    assert fate(replace(record, pid=2**22 + 1)) == "left", "its leader is over, and what carries its mark lives"
    os.kill(leader, signal.SIGKILL)
    assert (await task)[1].startswith("sh: signal 9")
    assert not alive(child)


@pytest.mark.parametrize(
    ("program", "why"), [("no-such", "No such file"), ("./none", "No such file"), ("./plain", "Permission denied")]
)
async def test_what_can_not_be_started_says_so(tmp_path: Path, program: str, why: str) -> None:
    (tmp_path / "plain").write_text("echo")
    ended = await run_bounded((program,), tmp_path, timeout_s=5)
    assert ended.status is None
    assert why in ended.why


async def test_it_gets_no_secrets_but_those_that_its_entry_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_withheld", {"TEAL_TOKEN", "NAMED"})
    for name in ("SLACK", "TEAL_TOKEN", "NAMED", "TEAL_RUNNER_JOURNAL", "TEAL_OWN", "LC_TIME", "TZ"):
        monkeypatch.setenv(name, f"value-of-{name}")
    monkeypatch.setenv("LC_TIME", "C")
    ended = await run_bounded(("env",), tmp_path, timeout_s=5, env=("NAMED", "ABSENT"))
    told = dict(line.split("=", 1) for line in ended.output if "=" in line)
    assert {"PATH", "HOME", "TEAL_OWN", "LC_TIME", "TZ", "NAMED"} <= told.keys()
    assert not {"SLACK", "TEAL_TOKEN", "TEAL_RUNNER_JOURNAL", "ABSENT"} & told.keys()
    assert {"NAMED", "SLACK", "TEAL_TOKEN"} & without_secrets().keys() == {"SLACK"}


def test_the_names_of_secrets_reach_the_programs_that_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_SECRET_VARIABLES", "TEAL_A,TEAL_B")
    monkeypatch.setenv("TEAL_A", "secret")
    assert "TEAL_A" not in command_environment()
    config = {"notify": [{"webhook": {"env": "HOOK"}, "more": ({"token": {"env": "TOKEN"}}, 1)}], "env": ["PLAIN"]}
    assert referenced(config) == {"HOOK", "TOKEN"}


def test_a_record_says_where_it_runs_and_how_long_at_most() -> None:
    now = datetime.now(UTC)
    record = Running(name="deploy.sh", host="h", boot_id="b", pid_namespace="n", pid=7, start_ticks=9, mark="m",
                     since=now - timedelta(minutes=10), until=now + timedelta(minutes=20, seconds=5))  # fmt: skip
    assert str(record) == "deploy.sh on h (pid 7) for 10m, at most 20m more"
    assert str(replace(record, until=now)) == "deploy.sh on h (pid 7) for 10m, past its time"


def test_a_short_command_ends_with_its_group_and_gets_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "COMMAND_TIMEOUT_S", 0.5)
    monkeypatch.setenv("SLACK", "secret")
    monkeypatch.setenv("NAMED", "named")
    hangs = ("sh", "-c", "sleep 30 & echo $! > child; wait")
    assert "no end in 0.5 s" in file_store.run_command(hangs, tmp_path)
    assert ends(int((tmp_path / "child").read_text()))
    said = file_store.run_command(("sh", "-c", "echo [$SLACK$NAMED]; exit 3"), tmp_path, ("NAMED",))
    assert said.endswith("exit status 3: [named]")


async def test_the_command_of_a_secret_inherits_no_other_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_withheld", set())
    monkeypatch.setenv("OTHERS", "secret")
    monkeypatch.setenv("VAULT_ADDR", "vault")
    assert await Secret(env="OTHERS").resolve() == "secret"
    asking = Secret(command=("sh", "-c", "echo [$OTHERS$VAULT_ADDR]"))
    assert await asking.resolve(tmp_path) == "[vault]"
