"""Airflow's answers, v1 and v2, as Structs. A field that only one of the two has is optional; words that a later
version adds are `unknown`.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct, field

from backends.models import RunState, run_states
from backends.text import clean
from backends.times import parse_time

CANCELLED = "cancelled by teal at "
_CANCELLED = re.compile(re.escape(CANCELLED) + r"(\S+)")
_CANCEL_TAKES = timedelta(seconds=60)

RUN_STATES: dict[str, RunState] = {
    "queued": "queued", "running": "running", "success": "success", "failed": "failed",
    "restarting": "running", "shutdown": "cancelled",
}  # fmt: skip
TASK_STATES: dict[str, RunState] = {
    "": "queued", "none": "queued", "no_status": "queued", "scheduled": "queued", "queued": "queued",
    "running": "running", "restarting": "running", "up_for_retry": "running", "up_for_reschedule": "running",
    "deferred": "running", "sensing": "running", "awaiting_input": "waiting",
    "success": "success", "failed": "failed", "upstream_failed": "failed", "shutdown": "cancelled",
    "skipped": "skipped", "removed": "cancelled",
}  # fmt: skip
ENDED = frozenset({"success", "failed", "cancelled", "skipped"})
STUCK = frozenset({"scheduled", "queued"})


class DagVersion(Struct, frozen=True):
    """One version of a DAG's code (3.x). `bundle_version` is a git commit, where the bundle has one."""

    version_number: int
    created_at: str = ""
    bundle_version: str | None = None


class DagRun(Struct, frozen=True):
    """A run. Times stay text: v2 has none where the run did not begin, and v1 writes an offset."""

    dag_id: str
    dag_run_id: str
    state: str | None = None
    run_type: str | None = None
    logical_date: str | None = None
    execution_date: str | None = None
    queued_at: str | None = None
    run_after: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    conf: dict[str, Any] | None = None
    note: str | None = None
    triggering_user_name: str | None = None
    dag_versions: tuple[DagVersion, ...] = ()

    @property
    def began(self) -> datetime | None:
        """When it started, else since when it waits."""
        return parse_time(self.start_date) or parse_time(self.queued_at) or parse_time(self.run_after)

    @property
    def span(self) -> tuple[datetime | None, datetime | None]:
        """When it began and when it ended."""
        return self.began, parse_time(self.end_date)

    @property
    def duration_s(self) -> float | None:
        """From start to end; None while it runs."""
        start, end = parse_time(self.start_date), parse_time(self.end_date)
        return max(0.0, (end - start).total_seconds()) if start is not None and end is not None else None

    @property
    def mapped(self) -> RunState:
        """Airflow has no word for a cancelled run: it is a failed one whose note says that we cancelled it then. One
        that ended later ran again, and failed by itself."""
        if "(no " in (self.dag_id[:4], self.dag_run_id[:4]):  # of `records`
            return "unknown"
        state = run_states(RUN_STATES, self.state or "")
        marks = _CANCELLED.findall(self.note or "")
        if state != "failed" or not marks:
            return state
        cancelled, ended = parse_time(marks[-1]), parse_time(self.end_date)
        if cancelled is None or ended is None:
            return state
        return "cancelled" if ended <= cancelled + _CANCEL_TAKES else state

    @property
    def version(self) -> DagVersion | None:
        """The newest version of the code that ran in it."""
        return max(self.dag_versions, key=lambda each: each.version_number, default=None)


class DagRuns(Struct, frozen=True):
    """A page of runs; v2 with a cursor counts only so far."""

    dag_runs: tuple[DagRun, ...]
    total_entries: int | None = None


class TaskInstance(Struct, frozen=True):
    """A try of a task in a run; the last one. `map_index` is -1 for one that is not mapped."""

    task_id: str
    state: str | None = None
    map_index: int = -1
    try_number: int | None = 0
    start_date: str | None = None
    end_date: str | None = None
    duration: float | None = None
    pool: str | None = None
    dag_run_id: str = ""

    @property
    def name(self) -> str:
        """`load`, or `load[3]` of a mapped one."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def mapped(self) -> RunState:
        """Its state in our words."""
        return run_states(TASK_STATES, self.state or "")


class TaskInstances(Struct, frozen=True):
    """A page of them."""

    task_instances: tuple[TaskInstance, ...]
    total_entries: int | None = None


class Task(Struct, frozen=True):
    """A task of a DAG and what comes after it."""

    task_id: str
    downstream_task_ids: tuple[str, ...] = ()


class Tasks(Struct, frozen=True):
    """All tasks of a DAG."""

    tasks: tuple[Task, ...]


class Dag(Struct, frozen=True):
    """A DAG, in the list and in full. `schedule_interval` of v1: `{"__type": "CronExpression", "value": "@hourly"}`."""

    dag_id: str
    is_paused: bool | None = False
    timetable_summary: str | None = None
    timetable_description: str | None = None
    schedule_interval: Any = None
    has_import_errors: bool | None = False
    max_active_runs: int | None = None
    params: dict[str, Any] | None = None

    @property
    def schedule(self) -> str:
        """In the words of its author."""
        interval = self.schedule_interval
        if isinstance(interval, Mapping):
            interval = interval.get("value")
        return clean(str(self.timetable_summary or interval or self.timetable_description or ""), 80)


class Dags(Struct, frozen=True):
    """A page of DAGs."""

    dags: tuple[Dag, ...]
    total_entries: int | None = None


class Pool(Struct, frozen=True):
    """Slots that tasks share. `slots` of -1: no limit."""

    name: str
    slots: int = 0
    open_slots: float = 0


class Pools(Struct, frozen=True):
    """All pools."""

    pools: tuple[Pool, ...]


class BrokenFile(Struct, frozen=True):
    """A file of DAGs that does not load."""

    filename: str | None = None
    stack_trace: str | None = None
    timestamp: str | None = None

    @property
    def words(self) -> str:
        """The file and the last line of its traceback."""
        last = [line for line in (self.stack_trace or "").splitlines() if line.strip()]
        return clean(
            f"{(self.filename or '?').rpartition('/')[2]}: {last[-1].strip() if last else 'does not load'}", 200
        )


class ImportErrors(Struct, frozen=True):
    """Newest first."""

    import_errors: tuple[BrokenFile, ...]
    total_entries: int | None = None


class Approvable(Struct, frozen=True):
    """A task that asks a person (3.1 and newer)."""

    options: tuple[str, ...]
    task_instance: TaskInstance
    subject: str = ""
    created_at: str | None = None
    response_received: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    assigned_users: tuple[dict[str, Any], ...] = ()

    @property
    def yes(self) -> str | None:
        """The option that approves; None where none of them plainly does."""
        return next((option for option in self.options if option.casefold() in ("approve", "ok", "yes")), None)


class Approvables(Struct, frozen=True):
    """A page of them."""

    hitl_details: tuple[Approvable, ...]


class Component(Struct, frozen=True):
    """One component: `status` is null where it is not deployed."""

    status: str | None = None
    latest_scheduler_heartbeat: str | None = None
    latest_triggerer_heartbeat: str | None = None
    latest_dag_processor_heartbeat: str | None = None

    @property
    def heartbeat(self) -> datetime | None:
        """The last one that the server knows."""
        return parse_time(
            self.latest_scheduler_heartbeat or self.latest_triggerer_heartbeat or self.latest_dag_processor_heartbeat
        )


class ServerHealth(Struct, frozen=True):
    """What the server says of its parts, always with HTTP 200."""

    metadatabase: Component
    scheduler: Component
    triggerer: Component | None = None
    dag_processor: Component | None = None
