"""The processes of runs on this host: started once, found lost, closed. A process holds a lock while it lives."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from backends import processes
from backends.environment import handed_on
from backends.errors import BackendError, ErrorKind
from backends.pipelines.local import lock as local_lock
from backends.pipelines.local.dag import DagConfig, RunSpec, in_order
from backends.settings import encode_hook
from backends.text import clean

if TYPE_CHECKING:
    from backends.pipelines.local.history import History

_LOCK_WAIT_S = 2.0
_START_TIMEOUT_S = 20.0


class RunProcesses:
    """Those of all runs whose logs are under `logs`; tasks run in `base_dir`. Everything here blocks."""

    def __init__(self, logs: Path, base_dir: Path, max_active_tasks: int) -> None:
        self._logs, self._base_dir, self._max_active_tasks = logs, base_dir, max_active_tasks

    def directory(self, pipeline: str, run_id: str) -> Path:
        """Where the logs of one run are."""
        return self._logs / pipeline / run_id

    def _lock(self, pipeline: str, run_id: str) -> Path:
        return self.directory(pipeline, run_id) / ".runner.lock"

    def lost(self, row: Mapping[str, Any]) -> str | None:
        """Why nobody can say how an open run is doing; None for one that is alive or ended."""
        if row["ended_at"] is not None:
            return None
        held = local_lock.is_held(self._lock(row["pipeline"], row["run_id"]))
        if held is None and row["host"] != socket.gethostname():
            return clean(f"{row['state']} on {row['host']}, not seen from here")
        return None if held else "runner lost"

    def trigger(
        self, history: "History", dag: DagConfig, run_id: str, params: str, trigger: str, logical_at: float
    ) -> None:
        """As `LocalPipelines.trigger`; `params` are JSON, `logical_at` in seconds since the epoch."""
        from backends.pipelines.local.history import NewRun

        spec = RunSpec(
            tasks=in_order(dag.tasks),
            params=dag.params,
            env=dag.variables,
            max_active_tasks=self._max_active_tasks,
            directory=str(self._base_dir),
        )
        new = NewRun(
            pipeline=dag.name,
            run_id=run_id,
            trigger=trigger,
            logical_at=logical_at,
            params=params,
            spec=msgspec.json.encode(spec, enc_hook=encode_hook).decode(),
            tasks=tuple((task.name, task.depends_on) for task in spec.tasks),
            host=socket.gethostname(),
        )
        if _is_the_same(history.find(dag.name, run_id), params):
            return
        lock = self._take_lock(dag.name, run_id)
        try:
            if lock is None or not history.add(new):
                if not _is_the_same(history.find(dag.name, run_id), params):
                    raise BackendError("conflict", f"run {run_id} of {dag.name} is being started by somebody else")
                return
            self._start(history, dag.name, run_id, lock)
        finally:
            if lock is not None:
                os.close(lock)

    def retry(self, history: "History", pipeline: str, run_id: str) -> None:
        """As `LocalPipelines.retry`."""
        row = found_run(history, pipeline, run_id)
        if row["ended_at"] is None and not self.close_if_lost(history, row):
            raise still_running(pipeline, run_id)
        if row["state"] == "success":
            return
        lock = self._take_lock(pipeline, run_id)
        if lock is None:
            raise BackendError("conflict", f"run {run_id} of {pipeline} is being retried by somebody else")
        try:
            if not history.requeue(row["id"], socket.gethostname()):
                raise BackendError("conflict", f"run {run_id} of {pipeline} is being retried by somebody else")
            self._start(history, pipeline, run_id, lock)
        finally:
            os.close(lock)

    def _take_lock(self, pipeline: str, run_id: str) -> int | None:
        path = self._lock(pipeline, run_id)
        try:
            return local_lock.take(path, _LOCK_WAIT_S)
        except OSError as error:
            kind: ErrorKind = "auth" if isinstance(error, PermissionError) else "unreachable"
            text = clean(f"logs of {pipeline}: {path.parent}: {error.strerror}")
            raise BackendError(kind, text, fix="check who may write there") from None

    def _start(self, history: "History", pipeline: str, run_id: str, lock: int) -> None:
        """Start the process of a queued run, handing it the held lock."""
        from backends.pipelines.local.run import HISTORY_URL

        directory = str(self.directory(pipeline, run_id).absolute())
        command = [sys.executable, "-P", "-m", "backends.pipelines.local.run", pipeline, run_id, directory, str(lock)]
        try:
            subprocess.run(
                command,
                cwd=self._base_dir,
                env=handed_on() | {HISTORY_URL: history.url},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(lock,),
                start_new_session=True,
                check=True,
                timeout=_START_TIMEOUT_S,
            )
        except (OSError, subprocess.SubprocessError) as error:
            why = clean(f"the process of the run did not start: {error}")
            history.end_run(found_run(history, pipeline, run_id)["id"], "failed", why)
            raise BackendError("unreachable", f"{pipeline}: {why}", fix=f"look at {directory}/.runner.log") from None

    def close_if_lost(self, history: "History", row: Mapping[str, Any]) -> bool:
        """Close an open run that has no process any more; False where it has one, or where that cannot be seen."""
        if self.lost(row) != "runner lost":
            return False
        lock = self._take_lock(row["pipeline"], row["run_id"])
        if lock is None:
            return False
        try:
            from backends.pipelines.local.task import mark_of

            directory = self.directory(row["pipeline"], row["run_id"])
            for task in history.tasks_of(row["id"]):
                if task["state"] == "running":
                    processes.kill_marked(mark_of(directory / f"{task['task']}.{task['try_number']}.log"))
            history.end_run(row["id"], "cancelled", "runner lost")
        finally:
            os.close(lock)
        return True


def still_running(pipeline: str, run_id: str) -> BackendError:
    """Why an open run can not be retried."""
    return BackendError("conflict", f"run {run_id} of {pipeline} is running", fix="cancel it first, or wait")


def found_run(history: "History", pipeline: str, run_id: str) -> Mapping[str, Any]:
    """The row of a run. Raises `not_found`."""
    row = history.find(pipeline, run_id)
    if row is None:
        raise BackendError("not_found", clean(f"no run {run_id} of {pipeline}"), fix="see `teal run list`")
    return row


def _is_the_same(row: Mapping[str, Any] | None, params: str) -> bool:
    """Whether a run is there already; `conflict` where it has other params."""
    if row is None:
        return False
    if row["params"] != params:
        raise BackendError(
            "conflict", f"run {row['run_id']} of {row['pipeline']} exists with other params", fix="use another run id"
        )
    return True
