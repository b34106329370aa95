"""Runs of pipelines and their tasks."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from backends.models.health import Health

RunState = Literal["queued", "running", "waiting", "success", "failed", "cancelled", "skipped", "unknown"]


class PipelineRun(Struct, frozen=True, kw_only=True):
    """One run of a pipeline. `tasks_*` count its tasks; `history`: the pipeline's last states, newest last.

    `note`: what the system knows beside its state (why it is still queued, that its code changed since the last good).
    `data`: the worst quality of what it wrote, where the links of the config say so; null where nobody knows.
    `data_reason` names what of it is bad.
    """

    ref: str
    backend: str
    pipeline: str
    run_id: str
    state: RunState
    raw_state: str = ""
    trigger: str = ""
    logical_date: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    usual_s: float | None = None
    late: bool = False
    tasks_done: int | None = None
    tasks_total: int | None = None
    history: tuple[RunState, ...] = ()
    url: str | None = None
    error: str | None = None
    note: str = ""
    data: Health | None = None
    data_reason: str | None = None

    @property
    def health(self) -> Health:
        """Failed is critical, late or cancelled a warning, unknown stays unknown; of a success, what its data is."""
        if self.state == "success" and self.data in ("critical", "warning"):
            return self.data
        if self.state == "failed":
            return "critical"
        if self.state == "unknown":
            return "unknown"
        return "warning" if self.late or self.state in ("cancelled", "waiting") else "ok"


class TaskRun(Struct, frozen=True, kw_only=True):
    """One task of a run. `depends_on` names tasks of the same run."""

    task: str
    state: RunState
    try_number: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    depends_on: tuple[str, ...] = ()
    error: str | None = None


def run_states(words: dict[str, RunState], raw: str) -> RunState:
    """`raw` translated by `words`, casefolded; a word that a later version of the system added is `unknown`."""
    return words.get(raw.casefold(), "unknown")
