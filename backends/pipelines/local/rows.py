"""From rows of the history to models."""

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from backends.json_text import decode_text
from backends.models import PipelineRun, RunState, TaskRun, run_states
from backends.pipelines.baseline import Baseline
from backends.ports import RunInputs
from backends.text import clean

_STATES: dict[str, RunState] = {
    "queued": "queued",
    "running": "running",
    "success": "success",
    "failed": "failed",
    "cancelled": "cancelled",
    "skipped": "skipped",
}


def run_state(row: Mapping[str, Any], lost: str | None) -> RunState:
    """The state of a run, where `lost` says why that of an open one cannot be known."""
    return "unknown" if lost else run_states(_STATES, str(row["state"]))


def pipeline_run(
    row: Mapping[str, Any],
    backend: str,
    history: tuple[RunState, ...],
    baseline: Baseline,
    lost: str | None,
    now: float,
) -> PipelineRun:
    """One row as a run; `lost` as in `run_state`, `now` in seconds since the epoch."""
    duration, started = number(row["duration_s"]), number(row["started_at"])
    if duration is None and started is not None and row["ended_at"] is None:
        duration = max(0.0, now - started)
    return PipelineRun(
        ref=f"{backend}/{row['pipeline']}/{row['run_id']}",
        backend=backend,
        pipeline=clean(str(row["pipeline"])),
        run_id=clean(str(row["run_id"])),
        state=run_state(row, lost),
        raw_state=lost or clean(str(row["state"])),
        trigger=clean(str(row["trigger"])),
        logical_date=_at(row["logical_at"]),
        started_at=_at(row["started_at"]),
        ended_at=_at(row["ended_at"]),
        duration_s=duration,
        usual_s=baseline.usual_s,
        late=baseline.is_late(duration),
        tasks_done=row["tasks_done"],
        tasks_total=row["tasks_total"],
        history=history,
        error=clean(str(row["error"])) if row["error"] else lost,
    )


def inputs_of(row: Mapping[str, Any]) -> RunInputs:
    """What a run was made with: `spec` is the DAG as it was, without its params, which are told by themselves."""
    spec, given = _object(row["spec"]), _object(row["params"])
    usual = spec.pop("params", {})
    params = {**(usual if isinstance(usual, dict) else {}), **given}
    return RunInputs(params=params, code=f"definition {digest(spec)}")


def _object(text: Any) -> dict[str, Any]:
    try:
        found = decode_text(str(text), Any)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def digest(value: Any) -> str:
    """Seven digits by which one definition is told from another."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:7]


def task_run(row: Mapping[str, Any], lost: str | None) -> TaskRun:
    """One row as a task; what a lost run was doing is unknown."""
    started, ended = number(row["started_at"]), number(row["ended_at"])
    is_lost = lost is not None and row["state"] in ("queued", "running")
    return TaskRun(
        task=clean(str(row["task"])),
        state=run_state(row, lost if is_lost else None),
        try_number=row["try_number"],
        started_at=_at(started),
        ended_at=_at(ended),
        duration_s=ended - started if started is not None and ended is not None else None,
        depends_on=_names(row["depends_on"]),
        error=lost if is_lost else (clean(str(row["error"])) if row["error"] else None),
    )


def number(value: Any) -> float | None:
    """A number of a row; None for what a hand wrote there instead: SQLite keeps it as it is."""
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if is_one else None


def _names(value: Any) -> tuple[str, ...]:
    try:
        found: Any = decode_text(value, object)
    except (TypeError, msgspec.DecodeError):
        return ()
    return tuple(clean(name) for name in found if isinstance(name, str)) if isinstance(found, list) else ()


def _at(value: Any) -> datetime | None:
    seconds = number(value)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
