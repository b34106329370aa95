"""Airflow's audit log and the versions of its DAGs as events of the timeline."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from backends.identifiers import identifier
from backends.json_text import decode_text
from backends.models import TimelineEvent
from backends.pipelines.airflow.wire import DagRun
from backends.text import clean
from backends.times import parse_time

# What people and programs order. The log also holds each change of a task's state, which the runs show already.
WORDS: dict[str, str] = {
    "trigger_dag_run": "triggered", "post_dag_run": "triggered", "dag_run.create": "triggered", "trigger": "triggered",
    "patch_dag": "changed", "patch_dags": "changed", "paused": "paused or unpaused", "dag.pause": "paused",
    "delete_dag": "deleted", "reparse_dag_file": "parsed anew",
    "post_clear_task_instances": "cleared tasks of", "clear": "cleared tasks of", "clear_dag_run": "cleared",
    "dagrun_clear": "cleared", "post_clear_dag_runs": "cleared",
    "patch_dag_run": "marked", "update_dag_run_state": "marked", "delete_dag_run": "deleted",
    "dagrun_success": "marked successful", "dagrun_failed": "marked failed", "dagrun_queued": "queued",
    "patch_task_instance": "marked a task of", "post_set_task_instances_state": "marked tasks of",
    "success": "marked a task of", "failed": "marked a task of", "bulk_task_instances": "changed tasks of",
    "update_hitl_detail": "answered a task of", "patch_variable": "changed a variable",
    "variable.edit": "changed a variable", "variable.create": "made a variable", "post_variable": "made a variable",
    "delete_variable": "deleted a variable", "patch_connection": "changed a connection",
    "connection.edit": "changed a connection", "post_connection": "made a connection",
    "delete_connection": "deleted a connection", "patch_pool": "changed a pool", "post_pool": "made a pool",
    "delete_pool": "deleted a pool", "create_backfill": "began a backfill of", "cancel_backfill": "ended a backfill of",
}  # fmt: skip
_STATES_OF_TASKS = frozenset({"success", "failed"})


class EventLog(Struct, frozen=True):
    """One line of the audit log. `extra` is JSON of the request as text, or free text."""

    event: str
    when: str
    dag_id: str | None = None
    task_id: str | None = None
    run_id: str | None = None
    owner: str | None = None
    extra: str | None = None


class EventLogs(Struct, frozen=True):
    """A page of them."""

    event_logs: tuple[EventLog, ...]
    total_entries: int | None = None


def event_of(log: EventLog, backend: str) -> TimelineEvent | None:
    """A line of the audit log as an event; None for what is no order of somebody."""
    at = parse_time(log.when)
    event = log.event.removeprefix("api.").removeprefix("ui.")  # 2.x says which door it came by
    word = WORDS.get(event)
    # The scheduler writes the state of a task under the name of its owner, and without a request.
    if at is None or word is None or (event in _STATES_OF_TASKS and not log.extra):
        return None
    asked = _asked(log.extra)
    if asked.get("dry_run") is True or str(asked.get("dry_run")).casefold() == "true":
        return None
    run_id = log.run_id or asked.get("dag_run_id") or asked.get("run_id")
    parts = [backend, identifier(log.dag_id or ""), identifier(str(run_id or ""))]
    who = log.owner or "somebody"
    what = " ".join(filter(None, (log.dag_id, f"#{run_id}" if run_id else "", log.task_id)))
    if event in ("patch_dag", "paused") and "is_paused" in asked:
        word = "paused" if str(asked["is_paused"]).casefold() == "true" else "unpaused"
    to = asked.get("state") or asked.get("new_state")
    tail = f" as {to}" if isinstance(to, str) and word.startswith("marked") else ""
    return TimelineEvent(
        at=at,
        kind=clean(event, 60),
        ref="/".join(part for part in parts if part),
        text=clean(f"{who} {word} {what}".rstrip() + tail, 300),
    )


def _asked(extra: str | None) -> dict[str, Any]:
    try:
        asked = decode_text(extra or "{}", object)
    except msgspec.DecodeError:
        return {}
    return asked if isinstance(asked, dict) else {}


def versions_of(runs: Iterable[DagRun], backend: str) -> list[TimelineEvent]:
    """When the code of a DAG changed, from the versions that its runs name. The first one is no change."""
    found: dict[tuple[str, int], TimelineEvent] = {}
    for run in runs:
        for version in run.dag_versions:
            at = parse_time(version.created_at)
            if at is None or version.version_number < 2:
                continue
            commit = f", {clean(version.bundle_version, 12)}" if version.bundle_version else ""
            dag = identifier(run.dag_id)
            found[run.dag_id, version.version_number] = TimelineEvent(
                at=at,
                kind="dag_version",
                ref=f"{backend}/{dag}",
                text=f"{dag} has new code: version {version.version_number}{commit}",
            )
    return list(found.values())


def within(events: Iterable[TimelineEvent], since: datetime, until: datetime) -> list[TimelineEvent]:
    """Those from `since` up to `until`, oldest first."""
    return sorted((event for event in events if since <= event.at <= until), key=lambda event: (event.at, event.ref))
