"""From GitHub's answers to models: runs with history and usual durations, jobs and steps as tasks, log lines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from backends.errors import BackendError
from backends.logs.lines import parse_line
from backends.models import LogEntry, LogLevel, PipelineRun, RunState, TaskRun
from backends.pipelines.baseline import Baseline
from backends.pipelines.github.wire import Job, Run, Step, state_of
from backends.text import clean, link
from backends.times import parse_time

HISTORY_LENGTH = 12
_MARKS: dict[str, LogLevel] = {
    "##[error]": "error", "##[warning]": "warning", "##[notice]": "info", "##[debug]": "debug", "##[group]": "info",
    "##[command]": "info", "##[section]": "info",
}  # fmt: skip


def model_of(run: Run, group: Sequence[Run], backend: str, pipeline: str, run_id: str, now: datetime) -> PipelineRun:
    """A run; `group`: those of its workflow, newest first."""
    good = [each for each in group if each.state == "success"]
    usual = Baseline.of(_duration(each, now) for each in good if each.id != run.id)
    duration = _duration(run, now)
    words = [f"GitHub run {run.id}"] if run_id != str(run.id) else []
    words += [f"attempt {run.run_attempt}"] if run.run_attempt > 1 else []
    return PipelineRun(
        ref=f"{backend}/{pipeline}/{run_id}",
        backend=backend,
        pipeline=pipeline,
        run_id=run_id,
        state=run.state,
        raw_state=clean((run.conclusion if run.is_ended else run.status) or "none", 40),
        trigger=clean(f"{run.event} by {run.who}" if run.who else run.event, 80),
        started_at=run.began,
        ended_at=run.ended,
        duration_s=duration,
        usual_s=usual.usual_s,
        late=usual.is_late(duration),
        history=history_of(group),
        url=link(run.html_url, 300),
        note="; ".join(words),
    )


def history_of(group: Sequence[Run]) -> tuple[RunState, ...]:
    """The last states of a workflow, newest last."""
    return tuple(each.state for each in reversed(group[:HISTORY_LENGTH]))


def _duration(run: Run, now: datetime) -> float | None:
    if run.began is None:
        return None
    return max(0.0, ((run.ended or now) - run.began).total_seconds())


def with_jobs(model: PipelineRun, jobs: Sequence[Job]) -> PipelineRun:
    """How many of its jobs are done, and which failed first."""
    failed = next((job for job in jobs if job.state == "failed"), None)
    error = clean(f"{labels(jobs)[failed.id]}: {failed.failed_step}", 300) if failed is not None else None
    done = sum(job.is_ended for job in jobs)
    return replace(model, tasks_done=done, tasks_total=len(jobs), error=error)


def tasks_of(jobs: Sequence[Job], needs: Mapping[str, tuple[str, ...]]) -> list[TaskRun]:
    """Each job after those that it needs, followed by its steps."""
    found: list[TaskRun] = []
    shown = labels(jobs)
    for job in ordered(jobs, needs):
        label = shown[job.id]
        above = tuple(shown[each.id] for each in jobs if _is_one_of(each.name, needs_of(job.name, needs)))
        found.append(_task(label, job, job.run_attempt, above, error=_error(job)))
        found += [
            _task(clean(f"{label} / {step.name}", 250), step, job.run_attempt, (label,))
            for step in sorted(job.steps, key=lambda step: step.number)
        ]
    return found


def labels(jobs: Sequence[Job]) -> dict[int, str]:
    """What each job is called here, by its number: its name, and where several have it `name #number`."""
    count = Counter(clean(job.name, 250) for job in jobs)
    return {
        job.id: f"{name} #{job.id}" if count[name := clean(job.name, 250)] > 1 else name for job in jobs
    }  # fmt: skip


def job_of(task: str, jobs: Sequence[Job]) -> Job | None:
    """The job that `task` names: by what it is called, else the one that has the step `job / step`.

    Raises BackendError(not_found) where it could be several.
    """
    shown = labels(jobs)
    found = [job for job in jobs if task == shown[job.id]]
    found = found or [job for job in jobs if task in (job.name, clean(job.name, 250))]
    found = found or [job for job in jobs if task in _steps(job, shown[job.id])]
    if len(found) > 1:
        names = ", ".join(shown[job.id] for job in found)
        raise BackendError("not_found", clean(f"{task} is one of several jobs"), fix=f"name one of {clean(names, 300)}")
    return found[0] if found else None


def _steps(job: Job, label: str) -> set[str]:
    return {clean(f"{name} / {step.name}", 250) for step in job.steps for name in (label, job.name)}


def ordered(jobs: Sequence[Job], needs: Mapping[str, tuple[str, ...]]) -> list[Job]:
    """By need, else as they started. Jobs that need each other come last: a hostile file may say so."""
    rest = sorted(jobs, key=lambda job: (job.started_at or "~", job.id))
    found: list[Job] = []
    while rest:
        waiting = {job.name for job in rest}
        ready = [job for job in rest if not any(_is_one_of(name, needs_of(job.name, needs)) for name in waiting)]
        found += ready or rest
        rest = [job for job in rest if job not in ready] if ready else []
    return found


def below(failed: set[str], jobs: Sequence[Job], needs: Mapping[str, tuple[str, ...]]) -> set[str]:
    """`failed`, and the jobs that need one of them."""
    found = set(failed)
    for job in ordered(jobs, needs):
        if any(_is_one_of(name, needs_of(job.name, needs)) for name in found):
            found.add(job.name)
    return found


def needs_of(name: str, needs: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What a job needs: one of a matrix is called `build (3.11)`, one of a called workflow `deploy / apply`."""
    base = next((key for key in needs if _is_one_of(name, (key,))), None)
    return needs[base] if base is not None else ()


def _is_one_of(name: str, wanted: Sequence[str]) -> bool:
    return any(name == each or name.startswith((f"{each} (", f"{each} / ")) for each in wanted)


def _error(job: Job) -> str | None:
    if job.state == "failed":
        return clean(job.failed_step, 200)
    return f'"{clean(job.conclusion or job.status or "", 40)}" is not known here' if job.state == "unknown" else None


def _task(name: str, each: Job | Step, attempt: int, above: tuple[str, ...], error: str | None = None) -> TaskRun:
    started, ended = parse_time(each.started_at), parse_time(each.completed_at)
    return TaskRun(
        task=name,
        state=state_of(each.status, each.conclusion),
        try_number=attempt,
        started_at=started,
        ended_at=ended,
        duration_s=max(0.0, (ended - started).total_seconds()) if started and ended else None,
        depends_on=above,
        error=error,
    )


def log_entry(raw: bytes, job: str) -> LogEntry:
    """A line of a job's log: a time, then a mark of the runner, or what a step printed."""
    entry = parse_line(raw.removeprefix(b"\xef\xbb\xbf"), source=clean(job, 250))
    for mark, level in _MARKS.items():
        if entry.message.startswith(mark):
            return replace(entry, level=level, message=entry.message.removeprefix(mark))
    return entry


OLDEST = datetime.min.replace(tzinfo=UTC)
