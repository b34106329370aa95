"""What Airflow's list of runs does not say: how far a run is, which task failed and why, why nothing starts."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from backends.errors import BackendError
from backends.models import PipelineRun
from backends.pipelines.airflow.http import PAGE, AirflowApi, path_of
from backends.pipelines.airflow.logs import LogPage, Source, entries_of, error_line
from backends.pipelines.airflow.models import changed_code
from backends.pipelines.airflow.wire import (
    ENDED,
    STUCK,
    Dag,
    DagRun,
    Pools,
    Task,
    TaskInstance,
    TaskInstances,
    Tasks,
)
from backends.text import clean
from backends.together import together

MAX_INSTANCES = 2000
MAX_PASSES = 3
_DONE = frozenset({"success", "skipped"})
MAX_LOOKED = 12  # runs of one refresh whose tasks are read
KEPT = 500


class Told(Struct, frozen=True):
    """What was found out of a run. `whole`: it has ended and will not change until it ends at another time."""

    tasks_done: int | None = None
    tasks_total: int | None = None
    error: str | None = None
    note: str = ""
    waits: bool = False


class Instances(Struct, frozen=True):
    """Task instances of a run; `total` is how many the server counts, `done` how many of them need nothing more."""

    found: list[TaskInstance]
    total: int
    done: int

    @property
    def unread(self) -> int:
        """How many are not in `found`."""
        return max(0, self.total - len(self.found))


class Details:
    """Reads each ended run once; an open one each time."""

    def __init__(self, server: AirflowApi, failed_logs: int) -> None:
        self._server = server
        self._failed_logs = failed_logs
        self._kept: dict[tuple[str, str, str | None], Told] = {}
        self._tasks: dict[str, tuple[Task, ...]] = {}
        self._is_ordered = True

    async def instances(self, dag: str, run_id: str) -> Instances:
        """The task instances of a run: all, or of very many the first, and all that failed. Raises `not_found`."""
        path = path_of("dags", dag, "dagRuns", run_id, "taskInstances")
        first = await self._instance_page(path, 0)
        total = first.total_entries or len(first.task_instances)
        step = len(first.task_instances) or PAGE  # a server may allow less than is asked for
        found = _by_name(first)
        if total > MAX_INSTANCES:
            for offset in range(0, MAX_INSTANCES, step):
                page = await self._instance_page(path, offset, ["failed"])
                found |= _by_name(page)
                if offset + step >= (page.total_entries or 0):
                    break
        for _ in range(MAX_PASSES):  # without an order that is told, pages overlap, and what is between them is lost
            for offset in range(step, min(total, MAX_INSTANCES), step):
                found |= _by_name(await self._instance_page(path, offset))
            if len(found) >= min(total, MAX_INSTANCES):
                break
            found |= _by_name(await self._instance_page(path, 0))
        done = sum(each.mapped in _DONE for each in found.values())
        if len(found) < total:
            counted = await self._instance_page(path, 0, sorted(_DONE), limit=1)
            done = counted.total_entries or 0
        return Instances(list(found.values()), max(total, len(found)), done)

    async def _instance_page(
        self, path: str, offset: int, states: Sequence[str] = (), limit: int = PAGE
    ) -> TaskInstances:
        """In an order, where the server takes one: v1 does from 2.10 on, and before it refuses the word."""
        asked: dict[str, Any] = {"limit": limit, "offset": offset}
        if states:
            asked["state"] = list(states)
        if self._is_ordered:
            order = "map_index" if await self._server.is_v2() else "start_date"
            try:
                return await self._server.get(path, TaskInstances, {**asked, "order_by": order})
            except BackendError as error:
                if error.status not in (400, 422):
                    raise
                self._is_ordered = False
        return await self._server.get(path, TaskInstances, asked)

    async def tasks(self, dag: str) -> tuple[Task, ...]:
        """The tasks of a DAG as its newest code has them; none where that is gone."""
        try:
            found = await self._server.get(path_of("dags", dag, "tasks"), Tasks)
        except BackendError as error:
            if error.kind != "not_found":
                raise
            return self._tasks.get(dag, ())
        self._tasks[dag] = found.tasks
        return found.tasks

    async def told(
        self, runs: Sequence[DagRun], models: Sequence[PipelineRun], known: Sequence[DagRun]
    ) -> list[PipelineRun]:
        """`models` with all of that. What cannot be found out is left out: a list that is shown beats one that is not.
        `known`: also runs of earlier windows, to say since when the code is another."""
        looked = logs = 0
        waiting: list[tuple[int, bool]] = []
        for number, run in enumerate(runs):
            if run.mapped in ("success", "skipped") or self._of(run) is not None or looked >= MAX_LOOKED:
                continue
            looked += 1
            with_log = run.mapped == "failed" and logs < self._failed_logs
            logs += with_log
            waiting.append((number, with_log))
        found = await together(*(self._look(runs[number], with_log) for number, with_log in waiting))
        fresh = {number: told for (number, _), told in zip(waiting, found, strict=True)}
        return [
            _with(model, fresh.get(number) or self._of(run), self._change(run, known))
            for number, (run, model) in enumerate(zip(runs, models, strict=True))
        ]

    @staticmethod
    def _change(run: DagRun, known: Sequence[DagRun]) -> str:
        of_dag = [each for each in known if each.dag_id == run.dag_id]
        return changed_code(of_dag, run) if run.mapped == "failed" else ""

    def _of(self, run: DagRun) -> Told | None:
        return self._kept.get((run.dag_id, run.dag_run_id, run.end_date)) if run.mapped in ENDED else None

    async def _look(self, run: DagRun, with_log: bool) -> Told:
        try:
            read = await self.instances(run.dag_id, run.dag_run_id)
            instances = read.found
            failed = [each for each in instances if each.state == "failed"]
            failed.sort(key=lambda each: each.end_date or "~")
            more = f"{read.unread} of its {read.total} tasks were not read" if read.unread else ""
            told = Told(tasks_done=read.done, tasks_total=read.total or None, note=more)
            if run.mapped in ENDED:
                error = await self._error(run, failed[0], with_log) if failed else None
                return self._keep(run, replace(told, error=error))
            waits = any(each.mapped == "waiting" for each in instances)
            why = await self._why_waiting(run, instances)
            return replace(told, note="; ".join(filter(None, (why, more))), waits=waits)
        except BackendError as trouble:
            if trouble.kind in ("auth", "unreachable", "timeout", "rate_limited"):
                return Told()  # not kept: asked again with the next refresh
            return self._keep(run, Told()) if run.mapped in ENDED else Told()

    def _keep(self, run: DagRun, told: Told) -> Told:
        while len(self._kept) >= KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[run.dag_id, run.dag_run_id, run.end_date] = told
        return told

    async def _error(self, run: DagRun, task: TaskInstance, with_log: bool) -> str | None:
        if run.mapped == "cancelled":
            return None
        words = f"failed after {task.try_number} tries" if (task.try_number or 0) > 1 else "failed"
        if with_log and task.try_number:
            path = path_of(
                "dags", run.dag_id, "dagRuns", run.dag_run_id, "taskInstances", task.task_id,
                "logs", str(task.try_number),
            )  # fmt: skip
            try:
                page = await self._server.get(path, LogPage, {"map_index": task.map_index})
                words = error_line(entries_of(page.content, Source(task.name, task.try_number))) or words
            except BackendError:
                pass  # the state is known, only its reason is not
        return clean(f"{task.name}: {words}", 400)

    async def _why_waiting(self, run: DagRun, instances: Sequence[TaskInstance]) -> str:
        """Why an open run does not go on, in words; empty where it does, or nobody knows."""
        if run.state == "queued":
            dag = await self._server.get(path_of("dags", run.dag_id), Dag)
            if dag.is_paused:
                return "its DAG is paused: it stays queued until somebody unpauses it"
            if dag.max_active_runs is not None:
                return f"queued: its DAG runs at most {dag.max_active_runs} at once, or no scheduler takes it"
            return ""
        if any(each.state == "running" for each in instances):
            return ""
        stuck = {each.pool for each in instances if each.state in STUCK and each.pool}
        if not stuck:
            return ""
        pools = await self._server.get("/pools", Pools, {"limit": PAGE})
        full = [pool for pool in pools.pools if pool.name in stuck and pool.slots >= 0 and pool.open_slots <= 0]
        return "; ".join(f"pool {clean(pool.name, 60)} has no open slot of {pool.slots}" for pool in full)


def _by_name(page: TaskInstances) -> dict[tuple[str, int], TaskInstance]:
    return {(each.task_id, each.map_index): each for each in page.task_instances}


def _with(model: PipelineRun, told: Told | None, change: str) -> PipelineRun:
    if told is None:
        return replace(model, note=change) if change else model
    return replace(
        model,
        state="waiting" if told.waits and model.state == "running" else model.state,
        tasks_done=told.tasks_done,
        tasks_total=told.tasks_total,
        error=told.error,
        note="; ".join(filter(None, (told.note, change))),
    )
