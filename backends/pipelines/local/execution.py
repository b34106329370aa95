"""Executing one run: tasks in topological order, some at once, with retries, timeouts and cancellation."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from backends.environment import command_environment
from backends.errors import BackendError
from backends.json_text import decode_text
from backends.models import RunState
from backends.pipelines.local.dag import RunSpec, TaskConfig
from backends.pipelines.local.history import History
from backends.pipelines.local.task import TaskProcess
from backends.redaction import quoted
from backends.settings import Secret, decode_hook

POLL_S = 0.1
CANCEL_POLL_S = 0.2
_WRITE_TRIES = 5


class _Node:
    """A task within the run: where it stands."""

    def __init__(self, task: TaskConfig, state: RunState, try_number: int) -> None:
        self.task = task
        self.state: RunState = state
        self.first_try = try_number + 1
        self.try_number = try_number
        self.not_before = 0.0
        self.process: TaskProcess | None = None


class Execution:
    """One run, from queued to its end. Its tasks inherit what the commands of a config do, and what its `env` says."""

    def __init__(self, history: History, pipeline: str, run_id: str, directory: Path) -> None:
        """Raises BackendError where the run is not in the history, or cannot be read."""
        row = history.find(pipeline, run_id)
        if row is None:
            raise BackendError("not_found", f"no run {run_id} of {pipeline}")
        self._history, self._directory = history, directory
        self._run: int = row["id"]
        try:
            self._spec = decode_text(row["spec"], RunSpec, hook=decode_hook)
            own = decode_text(row["params"], dict[str, Any])
        except (msgspec.DecodeError, TypeError) as error:
            words = f"run {run_id} of {pipeline}: its row is not what this program writes: {quoted(str(error))}"
            raise BackendError("malformed", words, fix="trigger it anew") from None
        known = {task["task"]: task for task in history.tasks_of(self._run)}
        self._nodes = {
            task.name: _Node(task, known[task.name]["state"], known[task.name]["try_number"])
            for task in self._spec.tasks
        }
        params = self._spec.params | own
        words_of = _environment(pipeline, run_id, row["logical_at"], params)
        self._environment = command_environment() | _valued(self._spec.env) | words_of
        self._wake = threading.Event()
        self._cancelled = False
        self._next_look = 0.0
        self._error: str | None = None

    def run(self) -> RunState:
        """Execute the tasks and write down how it ended. Whatever happens, no task outlives this call."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._persist(lambda: self._history.start_run(self._run))
        try:
            while any(node.state in ("queued", "running") for node in self._nodes.values()):
                self._look_for_cancel()
                self._collect()
                self._start_ready()
                if self._active():
                    self._wake.wait(POLL_S)
                    self._wake.clear()
                elif any(node.not_before > time.monotonic() for node in self._nodes.values()):
                    time.sleep(POLL_S)
        finally:
            for node in self._active():
                assert node.process is not None
                node.process.kill()
        state = self._outcome()
        self._persist(lambda: self._history.end_run(self._run, state, self._error))
        return state

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._cancelled = True
        self._wake.set()

    def _active(self) -> list[_Node]:
        return [node for node in self._nodes.values() if node.process is not None]

    def _look_for_cancel(self) -> None:
        if not self._cancelled and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + CANCEL_POLL_S
            try:
                self._cancelled = self._history.cancel_asked(self._run)
            except BackendError:
                return  # a history that cannot be read for a moment is no reason to stop
        if self._cancelled:
            for node in self._nodes.values():
                if node.process is not None:
                    node.process.stop("cancelled")
                elif node.state == "queued":
                    self._set(node, "cancelled")

    def _start_ready(self) -> None:
        now = time.monotonic()
        for node in self._nodes.values():
            if node.state != "queued" or node.not_before > now or self._cancelled:
                continue
            before = [self._nodes[name] for name in node.task.depends_on]
            if stopped := [other for other in before if other.state in ("failed", "skipped", "cancelled")]:
                self._set(node, "skipped", error=f"upstream {stopped[0].state}: {stopped[0].task.name}")
            elif (
                all(other.state == "success" for other in before) and len(self._active()) < self._spec.max_active_tasks
            ):
                self._start(node)

    def _start(self, node: _Node) -> None:
        node.try_number += 1
        name = node.task.name
        started = {"started_at": time.time(), "ended_at": None, "error": None, "try_number": node.try_number}
        try:
            node.process = TaskProcess(
                node.task,
                self._directory / f"{name}.{node.try_number}.log",
                directory=self._spec.directory,
                env=self._environment | {"TEAL_TASK": name, "TEAL_TRY": str(node.try_number)},
                on_end=self._wake.set,
            )
        except OSError as error:
            self._failed(node, f"cannot start {node.task.command[0]}: {error.strerror}", **started)
            return
        self._set(node, "running", pid=node.process.pid, **started)
        node.process.begin()

    def _collect(self) -> None:
        for node in self._active():
            process = node.process
            assert process is not None
            status = process.poll()
            if status is None:
                continue
            node.process = None
            if process.reason == "cancelled":
                self._set(node, "cancelled", ended_at=time.time(), pid=None)
            elif status == 0 and not process.reason:
                self._set(node, "success", ended_at=time.time(), pid=None)
            else:
                self._failed(node, process.failure(status))

    def _failed(self, node: _Node, why: str, **values: Any) -> None:
        again = node.try_number - node.first_try < node.task.retries and not self._cancelled
        node.not_before = time.monotonic() + node.task.retry_delay if again else 0.0
        if not again:
            self._error = self._error or f"{node.task.name}: {why}"
        self._set(
            node, "queued" if again else "failed", **{**values, "error": why, "ended_at": time.time(), "pid": None}
        )

    def _set(self, node: _Node, state: RunState, **values: Any) -> None:
        node.state = state
        done = sum(other.state in ("success", "failed") for other in self._nodes.values())
        name = node.task.name
        self._persist(lambda: self._history.set_task(self._run, name, tasks_done=done, state=state, **values))

    def _outcome(self) -> RunState:
        states = {node.state for node in self._nodes.values()}
        if "cancelled" in states:
            return "cancelled"
        return "failed" if "failed" in states else "success"

    def _persist(self, write: Callable[[], None]) -> None:
        """A history that is locked or away for some seconds must not cost a run."""
        for left in reversed(range(_WRITE_TRIES)):
            try:
                write()
                return
            except BackendError as error:
                if not left or error.kind != "unreachable":
                    raise
                time.sleep(1)


def _valued(variables: Mapping[str, str | Secret]) -> dict[str, str]:
    """With the values of those that are handed on; what is not set here is not set there."""
    handed = {name: os.environ.get(value.env or "") for name, value in variables.items() if isinstance(value, Secret)}
    values = {name: value for name, value in variables.items() if isinstance(value, str)}
    return values | {name: value for name, value in handed.items() if value is not None}


def _environment(pipeline: str, run_id: str, logical_at: float, params: dict[str, Any]) -> dict[str, str]:
    """What every task of a run is told: `TEAL_PARAMS` is JSON, `TEAL_PARAM_<NAME>` is text, or JSON for all else."""
    named = {
        "TEAL_PARAM_" + re.sub(r"\W", "_", name, flags=re.ASCII).upper(): value
        if isinstance(value, str)
        else json.dumps(value)
        for name, value in params.items()
    }
    return {
        **named,
        "TEAL_PIPELINE": pipeline,
        "TEAL_RUN_ID": run_id,
        "TEAL_LOGICAL_DATE": datetime.fromtimestamp(logical_at, UTC).isoformat(),
        "TEAL_PARAMS": json.dumps(params, sort_keys=True),
    }
