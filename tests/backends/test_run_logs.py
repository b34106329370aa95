"""Logs of runs: the contract, what one run's lost log costs, and lines that come late or twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.logs.around import around
from backends.logs.merging import is_gap
from backends.logs.runs import RunLogs
from backends.models import LogEntry, PipelineRun
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from backends.testing.logs import T0, Line, LogsContract, Write, take
from backends.text import clean


def run(number: int, *, pipeline: str = "nightly", started_at: datetime = T0, **fields: Any) -> PipelineRun:
    return PipelineRun(
        ref=f"airflow/{pipeline}/{number}", backend="airflow", pipeline=pipeline, run_id=str(number),
        **{"state": "running", "started_at": started_at, **fields},
    )  # fmt: skip


class FakePipelines:
    """Runs with their logs; a log that is an error can not be read."""

    def __init__(self) -> None:
        self.logs: dict[str, list[LogEntry] | BackendError] = {}
        self.all_runs: list[PipelineRun] = []
        self.reads: list[str] = []
        self.lost: BackendError | None = None

    def add(self, started: PipelineRun, *messages: str, **fields: Any) -> None:
        self.all_runs.append(started)
        begin = started.started_at or T0
        self.logs[started.run_id] = [entry(begin + timedelta(seconds=n), text) for n, text in enumerate(messages)]

    async def runs(self, *, since: datetime | None = None, limit: int = 100) -> list[PipelineRun]:
        if self.lost is not None:
            raise self.lost
        return self.all_runs

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        assert task is None
        self.reads.append(run_id)
        log = self.logs[run_id]
        if isinstance(log, BackendError):
            raise log
        return list(log)


def entry(at: datetime | None, message: str, level: Any = "info") -> LogEntry:
    at_ns = None if at is None else str(int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000)
    return LogEntry(at=at, at_ns=at_ns, source="nightly/load", level=level, message=message)


@pytest.fixture
def pipelines() -> FakePipelines:
    return FakePipelines()


def logs_of(pipelines: FakePipelines, tmp_path: Path, http: Http, **config: Any) -> RunLogs:
    def named(name: str) -> Any:
        if name != "airflow":
            raise BackendError("not_found", f'no pipelines backend "{name}" here')
        return pipelines

    context = AdapterContext("runs", tmp_path, tmp_path, http, pipelines=named)
    found: RunLogs = build("logs", "runs", {"pipelines": "airflow", "poll": "50ms", **config}, context)
    return found


@pytest.fixture
async def adapter(pipelines: FakePipelines, tmp_path: Path, http: Http) -> AsyncIterator[RunLogs]:
    adapter = logs_of(pipelines, tmp_path, http)
    yield adapter
    await adapter.aclose()


class TestRunLogs(LogsContract):
    @pytest.fixture
    def write(self, pipelines: FakePipelines) -> Write:
        """Into one run that goes on."""

        def write(lines: list[Line]) -> None:
            if not pipelines.all_runs:
                pipelines.add(run(1))
            log = pipelines.logs["1"]
            assert isinstance(log, list)
            log += [entry(line.at, clean(line.message), line.level.lower()) for line in lines]

        return write


async def test_runs_side_by_side_are_one_log(adapter: RunLogs, pipelines: FakePipelines) -> None:
    pipelines.add(run(1), "a", "b")
    pipelines.add(run(2, started_at=T0 + timedelta(milliseconds=500)), "A", "B")
    assert [found.message for found in await adapter.query(LogQuery())] == ["a", "A", "b", "B"]


async def test_a_log_that_can_not_be_read_is_a_gap_and_all_of_them_an_error(
    adapter: RunLogs, pipelines: FakePipelines
) -> None:
    pipelines.add(run(1), "a")
    pipelines.add(run(2))
    pipelines.logs["2"] = BackendError("not_found", "its log has expired")
    found, line = await adapter.query(LogQuery())
    assert is_gap(found)
    assert "airflow/nightly/2: its log has expired" in found.message
    assert line.message == "a"
    pipelines.logs["1"] = BackendError("auth", "HTTP 403")
    with pytest.raises(BackendError, match=r"airflow/nightly/[12]: "):
        await adapter.query(LogQuery())


async def test_runs_that_are_not_read_are_said_where_a_time_was_asked_for(
    pipelines: FakePipelines, tmp_path: Path, http: Http
) -> None:
    for number in range(5):
        pipelines.add(run(number, started_at=T0 + timedelta(minutes=number)), f"of {number}")
    adapter = logs_of(pipelines, tmp_path, http, runs=2)
    assert [found.message for found in await adapter.query(LogQuery())] == ["of 3", "of 4"]
    earlier = await adapter.query(LogQuery(until=T0 + timedelta(minutes=2, seconds=30)))
    assert [found.message for found in earlier] == ["of 1", "of 2"]
    first, *_ = await adapter.query(LogQuery(since=T0))
    assert is_gap(first)
    assert "3 older runs of that time are not read" in first.message
    first, *_ = await logs_of(pipelines, tmp_path, http, runs=4).query(LogQuery(since=T0))
    assert "1 older run of that time is not read" in first.message


async def test_only_the_pipelines_that_are_named(pipelines: FakePipelines, tmp_path: Path, http: Http) -> None:
    pipelines.add(run(1), "a")
    pipelines.add(run(2, pipeline="hourly"), "b")
    adapter = logs_of(pipelines, tmp_path, http, names=["hour*"])
    assert [found.message for found in await adapter.query(LogQuery())] == ["b"]


async def test_the_log_of_a_run_that_is_long_over_is_read_once(adapter: RunLogs, pipelines: FakePipelines) -> None:
    now = datetime.now(UTC)
    pipelines.add(run(1, state="success", ended_at=now - timedelta(hours=1)), "a")
    pipelines.add(run(2, state="success", ended_at=now), "b")
    for _ in range(3):
        assert len(await adapter.query(LogQuery())) == 2
    assert sorted(pipelines.reads) == ["1", "2", "2", "2"]


async def test_what_comes_late_comes_once_and_twins_both(adapter: RunLogs, pipelines: FakePipelines) -> None:
    pipelines.add(run(1), "a", "c")
    stream = adapter.follow(LogQuery())
    assert [found.message for found in await take(stream, 2)] == ["a", "c"]
    pipelines.logs["1"] = [entry(T0, text) for text in ("a", "late", "twin", "twin")] + [
        entry(T0 + timedelta(seconds=1), "c"),
        entry(None, "without a time"),
    ]
    pipelines.add(run(2, started_at=T0 + timedelta(hours=1)), "of a new run")
    found = await take(stream, 5)
    assert [each.message for each in found] == ["late", "twin", "twin", "without a time", "of a new run"]
    with pytest.raises(TimeoutError):
        await take(stream, 1, 0.3)


async def test_a_lost_system_is_an_error(adapter: RunLogs, pipelines: FakePipelines) -> None:
    pipelines.lost = BackendError("unreachable", "connection refused")
    with pytest.raises(BackendError, match="connection refused"):
        await adapter.query(LogQuery())
    stream = adapter.follow(LogQuery())
    with pytest.raises(BackendError, match="connection refused"):
        await asyncio.wait_for(anext(stream), 5)


def test_a_name_that_is_none_is_said_by_the_config(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="from 1 to 100"):
        logs_of(FakePipelines(), tmp_path, Http(), runs=0)


async def test_a_stack_trace_stays_with_its_error(pipelines: FakePipelines, adapter: RunLogs) -> None:
    pipelines.all_runs.append(run(1))
    rows = [("fine", "info", True), ("failed", "error", True), ("Traceback (most recent call last):", "error", False),
            ("  File x", "unknown", False), ("fine again", "info", True), ("  indeed", "unknown", False)]  # fmt: skip
    pipelines.logs["1"] = [
        entry(T0 + timedelta(seconds=n) if timed else None, text, level) for n, (text, level, timed) in enumerate(rows)
    ]
    found = await adapter.query(LogQuery(level="error"))
    assert [line.message for line in found] == ["failed", "Traceback (most recent call last):", "  File x"]


async def test_the_lines_of_a_time_are_those_of_the_runs_that_ran_then(
    pipelines: FakePipelines, tmp_path: Path, http: Http
) -> None:
    for number in range(20):
        began = T0 + timedelta(minutes=number)
        pipelines.add(run(number, started_at=began, ended_at=began + timedelta(seconds=30)), f"of run {number}")
    whole = T0 + timedelta(minutes=30)
    pipelines.add(run(99, started_at=T0, ended_at=whole), *(f"long {number}" for number in range(300)))
    adapter = logs_of(pipelines, tmp_path, http, runs=3)
    found = await around(adapter, LogQuery(), T0 + timedelta(minutes=3), before=2, after=3)
    assert [each.message for each in found if not is_gap(each)] == [
        "long 178", "long 179", "long 180", "of run 3", "long 181"
    ]  # fmt: skip


async def test_a_log_that_can_not_be_read_any_more_is_said_once_while_following(
    pipelines: FakePipelines, adapter: RunLogs
) -> None:
    pipelines.add(run(1), "a")
    pipelines.add(run(2), "b")
    stream = adapter.follow(LogQuery(limit=0))
    waiting = asyncio.ensure_future(take(stream, 2))
    while pipelines.reads.count("1") < 2:
        await asyncio.sleep(0.01)
    pipelines.logs["2"] = BackendError("unreachable", "connection refused")
    while pipelines.reads.count("1") < 5:
        await asyncio.sleep(0.01)
    kept = pipelines.logs["1"]
    assert isinstance(kept, list)
    kept.append(entry(T0 + timedelta(seconds=9), "later"))
    said, line = await waiting
    assert (is_gap(said), line.message) == (True, "later")
    await stream.aclose()
