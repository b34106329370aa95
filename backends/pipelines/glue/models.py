"""From Glue's answers to models."""

from datetime import UTC, datetime
from urllib.parse import quote

from backends.aws.web_console import console_of
from backends.identifiers import identifier
from backends.models import PipelineRun, TaskRun
from backends.pipelines.glue.wire import JobRun, Run
from backends.pipelines.groups import Group
from backends.text import clean


def model_of(job: str, run: Run, group: Group[Run], backend: str, region: str) -> PipelineRun:
    """A run; `group`: those of its job."""
    last, name, usual = run.last, identifier(job), group.usual(run)
    duration = _lasted(run)
    return PipelineRun(
        ref=f"{backend}/{name}/{identifier(run.run_id)}",
        backend=backend,
        pipeline=name,
        run_id=identifier(run.run_id),
        state=last.state,
        raw_state=clean(last.job_run_state, 40),
        trigger=clean(last.trigger_name, 80),
        started_at=last.began,
        ended_at=last.ended,
        duration_s=duration,
        usual_s=usual.usual_s,
        late=usual.is_late(duration),
        history=group.history,
        url=_page(job, last, region),
        error=error_of(job, last),
        note="; ".join(_notes(run)),
    )


def error_of(job: str, attempt: JobRun) -> str | None:
    """What became of it, in its own words, or else in Glue's word for the state."""
    if attempt.state != "failed":
        return None
    return clean(f"{job}: {attempt.error_message or attempt.job_run_state}", 300)


def task_of(job: str, attempt: JobRun, after: tuple[str, ...]) -> TaskRun:
    """A run of a job as a task of another one's run, or of its own."""
    began, ended = attempt.began, attempt.ended
    return TaskRun(
        task=identifier(job),
        state=attempt.state,
        try_number=attempt.attempt + 1,
        started_at=began,
        ended_at=ended,
        duration_s=max(0.0, (ended - began).total_seconds()) if began and ended else None,
        depends_on=after,
        error=error_of(job, attempt),
    )


def _notes(run: Run) -> list[str]:
    last = run.last
    notes = [f"Glue run {clean(last.id, 80)}"] if run.run_id != last.root else []
    if len(run.attempts) > 1 or last.attempt:
        before = ", ".join(clean(each.job_run_state, 20).lower() for each in run.attempts[:-1])
        notes.append(f"attempt {last.attempt + 1}" + (f", before it {before}" if before else ""))
    if last.job_run_state in ("STOPPING", "WAITING"):
        notes.append("is being stopped" if last.job_run_state == "STOPPING" else "waits in the queue of its job")
    if last.state_detail:
        notes.append(clean(last.state_detail, 200))
    if last.dpu_seconds:
        notes.append(f"{last.dpu_seconds:,.0f} DPU s")
    return notes


def _lasted(run: Run) -> float | None:
    began = run.last.began
    return run.lasted_s if began is None or not run.is_open else max(0.0, (datetime.now(UTC) - began).total_seconds())


def _page(job: str, attempt: JobRun, region: str) -> str | None:
    if not region:
        return None
    where = f"{console_of(region)}/gluestudio/home?region={region}"
    return f"{where}#/job/{quote(job, safe='')}/run/{quote(attempt.id, safe='')}"
