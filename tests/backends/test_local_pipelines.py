"""`local` pipelines: the contract, and what only a host's own processes do: outlive, hang, multiply, be killed."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends import environment
from backends.errors import BackendError
from backends.http import Http
from backends.models import PipelineRun
from backends.pipelines.baseline import Baseline
from backends.pipelines.local import lock as local_lock
from backends.pipelines.local.pipelines import LocalPipelines
from backends.registry import AdapterContext, build
from backends.testing.pipelines import Names, PipelinesContract, ended, in_state, refused, run_of, until
from tests.pids import alive

LONG = "sleep 60"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", root + os.pathsep + os.environ.get("PYTHONPATH", ""))


def task(name: str, script: str, *depends_on: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "command": ["sh", "-c", script], "depends_on": depends_on, **more}


def local_in(directory: Path, *tasks: dict[str, Any], **more: Any) -> LocalPipelines:
    dags = more.pop("dags", None) or [{"name": "p", "tasks": tasks, **more.pop("dag", {})}]
    config = {"history": "sqlite:///state/runs.db", "logs": "logs/tasks", "dags": dags, **more}
    adapter: LocalPipelines = build("pipelines", "local", config, AdapterContext("local", directory, directory, Http()))
    return adapter


async def finished(adapter: LocalPipelines, run_id: str = "r1", params: dict[str, Any] | None = None) -> PipelineRun:
    await adapter.trigger("p", run_id, params or {})
    return await ended(adapter, "p", run_id)


async def end(adapter: LocalPipelines) -> None:
    """Leave no process behind, whatever a test did."""
    for run in await adapter.runs():
        await adapter.cancel(run.pipeline, run.run_id)
        await ended(adapter, run.pipeline, run.run_id)
    await adapter.aclose()


async def pid_in(path: Path) -> int:
    async def look() -> int | None:
        return int(path.read_text()) if path.exists() and path.read_text().endswith("\n") else None

    return await until(look)


async def gone(pid: int) -> bool:
    async def look() -> bool | None:
        return None if alive(pid) else True

    return await until(look, 5)


class TestContract(PipelinesContract):
    @pytest.fixture
    def names(self) -> Names:
        return Names()

    @pytest.fixture
    async def adapter(self, tmp_path: Path, names: Names) -> AsyncIterator[LocalPipelines]:
        dags = [
            {"name": names.succeeds, "tasks": [task("a", "echo a"), task("b", "echo b", "a")]},
            {"name": names.fails, "tasks": [task("breaks", "echo no; exit 3", "works"), task("works", "echo yes")]},
            {"name": names.lasts, "tasks": [task("sleeps", LONG)]},
        ]
        adapter = local_in(tmp_path, dags=dags)
        yield adapter
        await end(adapter)


async def test_a_missing_history_is_read_without_making_it(tmp_path: Path) -> None:
    adapter = local_in(tmp_path, task("a", "true"))
    assert await adapter.runs() == []
    assert [info.paused for info in await adapter.pipelines()] == [False]
    assert list(tmp_path.iterdir()) == []
    await adapter.aclose()


async def test_tasks_know_their_run_and_not_the_history_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TEAL_")]:
        monkeypatch.delenv(name)
    params = {"rows": 5, "day": "mon", "odd-name": [1]}
    adapter = local_in(tmp_path, task("a", "env > $WHERE"), dag={"params": params, "env": {"WHERE": "env.txt"}})
    await finished(adapter, params={"rows": 7})
    env = dict(line.split("=", 1) for line in (tmp_path / "env.txt").read_text().splitlines() if "=" in line)
    assert env.pop("TEAL_COMMAND_ID")
    assert {key: env[key] for key in env if key.startswith("TEAL_")} == {
        "TEAL_PIPELINE": "p", "TEAL_RUN_ID": "r1", "TEAL_TASK": "a", "TEAL_TRY": "1", "TEAL_PARAM_ROWS": "7",
        "TEAL_PARAM_DAY": "mon", "TEAL_PARAM_ODD_NAME": "[1]", "TEAL_LOGICAL_DATE": env["TEAL_LOGICAL_DATE"],
        "TEAL_PARAMS": '{"day": "mon", "odd-name": [1], "rows": 7}',
    }  # fmt: skip
    await adapter.aclose()


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({}, {}),
        (("MY_TOKEN", "ABSENT"), {"MY_TOKEN": "of-mine"}),
        ({"PLAIN": "text", "AS": {"env": "TEAL_OTHERS"}}, {"PLAIN": "text", "AS": "of-others"}),
    ],
)
async def test_tasks_inherit_no_secrets_but_those_that_the_dag_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: Any, told: dict[str, str]
) -> None:
    monkeypatch.setattr(environment, "_withheld", {"TEAL_OTHERS"})
    for name, value in {"MY_TOKEN": "of-mine", "TEAL_OTHERS": "of-others", "TEAL_SET": "x"}.items():
        monkeypatch.setenv(name, value)
    adapter = local_in(tmp_path, task("a", "env > env.txt"), dag={"env": named})
    await finished(adapter)
    env = dict(line.split("=", 1) for line in (tmp_path / "env.txt").read_text().splitlines() if "=" in line)
    assert {name: value for name, value in env.items() if value in ("of-mine", "of-others", "text")} == told
    assert {"PATH", "TEAL_SET"} <= env.keys()
    await adapter.aclose()


async def test_error_is_the_last_error_line_of_the_failed_task(tmp_path: Path) -> None:
    script = "echo INFO start; echo ERROR 37 unexpected values; echo bye; exit 1"
    adapter = local_in(
        tmp_path, task("validate", script), task("after", "true", "validate"), task("last", "true", "after")
    )
    run = await finished(adapter)
    assert run.error == "validate: 37 unexpected values"
    assert (run.tasks_done, run.tasks_total) == (1, 3)
    states = {found.task: (found.state, found.error) for found in await adapter.tasks("p", "r1")}
    assert states["after"] == ("skipped", "upstream failed: validate")
    assert states["last"] == ("skipped", "upstream skipped: after")
    entries = await adapter.task_log("p", "r1")
    assert [(entry.level, entry.message) for entry in entries] == [
        ("info", "start"), ("error", "37 unexpected values"), ("info", "bye"),
    ]  # fmt: skip
    assert all(entry.at is not None for entry in entries)
    await adapter.aclose()


async def test_a_command_that_cannot_start(tmp_path: Path) -> None:
    adapter = local_in(tmp_path, {"name": "a", "command": ["/no/such/program"]})
    assert (await finished(adapter)).error == "a: cannot start /no/such/program: No such file or directory"
    assert "cannot start" in (await adapter.task_log("p", "r1"))[0].message
    await adapter.aclose()


async def test_retries_then_success(tmp_path: Path) -> None:
    adapter = local_in(tmp_path, task("a", "echo try $TEAL_TRY; test $TEAL_TRY = 3", retries=2))
    run = await finished(adapter)
    assert (run.state, run.error) == ("success", None)
    assert [found.try_number for found in await adapter.tasks("p", "r1")] == [3]
    entries = await adapter.task_log("p", "r1", "a")
    assert [(entry.message, entry.labels["try"]) for entry in entries] == [(f"try {n}", str(n)) for n in (1, 2, 3)]
    await adapter.aclose()


async def test_a_timeout_ends_the_whole_process_group(tmp_path: Path) -> None:
    adapter = local_in(tmp_path, task("a", f"sh -c 'echo $$ > child; {LONG}; :' & wait", timeout="2s"))
    assert (await finished(adapter)).error == "a: timed out after 2s"
    assert await gone(await pid_in(tmp_path / "child"))
    await adapter.aclose()


async def test_at_most_so_many_at_once_and_dependencies_first(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    script = "echo + $TEAL_TASK >> order; sleep 0.05; echo - $TEAL_TASK >> order"
    depends = {f"t{n}": [f"t{m}" for m in range(n) if rng.random() < 0.25] for n in range(10)}
    tasks = [task(name, script, *before) for name, before in depends.items()]
    rng.shuffle(tasks)
    adapter = local_in(tmp_path, *tasks, max_active_tasks=2)
    assert (await finished(adapter)).state == "success"
    running, done, most = set[str](), set[str](), 0
    for sign, name in (line.split() for line in (tmp_path / "order").read_text().splitlines()):
        if sign == "+":
            assert done >= set(depends[name])
            running.add(name)
        else:
            running.remove(name)
            done.add(name)
        most = max(most, len(running))
    assert done == set(depends)
    assert most == 2
    await adapter.aclose()


async def test_cancel_ends_children_that_ignore_it(tmp_path: Path) -> None:
    stubborn = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 1; done' & wait; wait"
    adapter = local_in(tmp_path, task("a", stubborn), task("b", "true", "a"))
    await adapter.trigger("p", "r1", {})
    child = await pid_in(tmp_path / "child")
    await adapter.cancel("p", "r1")
    assert (await ended(adapter, "p", "r1")).state == "cancelled"
    assert await gone(child)
    assert {found.state for found in await adapter.tasks("p", "r1")} == {"cancelled"}
    await adapter.aclose()


async def test_a_run_outlives_whoever_started_it(tmp_path: Path) -> None:
    first = local_in(tmp_path, task("a", "while ! test -e go; do sleep 0.05; done"))
    await first.trigger("p", "r1", {})
    await first.aclose()
    (tmp_path / "go").touch()
    second = local_in(tmp_path, task("renamed", "true"))  # the run goes by the DAG as it was
    assert (await ended(second, "p", "r1")).state == "success"
    assert [found.task for found in await second.tasks("p", "r1")] == ["a"]
    await second.aclose()


async def until_there(path: Path) -> None:
    async def look() -> bool | None:
        return True if path.exists() and path.read_text().endswith("\n") else None

    await until(look)


async def lost_run(tmp_path: Path) -> tuple[LocalPipelines, int]:
    """A run whose process was killed, and the pid of a task that it left."""
    script = f"test -e ok || setsid sh -c 'echo $$ > stray; {LONG}' & echo $$ $PPID > task; test -e ok || {LONG}; :"
    adapter = local_in(tmp_path, task("a", script))
    await adapter.trigger("p", "r1", {})

    async def look() -> tuple[int, int] | None:
        words = (tmp_path / "task").read_text().split() if (tmp_path / "task").exists() else []
        return (int(words[0]), int(words[1])) if len(words) == 2 else None

    orphan, runner = await until(look)
    await in_state(adapter, "p", "r1", "running")
    await until_there(tmp_path / "stray")
    os.kill(runner, signal.SIGKILL)
    run = await in_state(adapter, "p", "r1", "unknown")
    assert (run.raw_state, run.error, run.health, run.history) == (
        "runner lost",
        "runner lost",
        "unknown",
        ("unknown",),
    )
    assert [found.state for found in await adapter.tasks("p", "r1")] == ["unknown"]
    assert alive(orphan)
    return adapter, orphan


async def test_a_lost_run_is_unknown_and_cancelled_at_once(tmp_path: Path) -> None:
    adapter, orphan = await lost_run(tmp_path)
    await adapter.cancel("p", "r1")
    assert (await run_of(adapter, "p", "r1")).state == "cancelled"
    assert await gone(orphan)
    assert await gone(int((tmp_path / "stray").read_text())), "what has left the group of its task, too"
    await adapter.aclose()


async def test_a_lost_run_can_be_retried(tmp_path: Path) -> None:
    adapter, orphan = await lost_run(tmp_path)
    (tmp_path / "ok").touch()
    await adapter.retry("p", "r1")
    assert (await ended(adapter, "p", "r1")).state == "success"
    assert await gone(orphan)
    await adapter.retry("p", "r1")  # nothing left to do
    assert [found.try_number for found in await adapter.tasks("p", "r1")] == [2]
    await adapter.aclose()


async def test_what_cannot_be_triggered(tmp_path: Path) -> None:
    adapter = local_in(tmp_path, task("a", "true"))
    for run_id in ("", "../up", "a/b", "-x", "a\x1b[2J"):
        assert await refused(adapter.trigger("p", run_id, {})) == "config"
    assert await refused(adapter.trigger("p", "r1", {"x": float("nan")})) == "config"
    (tmp_path / "logs").write_text("no directory")
    assert await refused(adapter.trigger("p", "r1", {})) == "unreachable"
    assert await adapter.runs() == []
    await adapter.aclose()


async def test_a_history_that_is_none(tmp_path: Path) -> None:
    adapter = local_in(tmp_path, task("a", "true"))
    (tmp_path / "state").mkdir()
    (tmp_path / "state/runs.db").write_text("this is no database, and it is long enough to be sure of that" * 20)
    with pytest.raises(BackendError, match=r"runs\.db.*not a database"):
        await adapter.runs()
    await adapter.aclose()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"history": "postgresql://u:secret@h/d"}, "password inside a URL"),
        ({"max_active_tasks": 0}, "max_active_tasks"),
        ({"dags": [{"name": "../x", "tasks": [task("a", "true")]}]}, "DAG name"),
        ({"dags": [{"name": "p", "tasks": [task("a", "true", "b"), task("b", "true", "a")]}]}, "depend on each other"),
        ({"dags": [{"name": "p", "tasks": [task("a", "true", "x")]}]}, "no task of this DAG"),
        ({"dags": [{"name": "p", "tasks": [task("a", "true"), task("a", "true")]}]}, "same name"),
        ({"dags": [{"name": "p", "tasks": []}]}, "tasks"),
    ],
)
def test_config_says_what_is_wrong(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    with pytest.raises(BackendError, match=word) as caught:
        local_in(tmp_path, task("a", "true"), **change)
    assert caught.value.kind == "config"
    assert "secret" not in caught.value.message


def fill(path: Path, count: int) -> None:
    """More runs of `p`, an hour ago and earlier, in one transaction."""
    with sqlite3.connect(path) as connection:
        spec = connection.execute("select digest from local_specs").fetchone()[0]
        start = time.time() - 3600 - count
        connection.executemany(
            "insert into local_runs (pipeline, run_id, state, trigger, attempt, cancel_asked, started_at, ended_at,"
            " duration_s, tasks_done, tasks_total, host, params, spec) values ('p', ?, 'success', 't', 1, 0, ?, ?, ?,"
            " 1, 1, 'h', '{}', ?)",
            [(f"x{n}", start + n, start + n + 60, 60 + n % 7, spec) for n in range(count)],
        )
    connection.close()


async def test_ten_thousand_runs_are_listed_like_fifty(tmp_path: Path) -> None:
    seconds = []
    for count in (50, 10_000):
        directory = tmp_path / str(count)
        directory.mkdir()
        adapter = local_in(directory, task("a", "true"))
        await finished(adapter)
        fill(directory / "state/runs.db", count)
        await adapter.runs(limit=20)
        best = min([await timed(adapter) for _ in range(30)])
        seconds.append(best)
        run = (await adapter.runs(limit=20))[0]
        assert run.usual_s is not None
        assert 60 <= run.usual_s <= 66
        assert len(run.history) == 12
        await adapter.aclose()
    assert seconds[1] < 2 * seconds[0], seconds


async def timed(adapter: LocalPipelines) -> float:
    start = time.process_time()
    assert len(await adapter.runs(limit=20)) == 20
    return time.process_time() - start


def test_late_is_above_one_and_a_quarter_p95_and_five_minutes_over() -> None:
    def baseline(*durations: float) -> Baseline:
        return Baseline.of(durations)

    assert baseline(*[60.0] * 7) == Baseline()
    assert not baseline(*[60.0] * 7).is_late(9999)
    short, long = baseline(*[60.0] * 20), baseline(*[4000.0] * 20, 1.0)
    assert (short.is_late(359), short.is_late(361)) == (False, True)
    assert (long.is_late(4999), long.is_late(5001)) == (False, True)
    assert baseline(*range(1, 21)).p95_s == 19
    assert Baseline.of([9.0] * 7 + [None]) == Baseline()


async def test_lock_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    assert local_lock.is_held(path) is None
    descriptor = local_lock.take(path, 0)
    assert descriptor is not None
    assert local_lock.is_held(path) is True
    assert local_lock.take(path, 0.05) is None
    os.close(descriptor)
    assert local_lock.is_held(path) is False


async def test_an_odd_row_of_the_history_takes_no_run_away(tmp_path: Path) -> None:
    pipelines = local_in(tmp_path, task("a", "true"))
    for run_id in ("r1", "r2"):
        await pipelines.trigger("p", run_id, {})
        await ended(pipelines, "p", run_id)
    history = tmp_path / "state" / "runs.db"
    with sqlite3.connect(history) as connection:
        connection.execute(
            "update local_runs set started_at = 'noon', ended_at = 1e300, duration_s = 'long', state = 7, error = 5"
            " where run_id = 'r1'"
        )
        connection.execute("update local_tasks set depends_on = 'x', started_at = 'noon'")
    connection.close()
    found = {run.run_id: run for run in await pipelines.runs()}
    assert (found["r1"].state, found["r1"].raw_state, found["r2"].state) == ("unknown", "7", "success")
    assert [each.state for each in await pipelines.tasks("p", "r1")] == ["success"]


async def test_what_a_run_was_made_with_is_its_params_and_the_definition_as_it_was(tmp_path: Path) -> None:
    before = local_in(tmp_path, task("a", "true"), dag={"params": {"rows": 500, "day": "x"}})
    await finished(before, "r1")
    await finished(before, "r2", {"rows": 5000})
    first, second = await before.inputs("p", "r1"), await before.inputs("p", "r2")
    assert (first.params, second.params) == ({"rows": 500, "day": "x"}, {"rows": 5000, "day": "x"})
    assert first.code == second.code
    await before.aclose()
    after = local_in(tmp_path, task("a", "true; true"), dag={"params": {"rows": 500, "day": "x"}})
    await finished(after, "r3")
    assert (await after.inputs("p", "r3")).code != first.code
    assert [run.run_id for run in await after.good_before("p", "r3")] == ["r2", "r1"]
    await after.aclose()
