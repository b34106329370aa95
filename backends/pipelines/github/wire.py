"""GitHub's answers about Actions, as Structs: only the fields that are read. Words that are not known are `unknown`.

Source: https://docs.github.com/en/rest/actions, the OpenAPI description in the npm package `@octokit/openapi`.
"""

from datetime import datetime

from msgspec import Struct

from backends.models import RunState
from backends.times import parse_time

_STATUS: dict[str, RunState] = {
    "queued": "queued", "requested": "queued", "pending": "queued", "in_progress": "running", "waiting": "waiting",
    "action_required": "waiting",
}  # fmt: skip
_CONCLUSION: dict[str, RunState] = {
    "success": "success", "neutral": "success", "failure": "failed", "timed_out": "failed",
    "startup_failure": "failed", "cancelled": "cancelled", "stale": "cancelled", "skipped": "skipped",
    "action_required": "waiting",
}  # fmt: skip
ENDED = frozenset({"success", "failed", "cancelled", "skipped", "unknown"})
WORKFLOWS = ".github/workflows/"


def state_of(status: str | None, conclusion: str | None) -> RunState:
    """The two words of a run, a job or a step as one."""
    if (status or "").casefold() == "completed":
        return _CONCLUSION.get((conclusion or "").casefold(), "unknown")
    return _STATUS.get((status or "").casefold(), "unknown")


class User(Struct, frozen=True):
    """Who; null for a user that is gone."""

    login: str = ""


class Run(Struct, frozen=True):
    """A run of a workflow, at its newest attempt."""

    id: int
    workflow_id: int
    status: str | None = None
    conclusion: str | None = None
    path: str = ""
    event: str = ""
    display_title: str = ""
    head_branch: str | None = None
    head_sha: str = ""
    html_url: str = ""
    run_number: int = 0
    run_attempt: int = 1
    created_at: str = ""
    run_started_at: str | None = None
    updated_at: str = ""
    actor: User | None = None
    triggering_actor: User | None = None

    @property
    def state(self) -> RunState:
        """As the console has it; of a run without its numbers (`records`) it is unknown."""
        return state_of(self.status, self.conclusion) if min(self.id, self.workflow_id) >= 0 else "unknown"

    @property
    def is_ended(self) -> bool:
        """Whether nothing more comes of this attempt."""
        return (self.status or "").casefold() == "completed"

    @property
    def began(self) -> datetime | None:
        """When this attempt began."""
        return parse_time(self.run_started_at or self.created_at)

    @property
    def ended(self) -> datetime | None:
        """When it was changed last, which is its end once it has ended: GitHub keeps no other time."""
        return parse_time(self.updated_at) if self.is_ended else None

    @property
    def file(self) -> str:
        """Its workflow by its file, as `Workflow.pipeline`, for one that the repository does not list (any more)."""
        path = self.path.partition("@")[0]
        return path.removeprefix(WORKFLOWS).replace("/", "-") or str(self.workflow_id)

    @property
    def who(self) -> str:
        """Who started this attempt."""
        by = self.triggering_actor or self.actor
        return by.login if by is not None else ""


class Runs(Struct, frozen=True):
    """A page of runs, newest first."""

    workflow_runs: tuple[Run, ...]
    total_count: int = 0


class Artifact(Struct, frozen=True):
    """What an attempt of a run has left; nobody can have it once it is `expired`."""

    id: int
    name: str
    expired: bool = False
    created_at: str | None = None


class ArtifactList(Struct, frozen=True):
    """A page of them."""

    artifacts: tuple[Artifact, ...]
    total_count: int = 0


class Step(Struct, frozen=True):
    """A step of a job."""

    name: str
    number: int = 0
    status: str | None = None
    conclusion: str | None = None
    started_at: str | None = None
    completed_at: str | None = None


class Job(Struct, frozen=True):
    """A job of a run."""

    id: int
    name: str
    status: str | None = None
    conclusion: str | None = None
    run_attempt: int = 1
    started_at: str | None = None
    completed_at: str | None = None
    steps: tuple[Step, ...] = ()

    @property
    def state(self) -> RunState:
        """As the console has it."""
        return state_of(self.status, self.conclusion)

    @property
    def is_ended(self) -> bool:
        """Whether it has a log: there is none before."""
        return (self.status or "").casefold() == "completed"

    @property
    def failed_step(self) -> str:
        """The first step that failed; the word for it where no step did."""
        for step in self.steps:
            if state_of(step.status, step.conclusion) == "failed":
                return step.name
        return (self.conclusion or "").replace("_", " ")


class Jobs(Struct, frozen=True):
    """A page of jobs."""

    jobs: tuple[Job, ...]
    total_count: int = 0


class Workflow(Struct, frozen=True):
    """A workflow file. `state`: `active`, or why it is not."""

    id: int
    name: str
    path: str
    state: str = "active"

    @property
    def pipeline(self) -> str:
        """What it is called here: its file, without the directory that all have."""
        return self.path.removeprefix(WORKFLOWS).replace("/", "-")

    @property
    def is_paused(self) -> bool:
        """Whether it starts nothing."""
        return self.state.startswith("disabled")


class Workflows(Struct, frozen=True):
    """A page of workflows."""

    workflows: tuple[Workflow, ...]
    total_count: int = 0


class Repository(Struct, frozen=True):
    """What is asked of a repository."""

    default_branch: str


class ContentFile(Struct, frozen=True):
    """A file of a repository, base64 with line breaks."""

    content: str = ""


class Dispatched(Struct, frozen=True):
    """What a dispatch made."""

    workflow_run_id: int


class Environment(Struct, frozen=True):
    """Where something is deployed."""

    id: int
    name: str


class Reviewer(Struct, frozen=True):
    """A user or a team."""

    login: str = ""
    name: str | None = ""


class Review(Struct, frozen=True):
    """One who may approve."""

    reviewer: Reviewer = Reviewer()


class PendingDeployment(Struct, frozen=True):
    """An environment that waits for a review."""

    environment: Environment
    current_user_can_approve: bool = False
    wait_timer_started_at: str | None = None
    reviewers: tuple[Review, ...] = ()


class Deployment(Struct, frozen=True):
    """A deployment, whoever made it."""

    id: int
    sha: str = ""
    ref: str = ""
    environment: str = ""
    created_at: str = ""
    creator: User | None = None


class DeploymentStatus(Struct, frozen=True):
    """What became of it, newest first."""

    state: str
    created_at: str = ""
    target_url: str | None = None
