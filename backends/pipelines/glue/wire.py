"""Jobs and runs as Glue tells them, only the fields that are read; and the attempts of one run as one.

API: https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-jobs-runs.html
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field

from backends.models import RunState
from backends.models.pipelines import run_states
from backends.ports import ParamType, PipelineParam
from backends.text import clean

RUN_ID_ARGUMENT = "--teal_run_id"
STATES: dict[str, RunState] = {
    "starting": "queued", "waiting": "queued", "running": "running", "stopping": "running", "stopped": "cancelled",
    "succeeded": "success", "failed": "failed", "error": "failed", "timeout": "failed", "expired": "failed",
}  # fmt: skip
OPEN = ("queued", "running")
_ATTEMPT = re.compile(r"_attempt_\d+$")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Predecessor(Struct, frozen=True, rename="pascal"):
    """The run of another job that a trigger waited for."""

    job_name: str
    run_id: str


class JobRun(Struct, frozen=True, rename="pascal"):
    """One attempt of a run."""

    id: str
    job_run_state: str
    job_name: str = ""
    attempt: int = 0
    previous_run_id: str = ""
    trigger_name: str = ""
    started_on: datetime | None = None
    last_modified_on: datetime | None = None
    completed_on: datetime | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    error_message: str = ""
    predecessor_runs: tuple[Predecessor, ...] = ()
    execution_time: int = 0
    log_group_name: str = ""
    dpu_seconds: float | None = field(default=None, name="DPUSeconds")
    state_detail: str = ""

    @property
    def state(self) -> RunState:
        """`unknown` for a word that Glue added."""
        return run_states(STATES, self.job_run_state)

    @property
    def root(self) -> str:
        """The id of the first attempt."""
        return _ATTEMPT.sub("", self.id)

    @property
    def began(self) -> datetime | None:
        """In UTC."""
        return self.started_on.astimezone(UTC) if self.started_on else None

    @property
    def ended(self) -> datetime | None:
        """None while it is open; of one that was never completed, when it changed last."""
        if self.state in OPEN:
            return None
        at = self.completed_on or self.last_modified_on
        return at.astimezone(UTC) if at else None


class Run(Struct, frozen=True):
    """A run with its attempts, the last one last."""

    attempts: tuple[JobRun, ...]

    @property
    def last(self) -> JobRun:
        """The attempt that counts."""
        return self.attempts[-1]

    @property
    def run_id(self) -> str:
        """The id that it was started under from here, or Glue's."""
        return self.last.arguments.get(RUN_ID_ARGUMENT) or self.last.root

    @property
    def state(self) -> RunState:
        """That of its last attempt."""
        return self.last.state

    @property
    def lasted_s(self) -> float | None:
        """Its last attempt; None while it is open."""
        began, ended = self.last.began, self.last.ended
        return None if began is None or ended is None else max(0.0, (ended - began).total_seconds())

    @property
    def asked(self) -> dict[str, str]:
        """The arguments that it was started with, without ours."""
        return {name: value for name, value in self.last.arguments.items() if name != RUN_ID_ARGUMENT}

    @property
    def began(self) -> datetime:
        """When its last attempt began; the beginning of time where Glue does not say."""
        return self.last.began or datetime.min.replace(tzinfo=UTC)

    @property
    def is_open(self) -> bool:
        """Whether it goes on; so may one in a state that is not known."""
        return self.last.ended is None


def folded(attempts: Iterable[JobRun]) -> list[Run]:
    """Their runs."""
    groups: dict[str, list[JobRun]] = {}
    for attempt in attempts:
        groups.setdefault(attempt.root, []).append(attempt)
    return [Run(tuple(sorted(group, key=lambda each: each.attempt))) for group in groups.values()]


class RunsPage(Struct, frozen=True, rename="pascal"):
    """One page of `GetJobRuns`."""

    job_runs: tuple[JobRun, ...]
    next_token: str = ""


class OneRun(Struct, frozen=True, rename="pascal"):
    """The answer of `GetJobRun`."""

    job_run: JobRun


class _Property(Struct, frozen=True, rename="pascal"):
    max_concurrent_runs: int = 1


class Job(Struct, frozen=True, rename="pascal"):
    """A job as it is defined."""

    name: str
    default_arguments: dict[str, str] = field(default_factory=dict)
    execution_property: _Property = _Property()
    job_run_queuing_enabled: bool = False
    max_retries: int = 0
    worker_type: str = ""
    number_of_workers: int | None = None

    def params(self) -> tuple[PipelineParam, ...]:
        """Its default arguments, without the dashes."""
        return tuple(
            PipelineParam(name=clean(name.removeprefix("--"), 200), type=_type_of(value), default=_typed(value))
            for name, value in sorted(self.default_arguments.items())
            if name != RUN_ID_ARGUMENT
        )

    def note(self) -> str:
        """How many may run at once, and what becomes of more."""
        most = self.execution_property.max_concurrent_runs
        more = "more of them wait in a queue" if self.job_run_queuing_enabled else "more of them are refused"
        return f"{most} run{'s' * (most != 1)} at a time, {more}"


class OneJob(Struct, frozen=True, rename="pascal"):
    """The answer of `GetJob`."""

    job: Job


class _Action(Struct, frozen=True, rename="pascal"):
    job_name: str = ""


class Trigger(Struct, frozen=True, rename="pascal"):
    """What starts jobs."""

    name: str
    type: str = ""
    state: str = ""
    schedule: str = ""
    actions: tuple[_Action, ...] = ()

    def starts(self, job: str) -> bool:
        """Whether it starts that job by the clock."""
        return self.type == "SCHEDULED" and any(action.job_name == job for action in self.actions)

    @property
    def rests(self) -> bool:
        """Whether it starts nothing now."""
        return self.state not in ("ACTIVATED", "ACTIVATING")


class LastCrawl(Struct, frozen=True, rename="pascal"):
    """What became of a crawl."""

    status: str = ""
    error_message: str = ""
    start_time: datetime | None = None


class Crawler(Struct, frozen=True, rename="pascal"):
    """What looks for tables."""

    name: str
    last_crawl: LastCrawl | None = None


class StopAnswer(Struct, frozen=True, rename="pascal"):
    """The answer of `BatchStopJobRun`, which is 200 whatever it says."""

    successful_submissions: tuple[dict[str, Any], ...] = ()
    errors: tuple[dict[str, Any], ...] = ()


def arguments_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Params as Glue takes them: text, with dashes."""
    return {f"--{name.removeprefix('--')}": _text(value) for name, value in params.items()}


def _type_of(value: str) -> ParamType:
    if value in ("true", "false"):
        return "boolean"
    number = _NUMBER.fullmatch(value)
    if number is None or (value.lstrip("-").startswith("0") and value not in ("0", "-0") and not number[1]):
        return "string"  # 007 is no number
    return "number" if number[1] else "integer"


def _typed(value: str) -> Any:
    made: dict[str, Any] = {"boolean": lambda: value == "true", "integer": lambda: int(value), "number": lambda: value}
    kind = _type_of(value)
    if kind == "number":
        return float(value)
    return made[kind]() if kind in made else value


def _text(value: Any) -> str:
    import json

    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)
