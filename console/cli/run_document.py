"""A run as `run show` prints it."""

from backends.models import PipelineRun, TaskRun
from backends.ports import Approval
from console.reading.comparison import Comparison
from console.reading.triage import Triage


class RunWithTasks(PipelineRun, frozen=True, kw_only=True):
    """A run as `run show` prints it."""

    tasks: tuple[TaskRun, ...]
    triage: Triage | None = None
    approvals: tuple[Approval, ...] = ()
    compared: Comparison | None = None
