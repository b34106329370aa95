"""A list of 10,000 rows: what one refresh with changed items costs on the event loop."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace
from textual.app import App, ComposeResult

from backends.models import PipelineRun, RunState
from panels.columns import Moment
from panels.kinds.pipelines import PIPELINES
from panels.listing import Listing

ROWS = 10_000
ROUNDS = 10
LIMIT_MS = 30.0


def report() -> bool:
    """Print and judge the best refresh."""
    took_ms = min(asyncio.run(_refresh_times())) * 1000
    verdict = "ok" if took_ms <= LIMIT_MS else "OVER"
    print(f"{verdict:5} refresh of {ROWS} rows on the event loop: {took_ms:11.1f} ms of {LIMIT_MS:g} ms")
    return verdict == "ok"


class _Rows(App[None]):
    def compose(self) -> ComposeResult:
        yield Listing(PIPELINES)


async def _refresh_times() -> list[float]:
    app = _Rows()
    times = []
    async with app.run_test(size=(120, 40)) as pilot:
        listing = app.query_one(Listing)
        items = _runs()
        moment = Moment(datetime.now(UTC))
        for round_number in range(ROUNDS):
            items = [_changed(run, round_number) if index % 100 == 0 else run for index, run in enumerate(items)]
            began = time.perf_counter()
            listing.apply(items, moment)
            times.append(time.perf_counter() - began)
            await pilot.pause()
    return times[1:]


def _runs() -> list[PipelineRun]:
    now = datetime.now(UTC)
    states: tuple[RunState, ...] = ("success", "success", "failed", "running")
    return [
        PipelineRun(
            ref=f"airflow/pipeline_{index}/run_{index}",
            backend="airflow",
            pipeline=f"pipeline_{index}",
            run_id=f"run_{index}",
            state=states[index % len(states)],
            started_at=now - timedelta(seconds=index),
            duration_s=float(index),
        )
        for index in range(ROWS)
    ]


def _changed(run: PipelineRun, round_number: int) -> PipelineRun:
    return replace(run, duration_s=float(round_number))
