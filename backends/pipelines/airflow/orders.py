"""Orders to Airflow. Each is sent once; before it, Airflow itself is asked what it would do; after a lost answer, the
run is looked at.
"""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from backends.errors import BackendError
from backends.identifiers import identifier
from backends.pipelines.airflow.details import Details
from backends.pipelines.airflow.http import AirflowApi, path_of
from backends.pipelines.airflow.wire import (
    CANCELLED,
    ENDED,
    Approvable,
    Approvables,
    Dag,
    DagRun,
    TaskInstance,
    TaskInstances,
)
from backends.ports import Approval
from backends.text import clean
from backends.times import parse_time

_LOST = frozenset({"timeout", "unreachable", "malformed", "conflict"})
_NOTE_CHARS = 1000
_DONE = frozenset({"success", "skipped"})


class _Anything(Struct, frozen=True):
    """An answer that is not looked into."""


class AirflowOrders:
    """The writing half of the adapter."""

    def __init__(self, server: AirflowApi, details: Details) -> None:
        self._server = server
        self._details = details

    async def trigger(self, dag: str, run_id: str, conf: dict[str, Any]) -> None:
        """Raises `conflict` where the id has another conf, `config` for params that the DAG refuses."""
        if await self._is_there(dag, run_id, conf):
            return
        body: dict[str, Any] = {"dag_run_id": run_id, "conf": conf}
        if await self._server.is_v2():
            body["logical_date"] = None  # required, and null: two runs may not share one; v1 refuses null
        try:
            await self._server.write("POST", path_of("dags", dag, "dagRuns"), _Anything, body)
        except BackendError as error:
            if error.kind not in _LOST or not await self._is_there(dag, run_id, conf):
                raise

    async def _is_there(self, dag: str, run_id: str, conf: dict[str, Any]) -> bool:
        try:
            run = await self._run(dag, run_id)
        except BackendError as error:
            if error.kind == "not_found":
                return False
            raise
        if (run.conf or {}) != conf:
            words = clean(f"run {run_id} of {dag} exists with other params")
            raise BackendError("conflict", words, fix="use another run id")
        return True

    async def retry_preview(self, dag: str, run_id: str) -> list[str]:
        """The names of the tasks. Raises `not_found`, and `conflict` while the run is open."""
        run = await self._ended(dag, run_id)
        return [identifier(each.name) for each in await self._clear(run, dry_run=True)]

    async def retry(self, dag: str, run_id: str) -> None:
        """Raises as `retry_preview`, and `conflict` where more than this run would be cleared."""
        run = await self._ended(dag, run_id)
        if await self._clear(run, dry_run=True):
            await self._clear(run, dry_run=False)

    async def _ended(self, dag: str, run_id: str) -> DagRun:
        run = await self._run(dag, run_id)
        if run.mapped not in ENDED:
            words = clean(f"run {run_id} of {dag} is {run.state}")
            raise BackendError("conflict", words, fix="cancel it first, or wait")
        return run

    async def _clear(self, run: DagRun, *, dry_run: bool) -> list[TaskInstance]:
        """What is cleared. Cancelling makes tasks `skipped` that never ran, which a clear of failed ones leaves: those
        are named. `dry_run` is always sent: left out it means true."""
        body: dict[str, Any] = {
            "dry_run": dry_run, "dag_run_id": run.dag_run_id, "only_failed": True, "only_running": False,
            "reset_dag_runs": True, "include_upstream": False, "include_downstream": False,
            "include_future": False, "include_past": False,
        }  # fmt: skip
        if run.mapped == "cancelled":
            instances = await self._details.instances(run.dag_id, run.dag_run_id)
            names = sorted({each.task_id for each in instances.found if each.state != "success"})
            if not names:
                return []
            body |= {"only_failed": False, "task_ids": names}
        elif run.mapped in _DONE:
            return []
        path = path_of("dags", run.dag_id, "clearTaskInstances")
        found = (await self._server.write("POST", path, TaskInstances, body)).task_instances
        others = {each.dag_run_id for each in found} - {run.dag_run_id, ""}
        if others:
            words = clean(f"a clear of {run.dag_run_id} would also clear tasks of {', '.join(sorted(others))}", 300)
            raise BackendError("conflict", words, fix="clear it in Airflow's own interface")
        return list(found)

    async def cancel(self, dag: str, run_id: str) -> None:
        """Raises `not_found`. The note comes after the state: a note alone must not call a failure cancelled."""
        run = await self._run(dag, run_id)
        if run.mapped in ENDED:
            return
        path = path_of("dags", dag, "dagRuns", run_id)
        mark = f"{CANCELLED}{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        note = f"{run.note}\n{mark}"[-_NOTE_CHARS:] if run.note else mark
        if await self._server.is_v2():
            await self._server.write("PATCH", path, _Anything, {"state": "failed", "note": note})
            return
        await self._server.write("PATCH", path, _Anything, {"state": "failed"})
        await self._server.write("PATCH", f"{path}/setNote", _Anything, {"note": note})

    async def set_paused(self, dag: str, paused: bool) -> None:
        """Raises `not_found`."""
        asked = {"update_mask": "is_paused"}
        await self._server.write("PATCH", path_of("dags", dag), Dag, {"is_paused": paused}, asked)

    async def approvals(self, dag: str, run_id: str) -> list[Approval]:
        """Raises `not_found`."""
        await self._run(dag, run_id)
        return [
            Approval(
                name=clean(each.task_instance.name, 250),
                since=parse_time(each.created_at),
                mine=each.yes is not None,
                detail=clean(each.subject if each.yes else f"{each.subject} ({' / '.join(each.options)})", 300),
            )
            for each in await self._asking(dag, run_id)
        ]

    async def approve(self, dag: str, run_id: str) -> None:
        """Raises `not_found`, `conflict` where nothing waits, `auth` where none of it can be approved from here."""
        await self._run(dag, run_id)
        asking = await self._asking(dag, run_id)
        if not asking:
            raise BackendError("conflict", clean(f"nothing in run {run_id} of {dag} waits for an approval"))
        mine = [each for each in asking if each.yes is not None]
        if not mine:
            words = clean(f"{asking[0].task_instance.name} asks for more than a yes: {' / '.join(asking[0].options)}")
            raise BackendError("auth", words, fix="answer it in Airflow's own interface")
        for each in mine:
            task = each.task_instance
            path = path_of(
                "dags", dag, "dagRuns", run_id, "taskInstances", task.task_id, str(task.map_index), "hitlDetails"
            )
            defaults = {name: _value(told) for name, told in each.params.items()}
            await self._server.write("PATCH", path, _Anything, {"chosen_options": [each.yes], "params_input": defaults})

    async def _asking(self, dag: str, run_id: str) -> list[Approvable]:
        if not await self._server.at_least(3, 1):
            return []
        path = path_of("dags", dag, "dagRuns", run_id, "hitlDetails")
        try:
            found = await self._server.get(path, Approvables, {"response_received": "false"})
        except BackendError as error:
            if error.kind == "not_found":  # 3.1 has it elsewhere, and its run was found before
                return []
            raise
        return [each for each in found.hitl_details if not each.response_received]

    async def _run(self, dag: str, run_id: str) -> DagRun:
        return await self._server.get(path_of("dags", dag, "dagRuns", run_id), DagRun)


def _value(told: Any) -> Any:
    return told["value"] if isinstance(told, dict) and "value" in told else told
