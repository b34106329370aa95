"""A run beside the last good one: what differs, what is the same, what nobody tells."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from backends.errors import BackendError
from backends.models import LogEntry, PipelineRun, TaskRun
from backends.ports import RunInputs
from console.printing.comparison_lines import against_good, differences, headline
from console.reading.comparison import Comparison, ParamDifference, RowsDifference, TaskTimes, _rows, compared

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)


def run(number: int, **fields: Any) -> PipelineRun:
    return PipelineRun(
        ref=f"air/etl/{number}", backend="air", pipeline="etl", run_id=str(number), state="success",
        ended_at=NOW - timedelta(minutes=20 - number), duration_s=60.0 * number, **fields,
    )  # fmt: skip


def task(name: str, seconds: float | None, state: str = "success") -> TaskRun:
    return TaskRun(task=name, state=state, duration_s=seconds)


def line(task_name: str, words: str) -> LogEntry:
    return LogEntry(at=NOW, source=task_name, level="info", message=words)


class System:
    """A source of runs with what it tells of each."""

    def __init__(self, *good: int) -> None:
        self.good = [run(number) for number in good]
        self.told: dict[str, RunInputs | BackendError] = {}
        self.of_tasks: dict[str, list[TaskRun] | BackendError] = {}
        self.logs: dict[str, list[LogEntry]] = {}

    async def good_before(self, pipeline: str, run_id: str, limit: int = 5) -> list[PipelineRun]:
        return self.good

    async def inputs(self, pipeline: str, run_id: str) -> RunInputs:
        return _or_raise(self.told.get(run_id, RunInputs(params={}, code="v1")))

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        return _or_raise(self.of_tasks.get(run_id, []))

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        return self.logs.get(run_id, [])


def _or_raise(told: Any) -> Any:
    if isinstance(told, BackendError):
        raise told
    return told


async def beside(system: System, *tasks: TaskRun, bad: tuple[str, ...] = ()) -> Comparison:
    return await compared(system, run(9), tasks, bad)


async def test_params_tasks_rows_and_code_that_differ() -> None:
    system = System(8, 7)
    system.told = {
        "9": RunInputs(params={"rows": 5000, "day": "x", "new": None, "api_token": "t2"}, code="version 4 (3f2c1a9)"),
        "8": RunInputs(params={"rows": 500, "day": "x", "old": [1], "api_token": "t1"}, code="version 3 (aaaaaaa)"),
    }
    system.of_tasks = {"8": [task("load", 60), task("test", 10), task("gone", 5)]}
    system.logs = {
        "9": [line("load", "loaded 5,000 rows from day 2"), line("dbt", "OK created [SELECT 12 in 0.3s]")],
        "8": [line("load", "loaded 500 rows from day 1"), line("dbt", "OK created [SELECT 10 in 0.1s]")],
    }
    found = await beside(
        system, task("load", 190.0), task("test", 10.5), task("fresh", 3), task("late", None, "skipped")
    )
    assert (found.good, found.unknown) == ("air/etl/8", ())
    assert [(each.name, each.good, each.value) for each in found.params] == [
        ("api_token", "(not shown)", "(not shown)"), ("new", None, "null"), ("old", "[1]", None),
        ("rows", "500", "5000"),
    ]  # fmt: skip
    assert [(each.task, each.duration_s, each.good_s) for each in found.tasks] == [
        ("load", 190.0, 60.0), ("test", 10.5, 10.0), ("fresh", 3.0, None), ("late", None, None), ("gone", None, 5.0),
    ]  # fmt: skip
    assert [(each.task, each.slower_s) for each in found.slower] == [("load", 130.0)]
    assert [(each.task, each.good, each.rows) for each in found.rows] == [("load", 500, 5000), ("dbt", 10, 12)]
    said = dict(differences(found))
    assert said["slower"] == "load 1m00s → 3m10s"
    assert said["code"] == "version 3 (aaaaaaa) → version 4 (3f2c1a9)"
    assert "rows 500 → 5000" in said["params"]
    assert headline(found, NOW, UTC) == "#8, 12m ago; this took 9m00s, that 8m00s"
    assert "version 3 (aaaaaaa) → version 4 (3f2c1a9)" in against_good(found, UTC)
    assert "load slower by 2m10s" in against_good(found, UTC)


async def test_what_is_the_same_is_said_and_what_nobody_tells_is_not_called_so() -> None:
    system = System(8)
    same = await beside(system)
    assert differences(same) == [
        ("slower", "no task took notably longer"), ("the same", "params, code"), ("not told", "rows"),
    ]  # fmt: skip
    assert against_good(same, UTC) == "#8: no difference found"
    system.told = {"9": RunInputs(params=None, code=""), "8": RunInputs(params={"a": 1}, code="")}
    system.of_tasks = {"8": BackendError("auth", "no")}
    blind = await beside(system, *(task(f"t{number}", 1) for number in range(30)))
    assert blind.unknown == ("params", "tasks", "rows", "code")
    assert differences(blind) == [("not told", "params, durations, rows, code")]
    system.told = {"8": BackendError("timeout", "no answer")}
    assert (await beside(system)).unknown == ("params", "tasks", "rows", "code")


async def test_one_that_wrote_bad_data_is_no_good_one_and_where_there_is_none_it_says_so() -> None:
    system = System(8, 7)
    assert (await beside(system, bad=("air/etl/8",))).good == "air/etl/7"
    none = await beside(system, bad=("air/etl/8", "air/etl/7"))
    assert (none.good, none.why) == (None, "every earlier run that ended well wrote bad data")
    alone = await beside(System())
    assert (alone.good, headline(alone, NOW, UTC)) == (
        None, "none to compare with: no earlier run of it ended well",
    )  # fmt: skip
    assert differences(alone) == []


async def test_a_source_that_does_not_tell_of_earlier_runs_is_said_to_be_one() -> None:
    found = await compared(object(), run(9), [])
    assert (found.good, found.why) == (None, "air does not tell of earlier runs")


@pytest.mark.parametrize(
    ("words", "rows"),
    [("wrote 1_200 records", 1200), ("INSERT 0 37", 37), ("COPY 5", 5), ("9 bad rows", 9), ("took 9 s", None)],
)
async def test_which_lines_tell_of_rows(words: str, rows: int | None) -> None:
    system = System(8)
    system.logs = {
        "9": [line("t", words)],
        "8": [line("t", words.replace("3", "4").replace("5", "6").replace("9", "8"))],
    }
    found = await beside(system)
    changed = rows is not None and found.rows
    assert [each.rows for each in found.rows] == ([rows] if changed else [])
    assert bool(found.rows) == (rows is not None and rows != 1200)


def test_of_many_differences_a_few_are_written_out() -> None:
    many = tuple(ParamDifference(name=f"p{number}", value="1", good="2") for number in range(9))
    rows = tuple(RowsDifference(task=f"t{number}", words="# rows", rows=1, good=2) for number in range(3))
    found = Comparison(good="air/etl/8", params=many, rows=rows)
    assert dict(differences(found))["params"].endswith("p3 2 → 1; and 5 more")
    assert against_good(found, UTC).endswith("; and 10 more")
    assert json.dumps(many[0].name)


def test_tasks_that_did_not_run_are_no_sameness_and_of_a_run_that_goes_on_nobody_knows() -> None:
    times = (
        TaskTimes(task="load", duration_s=2.0, good_s=2.1), TaskTimes(task="test", duration_s=None, good_s=1.0),
        TaskTimes(task="late", duration_s=None, good_s=None),
    )  # fmt: skip
    ended = Comparison(good="l/etl/8", good_run_id="8", duration_s=2.0, good_s=3.0, tasks=times)
    assert dict(differences(ended))["not run"] == "test"
    assert "1 task did not run" in against_good(ended, UTC)
    assert "durations" not in dict(differences(ended))["the same"]
    assert "not run" not in dict(differences(replace(ended, duration_s=None)))


def test_rows_that_no_line_of_both_tells_are_not_called_the_same() -> None:
    told, silent = [line("load", "500 rows")], [line("load", "done")]
    assert _rows(told, told) == ()
    assert _rows(told, silent) is None
