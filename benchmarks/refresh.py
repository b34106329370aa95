"""Long lists: what one refresh with changed items costs on the event loop."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from textual.app import App, ComposeResult
from textual.widgets import DataTable

from backends.models import Alert, PipelineRun, RunState
from panels.columns import Kind, Moment
from panels.kinds.alerts import ALERTS
from panels.kinds.pipelines import PIPELINES
from panels.listing import Listing

RUNS = 10_000
ALERT_COUNT = 5_000
ALERT_NAMES = 200
ROUNDS = 10
TABLE_ROUNDS = 3
RUNS_LIMIT_MS = 30.0
ALERTS_LIMIT_MS = 20.0


class Case(Struct, frozen=True):
    """A list: what it is called, its kind, its items, one of them changed in a round, and its budget."""

    name: str
    kind: Kind[Any]
    items: list[Any]
    changed: Callable[[Any, int], Any]
    limit_ms: float


def report() -> bool:
    """Print and judge the best refresh of each list."""
    within = True
    for case in (_runs(), _alerts()):
        took_ms = min(asyncio.run(_refresh_times(case))) * 1000
        verdict = "ok" if took_ms <= case.limit_ms else "OVER"
        within = within and verdict == "ok"
        print(f"{verdict:5} refresh of {case.name:30} {took_ms:11.1f} ms of {case.limit_ms:g} ms")
    took_ms = min(asyncio.run(_table_times(_runs()))) * 1000
    print(f"      the same {RUNS:,} runs in a DataTable        {took_ms:11.1f} ms")
    return within


class _Rows(App[None]):
    def __init__(self, kind: Kind[Any]) -> None:
        super().__init__()
        self._kind = kind

    def compose(self) -> ComposeResult:
        yield Listing(self._kind)


async def _refresh_times(case: Case) -> list[float]:
    app = _Rows(case.kind)
    times = []
    async with app.run_test(size=(120, 40)) as pilot:
        listing = app.query_one(Listing)
        items, moment = case.items, Moment(datetime.now(UTC))
        for number in range(ROUNDS):
            items = [case.changed(item, number) if index % 100 == 0 else item for index, item in enumerate(items)]
            began = time.perf_counter()
            listing.apply(items, moment)
            times.append(time.perf_counter() - began)
            await pilot.pause()
    return times[1:]


class _Table(App[None]):
    def compose(self) -> ComposeResult:
        yield DataTable()


async def _table_times(case: Case) -> list[float]:
    """The peer: Textual's own table, given the same rows in the same order, which it has no way to do but anew."""
    app = _Table()
    times = []
    async with app.run_test(size=(120, 40)) as pilot:
        table = app.query_one(DataTable)
        columns = case.kind.columns
        table.add_columns(*(column.title for column in columns))
        items, moment = case.items, Moment(datetime.now(UTC))
        for number in range(TABLE_ROUNDS):
            items = [case.changed(item, number) if index % 100 == 0 else item for index, item in enumerate(items)]
            began = time.perf_counter()
            ordered = sorted(items, key=case.kind.sort_key)
            table.clear()
            table.add_rows([column.cell(item, moment).text for column in columns] for item in ordered)
            times.append(time.perf_counter() - began)
            await pilot.pause()
    return times[1:]


def _runs() -> Case:
    now = datetime.now(UTC)
    states: tuple[RunState, ...] = ("success", "success", "failed", "running")
    runs = [
        PipelineRun(
            ref=f"airflow/pipeline_{index}/run_{index}",
            backend="airflow",
            pipeline=f"pipeline_{index}",
            run_id=f"run_{index}",
            state=states[index % len(states)],
            started_at=now - timedelta(seconds=index),
            duration_s=float(index),
        )
        for index in range(RUNS)
    ]
    return Case(f"{RUNS:,} runs", PIPELINES, runs, lambda run, n: replace(run, duration_s=float(n)), RUNS_LIMIT_MS)


def _alerts() -> Case:
    now = datetime.now(UTC)
    alerts = [
        Alert(
            ref=f"am/{index:016x}",
            backend="am",
            fingerprint=f"{index:016x}",
            name=f"Alert{index % ALERT_NAMES}",
            severity=("critical", "warning")[index % 2],
            state="firing",
            since=now - timedelta(seconds=index),
            labels={"instance": f"host-{index}", "service": "analytics"},
            summary="error rate above 5 %",
            group=f"Alert{index % ALERT_NAMES}",
        )
        for index in range(ALERT_COUNT)
    ]
    return Case(
        f"{ALERT_COUNT:,} alerts, grouped",
        ALERTS,
        alerts,
        lambda alert, n: replace(alert, summary=f"{n} %"),
        ALERTS_LIMIT_MS,
    )
