"""From Airflow's answers to models: runs with history and usual durations, tasks in order, typed params."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from typing import Any
from urllib.parse import quote

from backends.identifiers import identifier
from backends.models import PipelineRun, RunState, TaskRun
from backends.pipelines.airflow.wire import DagRun, Task, TaskInstance
from backends.pipelines.baseline import Baseline
from backends.pipelines.params import fits
from backends.ports import ParamType, PipelineParam
from backends.redaction import STARS, redact_url
from backends.text import clean
from backends.times import parse_time

HISTORY_LENGTH = 12


def models_of(runs: Sequence[DagRun], backend: str, base: str, now: datetime) -> dict[str, list[PipelineRun]]:
    """`runs` (newest first, of any DAGs) as models by DAG, with the history and the usual duration of its DAG."""
    by_dag: dict[str, list[DagRun]] = {}
    for run in runs:
        by_dag.setdefault(run.dag_id, []).append(run)
    return {dag: _of_dag(group, backend, base, now) for dag, group in by_dag.items()}


def _of_dag(group: list[DagRun], backend: str, base: str, now: datetime) -> list[PipelineRun]:
    history = tuple(run.mapped for run in reversed(group[:HISTORY_LENGTH]))
    good = [run for run in group if run.mapped == "success"]
    everything = Baseline.of(run.duration_s for run in good)
    found = []
    for run in group:
        usual = Baseline.of(each.duration_s for each in good if each is not run) if run in good[:21] else everything
        found.append(_model(run, backend, base, history, usual, now))
    return found


def _model(
    run: DagRun, backend: str, base: str, history: tuple[RunState, ...], usual: Baseline, now: datetime
) -> PipelineRun:
    started, ended = parse_time(run.start_date), parse_time(run.end_date)
    duration = run.duration_s
    if duration is None and started is not None:
        duration = max(0.0, (now - started).total_seconds())
    by = f"{run.run_type or ''} by {run.triggering_user_name}" if run.triggering_user_name else run.run_type or ""
    return PipelineRun(
        ref=f"{backend}/{identifier(run.dag_id)}/{identifier(run.dag_run_id)}",
        backend=backend,
        pipeline=identifier(run.dag_id),
        run_id=identifier(run.dag_run_id),
        state=run.mapped,
        raw_state=clean(run.state or "none", 40),
        trigger=clean(by, 80),
        logical_date=parse_time(run.logical_date or run.execution_date),
        started_at=started,
        ended_at=ended,
        duration_s=duration,
        usual_s=usual.usual_s,
        late=usual.is_late(duration),
        history=history,
        url=_url(run, base),
    )


def _url(run: DagRun, base: str) -> str:
    dag, run_id = quote(run.dag_id, safe=""), quote(run.dag_run_id, safe="")
    path = f"/dags/{dag}/runs/{run_id}" if run.run_after else f"/dags/{dag}/grid?dag_run_id={run_id}"
    shown = redact_url(base)
    return "" if STARS in shown else shown + path  # nobody gets there without what a reference hides


def changed_code(runs: Iterable[DagRun], bad: DagRun) -> str:
    """That the DAG's code changed between the last good run before `bad` and `bad`; empty where not, or unknown."""
    earlier = [run for run in runs if run.began and bad.began and run.began < bad.began and run.mapped == "success"]
    good = max(earlier, key=lambda run: run.began or datetime.min.replace(tzinfo=UTC), default=None)
    if good is None or good.version is None or bad.version is None:
        return ""
    was, now = good.version, bad.version
    if was.version_number == now.version_number:
        return ""
    commit = f" ({clean(now.bundle_version, 12)})" if now.bundle_version else ""
    return f"its code changed since the last good run: version {was.version_number} → {now.version_number}{commit}"


def version_words(run: DagRun) -> str:
    """`version 4 (3f2c1a9)` of the code that ran; empty where Airflow keeps none."""
    if run.version is None:
        return ""
    commit = f" ({clean(run.version.bundle_version, 12)})" if run.version.bundle_version else ""
    return f"version {run.version.version_number}{commit}"


