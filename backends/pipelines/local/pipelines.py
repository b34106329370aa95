"""Pipelines run on this host: DAGs of commands, each run a process of its own, their history in SQL.

```toml
[[contexts.production.pipelines]]
type = "local"
history = "sqlite:///runs.db"          # an SQLAlchemy URL, or a reference to one; SQLite paths start at the config
logs = "logs/tasks"                    # <logs>/<pipeline>/<run_id>/<task>.<try>.log
max_active_tasks = 2                   # of one run
[[contexts.production.pipelines.dags]]
name = "nightly"
schedule = "1h"                        # shown; cron or a timer triggers with `teal run trigger`
params = { rows = 500 }
env = { PYTHONUNBUFFERED = "1" }
tasks = [
  { name = "load", command = ["./load.sh"], retries = 2, retry_delay = "10s", timeout = "10m" },
  { name = "test", command = ["./test.sh"], depends_on = ["load"] },
]
```
Tasks run in the directory of the config and are told `TEAL_RUN_ID`, `TEAL_PIPELINE`, `TEAL_TASK`, `TEAL_TRY`,
`TEAL_LOGICAL_DATE`, `TEAL_PARAMS` (all params as JSON) and `TEAL_PARAM_<NAME>`: the name in capitals, what is no
letter, digit or underscore as `_` (`-p rows=9` is `TEAL_PARAM_ROWS=9`); text as it is, all else as JSON.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from backends.errors import BackendError
from backends.models import LogEntry, PipelineRun, TaskRun, TimelineEvent
from backends.paths import path_of
from backends.pipelines import baseline
from backends.pipelines.following import follow_by_reading
from backends.pipelines.local.dag import DagConfig, default_param, is_run_id
from backends.pipelines.local.logs import task_log
from backends.pipelines.local.rows import inputs_of, number, pipeline_run, run_state, task_run
from backends.pipelines.local.run_processes import RunProcesses, found_run, still_running
from backends.ports import Approval, PipelineInfo, RunInputs
from backends.registry import AdapterContext
from backends.settings import Secret, refuse_password_in_url, reveal
from backends.text import clean

if TYPE_CHECKING:
    from backends.pipelines.local.history import History

T = TypeVar("T")

HISTORY_LENGTH = 12


class LocalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where history and logs are, and the DAGs.

    history: an SQLAlchemy URL, or a reference to one; SQLite paths start at the config.
    logs: the directory of `PIPELINE/RUN_ID/TASK.TRY.log`.
    max_active_tasks: how many tasks of one run may run at once.
    dags: the pipelines.
    """

    history: str | Secret
    logs: str
    max_active_tasks: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 4
    dags: tuple[DagConfig, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.history, str):
            refuse_password_in_url(self.history)
        if len({dag.name for dag in self.dags}) < len(self.dags):
            raise ValueError("two DAGs have the same name")


