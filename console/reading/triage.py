"""What kind of trouble a run is in, guessed from what is known, with the lines that say so. Pure functions over models.

The first five minutes go differently for a job that died, a schema that changed, one that is slow, one that is green
over bad data, and a platform that fails everybody: each names whom to wake. A hint is not a verdict.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from backends.models import CheckResult, LogEntry, PipelineRun, QualityScore, TaskRun
from console.ports.derive import written_by
from console.ports.links import Links
from console.reading import causes
from panels.words import took

TriageKind = Literal[
    "died", "schema", "code", "access", "input", "config", "quota", "memory", "slow", "stale-but-green", "platform"
]

MEANING: dict[TriageKind, str] = {
    "died": "the job itself failed: read its log before you retry",
    "schema": "what it reads has another shape: a retry can not help; ask the owner of the source",
    "code": "its own code is broken: a retry can not help; go back to the version before, or mend it",
    "access": "it may not do what it does: a retry can not help; look at its credentials and rights",
    "input": "what it reads is not there: a retry can not help until it is; ask who delivers it",
    "config": "its settings are wrong or missing: a retry can not help; set them right",
    "quota": "a limit of what it uses is reached: a retry can not help until there is room; ask who owns the account",
    "memory": "it needs more memory than it may take: a retry can not help; give it more, or less to do at once",
    "slow": "it takes longer than it usually does: look at what it waits for",
    "stale-but-green": "it ended well and the data is bad: stop what consumes it, a retry may repeat it",
    "platform": "not this job: what it runs on; look at the checks before you retry anything",
}
SIDE_BY_SIDE = timedelta(minutes=15)
MANY = 3
MAX_EVIDENCE = 4


class Triage(Struct, frozen=True):
    """`kind` is the guess, `meaning` what to do about it, `evidence` the lines it stands on, best first."""

    kind: TriageKind
    meaning: str
    evidence: tuple[str, ...]


def triage(
    run: PipelineRun,
    *,
    tasks: Sequence[TaskRun] = (),
    log: Sequence[LogEntry] = (),
    runs: Sequence[PipelineRun] = (),
    scores: Sequence[QualityScore] = (),
    checks: Sequence[CheckResult] = (),
    links: Links | None = None,
    well_at: Mapping[str, datetime] | None = None,
) -> Triage | None:
    """What is wrong with `run`; None where nothing is, or it was ended on purpose. `log`: of the task that failed;
    `runs`, `scores` and `checks`: all that are known of the context; `well_at`: when a check, by its ref, was last seen
    not critical: one that was so after the run had ended is not to blame."""
    if run.state == "failed":
        ended, well = run.ended_at, well_at or {}
        suspects = [check for check in checks if not (ended and check.ref in well and well[check.ref] > ended)]
        return _of_failed(run, tasks, log, runs, suspects)
    if run.state == "success":
        return _of_green(run, scores, links)
    if run.state in ("queued", "running"):
        return _of_open(run, tasks, checks)
    return None


def _of_failed(
    run: PipelineRun,
    tasks: Sequence[TaskRun],
    log: Sequence[LogEntry],
    runs: Sequence[PipelineRun],
    checks: Sequence[CheckResult],
) -> Triage:
    words = _words(run, tasks, log)
    around = _side_by_side(run, runs)
    for kind, hits in causes.own(words):
        return _found(kind, [*hits, *_note(run)])
    hits = causes.platform(words)
    if around:
        return _found("platform", [*around, *hits, *_sick(checks)])
    for limit, reached in causes.limits(words):
        return _found(limit, [*reached, *_note(run)])
    if hits:
        return _found("platform", [*hits, *_sick(checks)])
    if late := causes.slow(words):
        return _found("slow", [*late, *_note(run)])
    if (sick := _sick(checks)) and all(causes.names_none(line) for line in words):
        return _found("platform", [*sick, *words])
    return _found("died", [*words, *_note(run)] or [f"{run.pipeline} failed, and nothing says why"])


def _of_green(run: PipelineRun, scores: Sequence[QualityScore], links: Links | None) -> Triage | None:
    bad = [score for score in written_by(run, scores, links) if score.state in ("critical", "warning", "unknown")]
    lines = [_score_line(score) for score in bad]
    return _found("stale-but-green", [f"{run.pipeline} ended well", *lines]) if lines else None


def _of_open(run: PipelineRun, tasks: Sequence[TaskRun], checks: Sequence[CheckResult]) -> Triage | None:
    if run.state == "queued" and (run.note or _sick(checks)):
        return _found("platform", [*_note(run), *_sick(checks)])
    if "no open slot" in run.note:
        return _found("platform", [run.note])
    if not run.late:
        return None
    usual = f", usually {took(run.usual_s)}" if run.usual_s is not None else ""
    running = [task for task in tasks if task.state == "running"]
    at = [f"it is at {', '.join(task.task for task in running[:3])}"] if running else []
    return _found("slow", [f"running for {took(run.duration_s)}{usual}", *at, *_note(run)])


def _words(run: PipelineRun, tasks: Sequence[TaskRun], log: Sequence[LogEntry]) -> list[str]:
    """What is said of the failure, each once: by the run, by its tasks, by the last errors of the log."""
    failed = [f"{task.task}: {task.error}" for task in tasks if task.state == "failed" and task.error]
    errors = [entry.message for entry in log if entry.health == "critical"][-20:]
    said: list[str] = []
    for line in [run.error or "", *failed, *reversed(errors)]:
        if line.strip() and not any(line.strip() in other for other in said):
            said.append(line)
    return said


def _side_by_side(run: PipelineRun, runs: Sequence[PipelineRun]) -> list[str]:
    """Other pipelines that failed at about the same time."""
    if run.ended_at is None:
        return []
    near = {
        other.pipeline
        for other in runs
        if other.state == "failed" and other.ended_at is not None and abs(other.ended_at - run.ended_at) <= SIDE_BY_SIDE
    }
    names = sorted(near | {run.pipeline})
    minutes = int(SIDE_BY_SIDE.total_seconds() // 60)
    return [f"{len(names)} pipelines failed within {minutes} min: {', '.join(names[:5])}"] if len(names) >= MANY else []


def _sick(checks: Sequence[CheckResult]) -> list[str]:
    return [f"check {check.name}: {check.message}" for check in checks if check.state == "critical"]


def _note(run: PipelineRun) -> list[str]:
    return [run.note] if run.note else []


def _score_line(score: QualityScore) -> str:
    if score.score is None or score.state == "unknown":
        return f"{score.named}: {score.reason or 'nobody knows its quality'}"
    failed = f", {score.failures[0].check}: {score.failures[0].detail}" if score.failures else ""
    limit = score.warn if score.broken is None else score.broken
    wanted = f"at {'most' if score.better == 'lower' else 'least'} {score.told(limit)} is wanted"
    return f"{score.named} scored {score.told(score.score)}, {wanted}{failed}"


def _found(kind: TriageKind, evidence: list[str]) -> Triage:
    return Triage(kind, MEANING[kind], tuple(dict.fromkeys(evidence))[:MAX_EVIDENCE])