def tasks_of(instances: Sequence[TaskInstance], tasks: Sequence[Task], unread: int = 0) -> list[TaskRun]:
    """The tasks of a run in an order that respects their dependencies; mapped ones beside each other. `unread`: so many
    more there are, of which nobody knows here."""
    above: dict[str, list[str]] = {}
    for task in tasks:
        for below in task.downstream_task_ids:
            above.setdefault(below, []).append(task.task_id)
    by_task: dict[str, list[TaskInstance]] = {}
    for each in sorted(instances, key=lambda each: each.map_index):
        by_task.setdefault(each.task_id, []).append(each)
    order = _ordered(by_task, above)
    found = [
        _task(each, tuple(identifier(name) for name in sorted(above.get(task, ())) if name in by_task))
        for task in order
        for each in by_task[task]
    ]
    if unread:
        found.append(TaskRun(task=f"and {unread} more", state="unknown", error="not read"))
    return found


def _ordered(known: Mapping[str, Any], above: Mapping[str, list[str]]) -> list[str]:
    """By dependency; those that are not bound stay in the order of their start, which a set would lose."""
    started = sorted(known, key=lambda task: min((each.start_date or "~") for each in known[task]))
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for task in started:
        sorter.add(task, *(name for name in above.get(task, ()) if name in known))
    try:
        sorter.prepare()
    except CycleError:  # no DAG of theirs has one; a hostile answer may
        return started
    rank = {task: number for number, task in enumerate(started)}
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=rank.__getitem__)
        order += ready
        sorter.done(*ready)
    return order


def _task(each: TaskInstance, depends_on: tuple[str, ...]) -> TaskRun:
    state = each.mapped
    error = None
    if state == "unknown":
        error = f'state "{clean(each.state or "", 40)}" is not known here'
    elif each.state == "upstream_failed":
        state, error = "skipped", "upstream failed"
    elif each.state in ("up_for_retry", "up_for_reschedule", "deferred"):
        error = each.state.replace("_", " ")
    return TaskRun(
        task=identifier(each.name),
        state=state,
        try_number=each.try_number or 0,
        started_at=parse_time(each.start_date),
        ended_at=parse_time(each.end_date),
        duration_s=each.duration,
        depends_on=depends_on,
        error=error,
    )


_PARAM_TYPES: frozenset[str] = frozenset({"string", "integer", "number", "boolean", "array", "object"})
_OF_VALUE: dict[type, ParamType] = {
    str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object",
}  # fmt: skip
_TOLD_APART = frozenset({"type", "enum", "title", "description", "description_md", "default", "examples"})
_COMBINED = frozenset({"anyOf", "oneOf", "allOf", "const", "$ref"})


def params_of(params: Mapping[str, Any] | None) -> tuple[PipelineParam, ...]:
    """The params of a DAG: `{"value": …, "schema": {…}, "description": …}` each, or in old versions the bare value."""
    return tuple(_param(name, told) for name, told in (params or {}).items())


def _param(name: str, told: Any) -> PipelineParam:
    if not isinstance(told, Mapping) or "value" not in told:
        return PipelineParam(name=identifier(name), default=told, type=_OF_VALUE.get(type(told), "any"))
    schema = told.get("schema")
    schema = schema if isinstance(schema, dict) else {}
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else [each for each in kinds or () if isinstance(each, str)]
    named = [each for each in kinds if each in _PARAM_TYPES]
    value, choices = told["value"], schema.get("enum")
    choices = choices if isinstance(choices, list) else []
    nullable = fits(schema, None)
    kind: Any = named[0] if len(named) == 1 else "any"
    if not named and not _COMBINED & schema.keys():
        kind = _OF_VALUE.get(type(value), "any")
    several = {"type": kinds} if len(named) > 1 else {}
    return PipelineParam(
        name=identifier(name),
        type=kind,
        default=value,
        required=value is None and not nullable,
        nullable=nullable,
        description=clean(str(told.get("description") or schema.get("description") or schema.get("title") or ""), 300),
        choices=tuple(choices),
        schema={**several, **{key: schema[key] for key in schema if key not in _TOLD_APART}},
    )