class LocalPipelines:
    """`Pipelines` over the DAGs of the config. Without a history there are no runs yet; the first trigger makes it."""

    api = 1
    Config = LocalConfig

    def __init__(self, config: LocalConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._base_dir = context.base_dir
        logs = path_of(config.logs, context.base_dir)
        self._processes = RunProcesses(logs, context.base_dir, config.max_active_tasks)
        self._dags = {dag.name: dag for dag in config.dags}
        self._executor: ThreadPoolExecutor | None = None
        self._opened: History | None = None
        self._opening = asyncio.Lock()

    async def runs(self, *, since: datetime | None = None, limit: int = 100) -> list[PipelineRun]:
        """Newest first: runs since a time, at most `limit`, and always open ones and the last of each pipeline."""
        return await self._with_history(lambda history: self._runs(history, since, limit))

    async def run(self, pipeline: str, run_id: str) -> PipelineRun:
        """One run now. Raises `not_found`."""

        def read(history: "History") -> PipelineRun:
            row = found_run(history, pipeline, run_id)
            return self._shown(history, [row], time.time())[0]

        return await self._with_history(read)

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        """The tasks of one run in topological order. Raises `not_found`."""

        def read(history: "History") -> list[TaskRun]:
            row = found_run(history, pipeline, run_id)
            lost = self._processes.lost(row)
            return [task_run(task, lost) for task in history.tasks_of(row["id"])]

        return await self._with_history(read)

    async def good_before(self, pipeline: str, run_id: str, limit: int = 5) -> list[PipelineRun]:
        """The newest successes that began before that run. Raises `not_found`."""

        def read(history: "History") -> list[PipelineRun]:
            began = number(found_run(history, pipeline, run_id)["started_at"]) or time.time()
            return self._shown(history, history.good_before(pipeline, began, limit), time.time())

        return await self._with_history(read)

    async def inputs(self, pipeline: str, run_id: str) -> RunInputs:
        """Its params with those that the DAG had, and which definition that was. Raises `not_found`."""
        return await self._with_history(lambda history: inputs_of(found_run(history, pipeline, run_id)))

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        """The last `LOG_LINES` lines of all tries of one task, or of all tasks. Raises `not_found`."""

        def read(history: "History") -> list[LogEntry]:
            known = [row["task"] for row in history.tasks_of(found_run(history, pipeline, run_id)["id"])]
            if task is not None and task not in known:
                raise BackendError("not_found", clean(f"no task {task} in run {run_id} of {pipeline}"))
            return task_log(self._processes.directory(pipeline, run_id), known if task is None else [task])

        return await self._with_history(read)

    def follow_log(self, pipeline: str, run_id: str, task: str | None = None) -> AsyncIterator[LogEntry]:
        """The lines of `task_log`, read again each second until the run has ended."""

        async def ended() -> bool:
            return (await self.run(pipeline, run_id)).state not in ("queued", "running")

        return follow_by_reading(lambda: self.task_log(pipeline, run_id, task), ended)

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """None: who did what here is in the journal of this program."""
        return []

    async def pipelines(self) -> list[PipelineInfo]:
        """The DAGs of the config, in its order."""
        paused = await self._with_history(lambda history: history.paused())
        return [
            PipelineInfo(
                pipeline=dag.name,
                schedule=dag.schedule,
                paused=dag.name in paused,
                params=tuple(default_param(name, default) for name, default in dag.params.items()),
            )
            for dag in self._config.dags
        ]

    async def pipeline(self, pipeline: str) -> PipelineInfo:
        """One DAG. Raises `not_found`."""
        self._dag(pipeline)
        return next(info for info in await self.pipelines() if info.pipeline == pipeline)

    async def trigger(
        self,
        pipeline: str,
        run_id: str,
        params: dict[str, Any],
        *,
        trigger: str = "manual",
        logical_date: datetime | None = None,
    ) -> None:
        """Start a run in a process of its own; returns when that runs. `trigger` says in a word what started it.

        Raises BackendError: `not_found`, `conflict` (the id is taken by other params), `config` (an id or params that
        cannot be), `unreachable` (the process or the history cannot be started or written).
        """
        dag = self._dag(pipeline)
        if not is_run_id(run_id):
            raise BackendError("config", clean(f"run id {run_id!r}"), fix="use letters, digits and . _ : + @ -")
        try:
            given = json.dumps(params, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BackendError("config", clean(f"params of {pipeline}: {error}"), fix="params must be JSON") from None
        logical_at = (logical_date or datetime.now(UTC)).timestamp()
        await self._with_history(
            lambda history: self._processes.trigger(history, dag, run_id, given, clean(trigger, 64), logical_at)
        )

    async def retry_preview(self, pipeline: str, run_id: str) -> list[str]:
        """The tasks of an ended run that did not succeed. Raises `not_found`, and `conflict` while the run is open."""

        def read(history: "History") -> list[str]:
            row = found_run(history, pipeline, run_id)
            if row["ended_at"] is None and self._processes.lost(row) != "runner lost":
                raise still_running(pipeline, run_id)
            return [task["task"] for task in history.tasks_of(row["id"]) if task["state"] != "success"]

        return await self._with_history(read)

    async def retry(self, pipeline: str, run_id: str) -> None:
        """Queue all tasks of an ended run that did not succeed, with the DAG as it was. Of a success, nothing.

        Raises `not_found`, and `conflict` while the run is open.
        """
        await self._with_history(lambda history: self._processes.retry(history, pipeline, run_id))

    async def cancel(self, pipeline: str, run_id: str) -> None:
        """Ask a run to end: its tasks are told within 300 ms and killed after 3 s. Raises `not_found`.

        A run whose process is gone is closed at once, and what its tasks left running is ended.
        """

        def work(history: "History") -> None:
            row = found_run(history, pipeline, run_id)
            if row["ended_at"] is None:
                history.ask_cancel(row["id"])
                self._processes.close_if_lost(history, row)

        await self._with_history(work)

    async def set_paused(self, pipeline: str, paused: bool) -> None:
        """Remember that the schedule is paused; whoever triggers on schedule asks `pipelines()`."""
        self._dag(pipeline)
        await self._with_history(lambda history: history.set_paused(pipeline, paused))

    async def approvals(self, pipeline: str, run_id: str) -> list[Approval]:
        """None: nothing here waits for a person. Raises `not_found`."""
        await self._with_history(lambda history: found_run(history, pipeline, run_id))
        return []

    async def approve(self, pipeline: str, run_id: str, comment: str) -> None:
        """Raises `not_found`, else `conflict`: nothing waits."""
        await self.approvals(pipeline, run_id)
        raise BackendError("conflict", clean(f"nothing in run {run_id} of {pipeline} waits for an approval"))

    async def aclose(self) -> None:
        """Close the connections to the history; runs go on."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await self._in_thread(opened.dispose)
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None

    async def _with_history(self, work: "Callable[[History], T]") -> T:
        async with self._opening:
            if self._opened is None:
                url = await reveal(self._config.history)
                self._opened = await self._in_thread(lambda: self._open(url))
            history = self._opened
        return await self._in_thread(lambda: work(history))

    def _open(self, url: str) -> "History":
        from backends.pipelines.local.history import History, located  # SQLAlchemy: only now

        return History(located(url, self._base_dir))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix=f"pipelines-{self._name}")
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _dag(self, pipeline: str) -> DagConfig:
        try:
            return self._dags[pipeline]
        except KeyError:
            known = ", ".join(self._dags) or "none"
            raise BackendError("not_found", clean(f"no pipeline {pipeline}"), fix=f"known: {known}") from None

    def _runs(self, history: "History", since: datetime | None, limit: int) -> list[PipelineRun]:
        rows = history.listed(list(self._dags), since.timestamp() if since else None, limit)
        kept: list[Mapping[str, Any]] = []
        seen: set[str] = set()
        for row in rows:
            if row["pipeline"] in seen and row["ended_at"] is not None and len(kept) >= limit:
                continue
            seen.add(row["pipeline"])
            kept.append(row)
        return self._shown(history, kept, time.time())

    def _shown(self, history: "History", rows: Sequence[Mapping[str, Any]], now: float) -> list[PipelineRun]:
        names = list(dict.fromkeys(row["pipeline"] for row in rows))
        latest = history.last_of_each(names, HISTORY_LENGTH)
        successes = history.last_of_each(names, baseline.RUNS + 1, "success")
        lost = {row["id"]: self._processes.lost(row) for group in (rows, *latest.values()) for row in group}
        histories = {
            name: tuple(run_state(row, lost[row["id"]]) for row in reversed(group)) for name, group in latest.items()
        }
        found = []
        for row in rows:
            others = (number(each["duration_s"]) for each in successes[row["pipeline"]] if each["id"] != row["id"])
            usual = baseline.Baseline.of(others)
            states = histories[row["pipeline"]]
            found.append(pipeline_run(row, self._name, states, usual, lost[row["id"]], now))
        return found
