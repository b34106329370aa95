"""What differs between a run and the last good one of its pipeline: in full, with every task that got slower."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from console.printing.comparison_lines import differences, headline
from console.screens.detail import Detail
from console.screens.moving import Scroll
from console.screens.parts import KEY_ORDER, Frame, Paragraphs, now_of, row
from panels.keybar import KeyBar
from panels.words import NOTHING, took

if TYPE_CHECKING:
    from backends.models import PipelineRun
    from console.reading.comparison import Comparison
    from console.session import Session

LEAD = 11


class RunComparison(Detail):
    """As it was when it was opened: neither run changes any more where both have ended."""

    def __init__(self, session: Session, run: PipelineRun, found: Comparison) -> None:
        super().__init__(session)
        self.run_shown, self.found = run, found

    @property
    def subject(self) -> PipelineRun:
        return self.run_shown

    def compose(self) -> ComposeResult:
        with Frame(title="Run against the last good one", id="compared", fitted=True), Scroll():
            yield Paragraphs(LEAD, id="lines")
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        found, zone = self.found, self.session.context.zone
        rows = [row("run", f"{self.run_shown.pipeline} {self.run_shown.run_id}")]
        rows.append(row("last good", headline(found, now_of(self.app), zone)))
        rows += [row(heading, words) for heading, words in differences(found)]
        times = [task for task in found.tasks if (task.duration_s, task.good_s) != (None, None)]
        rows += [row("tasks", "took now, took then")] if times else []
        rows += [row("", f"{_took(task.duration_s):>8} {_took(task.good_s):>8}  {task.task}") for task in times]
        self.query_one("#lines", Paragraphs).show(rows)


def _took(seconds: float | None) -> str:
    return NOTHING if seconds is None else took(seconds)
