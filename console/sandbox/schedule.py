"""Starts runs when they are due, through the same adapter as everybody else, and keeps count of how they end."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.errors import BackendError
from backends.http import Http
from backends.models import PipelineRun
from backends.registry import AdapterContext, build
from backends.settings import Duration
from console.paths import state_dir
from console.sandbox import files, settings, warehouse

if TYPE_CHECKING:
    from backends.pipelines.local.pipelines import LocalPipelines

OPEN = frozenset({"queued", "running", "waiting"})
BUSY_EVERY_S, IDLE_EVERY_S = 0.5, 5.0
CANCEL_GRACE_S = 3.0
RUNS_KEPT = 2000


class FirstRunFailed(Exception):
    """The platform is not ready: a first run did not succeed."""


class Schedule:
    """The clock of the two pipelines. Open runs are looked at often, idle pipelines now and then."""

    def __init__(self, directory: Path, log: Callable[[str, str], None]) -> None:
        self._directory, self._log = directory, log
        entry = settings.pipelines_entry(directory)
        name = entry.pop("type")
        own_state = state_dir() / "adapters" / settings.CONTEXT / "pipelines"
        context = AdapterContext(name, directory, own_state, Http())
        self._pipelines: LocalPipelines = build("pipelines", name, entry, context)
        self._speed = float(os.environ.get("TEAL_SANDBOX_SPEED", "1"))
        self._due: dict[str, float] = {}
        self._newest: dict[str, PipelineRun] = {}
        self._look_at = 0.0
        self._started = 0
        self._trouble = ""
        self._generation = 0
        self._wanted: dict[str, str] = {}
        self._drills: dict[str, str] = {}
        self._seen: dict[tuple[str, str], PipelineRun] = {}
        self._written: dict[str, Any] = {}

    async def aclose(self) -> None:
        """Cancel what is under way and wait a little: nothing of the sandbox should outlive it."""
        with suppress(BackendError, TimeoutError):
            async with asyncio.timeout(CANCEL_GRACE_S):
                await self._look()
                for run in self._open():
                    await self._pipelines.cancel(run.pipeline, run.run_id)
                while self._open():
                    await asyncio.sleep(0.05)
                    await self._look()
        await self._pipelines.aclose()

    async def first_runs(self, timeout_s: float) -> None:
        """Run both pipelines once. Raises FirstRunFailed."""
        started: dict[str, str] = {}
        try:
            async with asyncio.timeout(timeout_s):
                for pipeline in settings.DAGS:
                    started[pipeline] = await self._start(pipeline, "startup")
                while not self._ended(started):
                    await asyncio.sleep(0.05)
                    await self._look()
        except TimeoutError:
            raise FirstRunFailed(f"the first runs did not end within {timeout_s:.0f} s") from None
        except BackendError as error:
            raise FirstRunFailed(error.message) from None
        for run in (self._newest[pipeline] for pipeline in started):
            told = f"the first run of {run.pipeline}: {run.state}: {run.error or 'see its log'}"
            if run.state != "success" and run.pipeline == settings.PRODUCTION:
                raise FirstRunFailed(told)
            if run.state != "success":
                self._log("ERROR", told)
        for info in await self._pipelines.pipelines():
            self._due[info.pipeline] = time.monotonic() + float(Duration.parse(info.schedule)) / self._speed
        self._tell()

    async def drill(self, generation: int, pipelines: list[str]) -> None:
        """Run `pipelines` as soon as they are idle; `state.json` then says under which ids, for that generation."""
        self._generation = generation
        self._wanted = dict.fromkeys(pipelines, f"drill-{generation}")
        self._drills = {}
        self._look_at = 0.0
        await self.tick()

    async def tick(self) -> None:
        """Look at the runs when it is time, start what is due."""
        now = time.monotonic()
        due = [pipeline for pipeline, at in self._due.items() if now >= at]
        if now < self._look_at and not due:
            return
        started = self._started
        try:
            await self._look()
            for pipeline, why in list(self._wanted.items()):
                if not self._is_open(pipeline):
                    self._drills[pipeline] = await self._start(pipeline, why)
                    del self._wanted[pipeline]
            if due:
                await self._start_due(due, now)
        except BackendError as error:
            self._log("ERROR", f"pipelines: {error.message}")
        busy = bool(self._open() or self._wanted) or self._started > started
        self._look_at = time.monotonic() + (BUSY_EVERY_S if busy else IDLE_EVERY_S)
        self._tell()

    async def _start_due(self, due: list[str], now: float) -> None:
        """A pipeline that is paused or still running misses its turn, as with `max_active_runs = 1`."""
        known = {info.pipeline: info for info in await self._pipelines.pipelines()}
        for pipeline in due:
            info = known[pipeline]
            self._due[pipeline] = now + float(Duration.parse(info.schedule)) / self._speed
            if not info.paused and not self._is_open(pipeline):
                await self._start(pipeline, "scheduled")

    async def _start(self, pipeline: str, why: str) -> str:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        run_id = f"{why}__{at}"
        await self._pipelines.trigger(pipeline, run_id, {}, trigger=why.partition("-")[0])
        self._started += 1
        return run_id

    async def _look(self) -> None:
        seen = await self._pipelines.runs(limit=10)
        newest: dict[str, PipelineRun] = {}
        for run in seen:
            newest.setdefault(run.pipeline, run)
        if seen != self._written.get("runs"):
            self._written["runs"] = seen
            trouble = ""
            try:
                await asyncio.to_thread(_export, self._directory, seen)
            except (sqlite3.Error, OSError) as error:
                self._written.pop("runs")
                trouble = str(error)
            if trouble and trouble != self._trouble:
                self._log("ERROR", f"warehouse: {trouble}")
            self._trouble = trouble
        self._newest = newest
        self._seen = {(run.pipeline, run.run_id): run for run in seen}

    def _open(self) -> list[PipelineRun]:
        return [run for run in self._newest.values() if run.state in OPEN]

    def _is_open(self, pipeline: str) -> bool:
        return any(run.pipeline == pipeline for run in self._open())

    def _ended(self, started: dict[str, str]) -> bool:
        found = [self._newest.get(pipeline) for pipeline in started]
        return all(run is not None and run.run_id == started[run.pipeline] and run.state not in OPEN for run in found)

    def _tell(self) -> None:
        drills = {}
        for pipeline, run_id in self._drills.items():
            run = self._seen.get((pipeline, run_id))
            drills[pipeline] = {"run_id": run_id, "state": run.state if run is not None else "queued"}
        told = {"generation": self._generation, "waiting": sorted(self._wanted), "drills": drills}
        if told != self._written.get("state"):
            with suppress(OSError):  # a full disk: told again with the next tick
                files.write_json(self._directory / files.STATE, told)
                self._written["state"] = told


def _export(directory: Path, runs: list[PipelineRun]) -> None:
    """Copy run facts into the warehouse, where the alert rules look."""
    connection = warehouse.connect(directory)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT OR REPLACE INTO pipeline_runs VALUES (?, ?, ?, ?, ?, ?)",
            [
                (run.pipeline, run.run_id, run.state, _text(run.started_at), _text(run.ended_at), run.duration_s)
                for run in runs
            ],
        )
        connection.execute(
            f"DELETE FROM pipeline_runs WHERE rowid < (SELECT max(rowid) - {RUNS_KEPT} FROM pipeline_runs)"
        )
        connection.execute("COMMIT")
    finally:
        connection.close()


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
