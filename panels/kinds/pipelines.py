"""Pipelines as rows: the newest run of each, what failed in it, how the last ones went."""

import re
from collections.abc import Sequence

from backends.models import PipelineRun, severity_rank
from backends.run_names import run_name as run_name
from panels.columns import Cell, Column, Counted, Kind, Moment, Tone, tone_of
from panels.words import NOTHING, ago, took

HISTORY = 12
_CLASS = r"(?<![\w.])(?:\w+\.)*[A-Z]\w*(?:Error|Exception): (?=\S+ \S+ \S)"
_COUNTED = ("failed", "bad data", "late", "unknown", "cancelled", "waiting", "running", "queued", "ok")


def health(run: PipelineRun) -> str:
    """The word that a run sorts by: its health, or `running` while nothing is wrong with it yet."""
    if run.health == "ok" and run.state in ("running", "queued"):
        return "running"
    return run.health


def reason(run: PipelineRun) -> str:
    """What went wrong, in one line; nothing where all is well."""
    if run.state == "failed":
        return " · ".join(filter(None, (in_words(run.error), run.note))) or "failed; Enter shows its tasks and log"
    if run.state == "unknown":
        return f'state "{run.raw_state}" is not known here' if run.raw_state else "nobody knows its state"
    if run.late:
        return f"late: usually {ago(run.usual_s)}" if run.usual_s is not None else "late"
    if run.state == "waiting":
        return f"waits for an approval{': ' + run.note if run.note else ''}"
    if run.state == "success" and run.data in ("critical", "warning"):
        return f"it ended well, and wrote bad data: {run.data_reason or 'Enter shows it'}"
    return run.error or (run.note if run.state in ("queued", "running") else "")


def in_words(error: str | None) -> str:
    """An error without the name of its class, where a sentence follows."""
    return re.sub(_CLASS, "", error) if error else ""


def _symbol(run: PipelineRun, moment: Moment) -> Cell:
    return Cell(moment.symbols.of(sign(run)), tone(run))


def sign(run: PipelineRun) -> str:
    """The word of its symbol: of a run that ended well over bad data, how bad that is."""
    if run.state == "success" and run.health != "ok":
        return run.health
    return "late" if run.late and run.state != "failed" else run.state


def state_words(run: PipelineRun) -> str:
    """Its state in a word; of one that ended well over bad data, that."""
    return "bad data" if run.state == "success" and run.data in ("critical", "warning") else run.state


def last_words(run: PipelineRun, most: int = HISTORY) -> list[str]:
    """The words of the symbols of the pipeline's last runs, newest last: that of the newest is its own, too."""
    states: list[str] = [*(run.history[-most:] or (run.state,))]
    return [*states[:-1], sign(run)] if states[-1] == run.state == "success" else states


def tone(run: PipelineRun) -> Tone:
    """The hue of a run: none where it is fine."""
    return tone_of(health(run), ("critical", "warning", "unknown", "running"), "")


def _name(run: PipelineRun, _: Moment) -> Cell:
    return Cell(run.pipeline, "strong" if run.health == "critical" else "")


def _history(run: PipelineRun, moment: Moment) -> Cell:
    return Cell("".join(moment.symbols.of(word) for word in last_words(run)), "muted")


def _ago(run: PipelineRun, moment: Moment) -> Cell:
    return Cell(ago(moment.since(run.ended_at or run.started_at)), "muted")


def _took(run: PipelineRun, moment: Moment) -> Cell:
    if run.ended_at is None and run.tasks_done is not None and run.tasks_total:
        return Cell(f"{run.tasks_done} of {run.tasks_total}")
    seconds = run.duration_s if run.ended_at is not None else moment.since(run.started_at)
    return Cell(took(seconds))


def counted(run: PipelineRun) -> tuple[Counted, ...]:
    """`failed`, `late`, `running` …; `ok` for what ended well."""
    if run.late and run.state not in ("failed", "unknown"):
        return (("late", "warning"),)
    if run.state == "success" and run.health != "ok":
        return (("bad data", tone(run)),)
    return (("ok" if run.state in ("success", "skipped") else run.state, tone(run)),)


def _several_backends(runs: Sequence[PipelineRun]) -> bool:
    return len({run.backend for run in runs}) > 1


PIPELINES: Kind[PipelineRun] = Kind(
    name="pipelines",
    columns=(
        Column(title="", cell=_symbol, max_width=1),
        Column(title="PIPELINE", cell=_name, min_width=22, max_width=60, flex=True),
        Column(
            title="SOURCE",
            cell=lambda run, _: Cell(run.backend, "muted"),
            max_width=12,
            priority=5,
            when=_several_backends,
        ),
        Column(
            title="RUN",
            cell=lambda run, moment: Cell(run_name(run.run_id, moment.zone), "muted"),
            max_width=18,
            priority=2,
        ),
        Column(
            title="STATE", cell=lambda run, _: Cell(run.raw_state or run.state, tone(run)), max_width=12, priority=8
        ),
        Column(title="TRIGGER", cell=lambda run, _: Cell(run.trigger or NOTHING, "muted"), max_width=12, priority=7),
        Column(
            title="USUAL", cell=lambda run, _: Cell(took(run.usual_s), "muted"), max_width=7, align="right", priority=6
        ),
        Column(title="LAST 12", cell=_history, min_width=7, max_width=HISTORY, flex=True, tail=True, priority=3),
        Column(title="AGO", cell=_ago, min_width=4, max_width=4, align="right", priority=1),
        Column(title="TOOK", cell=_took, min_width=7, max_width=8, align="right"),
    ),
    key=lambda run: run.ref,
    health=health,
    sort_key=lambda run: (
        severity_rank(health(run)),
        -(run.started_at.timestamp() if run.started_at else 0.0),
        run.pipeline,
    ),
    counted=counted,
    count_order=_COUNTED,
    reason=reason,
    text=lambda run: f"{run.pipeline} {run.run_id} {run.state} {run.backend} {run.error or ''}",
    fields=lambda run: {
        "state": run.state,
        "pipeline": run.pipeline,
        "source": run.backend,
        "backend": run.backend,
        "run": run.run_id,
        "trigger": run.trigger,
    },
    empty="No runs yet",
)
