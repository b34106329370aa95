"""Runs of pipelines, and orders to them."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal, Protocol, cast

from msgspec import Struct

from backends.models import LogEntry, PipelineRun, TaskRun, TimelineEvent
from backends.ports.closable import Closable


class Pipelines(Closable, Protocol):
    """Runs of pipelines, and what can be done with them. What a system does not have is an empty list."""

    async def runs(self, *, since: datetime | None = None, limit: int = 100) -> list[PipelineRun]:
        """Runs over all pipelines, newest first: those that started or ended after `since`, and always
        the last of each."""

    async def run(self, pipeline: str, run_id: str) -> PipelineRun:
        """One run now, also one that `runs` does not reach. Raises `not_found`."""

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        """The tasks of one run, in an order that respects `depends_on`."""

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        """The last lines of the log of one task with all its tries, or of all tasks of the run in time order."""

    def follow_log(self, pipeline: str, run_id: str, task: str | None = None) -> AsyncIterator[LogEntry]:
        """The lines of `task_log`, then those that are added, until the task (or the run) has ended."""

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """What people and the system did to pipelines from `since` up to `until`, oldest first: who paused, cleared,
        triggered, deployed. Runs that began and ended by themselves are not repeated here."""

    async def pipelines(self) -> list["PipelineInfo"]:
        """The pipelines that can be triggered; without their params where those cost a request each."""

    async def pipeline(self, pipeline: str) -> "PipelineInfo":
        """One pipeline with its params. Raises `not_found`."""

    async def trigger(self, pipeline: str, run_id: str, params: dict[str, Any]) -> None:
        """Start a run under the given id. The same id again is no second run. Raises `conflict` for an id in use
        with other params, `not_found` for an unknown pipeline."""

    async def retry_preview(self, pipeline: str, run_id: str) -> list[str]:
        """The tasks that `retry` would run again, in order; nothing is written. None for a run that succeeded. Raises
        `not_found`, and `conflict` while it is running."""

    async def retry(self, pipeline: str, run_id: str) -> None:
        """Run the failed and skipped tasks of an ended run again. Raises `conflict` while it is running."""

    async def cancel(self, pipeline: str, run_id: str) -> None:
        """Ask a run to stop. Cancelling an ended run changes nothing."""

    async def set_paused(self, pipeline: str, paused: bool) -> None:
        """Stop or resume the schedule of a pipeline."""

    async def approvals(self, pipeline: str, run_id: str) -> list["Approval"]:
        """What of a run waits for a person to say yes. Raises `not_found`."""

    async def approve(self, pipeline: str, run_id: str, comment: str) -> None:
        """Say yes to all that waits and that we may approve. Raises `not_found`, `conflict` where nothing waits, and
        `auth` where we may not."""


ParamType = Literal["string", "integer", "number", "boolean", "array", "object", "any"]


class PipelineParam(Struct, frozen=True, kw_only=True):
    """A parameter of a pipeline. `required`: a run is not started without a value, which `default` may be; `nullable`:
    null is one. `choices`: nothing else is accepted; `schema`: other JSON Schema keywords, as `minimum` or `pattern`.
    """

    name: str
    type: ParamType = "any"
    default: Any = None
    required: bool = False
    nullable: bool = False
    description: str = ""
    choices: tuple[Any, ...] = ()
    schema: dict[str, Any] = {}


class PipelineInfo(Struct, frozen=True, kw_only=True):
    """A pipeline that can be triggered. `paused`: its schedule rests; `note`: what is wrong with it, in words (an
    import error, why nothing starts)."""

    pipeline: str
    schedule: str = ""
    paused: bool = False
    params: tuple[PipelineParam, ...] = ()
    note: str = ""


class Approval(Struct, frozen=True, kw_only=True):
    """Something that waits for a person: an environment or a task. `mine`: whether we may approve it; `detail` in
    words, as who else may."""

    name: str
    since: datetime | None = None
    mine: bool = True
    detail: str = ""


class RunInputs(Struct, frozen=True, kw_only=True):
    """What a run was made with: its params (null where the system does not tell them of this one), and the version of
    its code in words (`version 4 (3f2c1a9)`; empty where nobody knows)."""

    params: dict[str, Any] | None = None
    code: str = ""


class ComparablePipelines(Pipelines, Protocol):
    """Pipelines whose runs can be held against good ones. An adapter may leave that out."""

    async def good_before(self, pipeline: str, run_id: str, limit: int = 5) -> list[PipelineRun]:
        """The newest runs of a pipeline that succeeded and began before that one did, newest first. Raises
        `not_found`."""

    async def inputs(self, pipeline: str, run_id: str) -> RunInputs:
        """What a run was made with. Raises `not_found`."""


def comparable(pipelines: Pipelines) -> "ComparablePipelines | None":
    """`pipelines`, where its runs can be held against good ones."""
    return cast(ComparablePipelines, pipelines) if hasattr(pipelines, "good_before") else None
