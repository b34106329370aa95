"""One run of a pipeline: how it went, its tasks in the order of their dependencies, and the log of the chosen one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.events import Resize, Unmount
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from actions.models import Refused
from backends.errors import BackendError
from backends.models import LogEntry, PipelineRun, TaskRun
from backends.ports import Pipelines
from backends.text import counted
from console.ports.pipelines import PIPELINES
from console.ports.store import Snapshot
from console.reading.comparison import Comparison
from console.screens import readings
from console.screens.detail import Detail
from console.screens.log_lines import LogLines
from console.screens.menu import ActionMenu
from console.screens.moving import Options
from console.screens.parts import (
    KEY_ORDER,
    MUTED,
    Frame,
    Paragraphs,
    Row,
    mark,
    now,
    now_of,
    seconds_since,
    style_of,
)
from console.screens.plan_words import refusal
from console.screens.run_comparison import RunComparison
from console.screens.run_lines import about_run, waiting_for, waiting_unknown
from console.screens.task_lines import (
    axis_line,
    first_to_read,
    gantt_line,
    list_line,
    longest,
    span,
)
from console.screens.working import read_again, work
from panels.keybar import KeyBar
from panels.kinds.pipelines import run_name, sign, state_words
from panels.words import ago

if TYPE_CHECKING:
    from console.session import Session

POLL_S = 2.0
READ_TIMEOUT_S = 15.0
RUNNING = ("queued", "running", "waiting")


class RunDetail(Detail):
    """A run with its tasks and a log. While it runs and is looked at, it is read again every `POLL_S` seconds."""

    AUTO_FOCUS = "#tasks"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - no ClassVar in Textual, either
    VERTICAL_BREAKPOINTS = [(0, "-short"), (22, "-tall"), (34, "-high")]  # noqa: RUF012 - no ClassVar in Textual, either
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "view", "bars", id="run.view", tooltip="bars over the time of the run, or the list"),
        Binding("e", "error(1)", "error", id="run.error", tooltip="the next line that looks like an error"),
        Binding("E", "error(-1)", "the one before", id="run.error_before", show=False),
        Binding("d", "differences", "differences", id="run.compare", tooltip="what differs from the last good run"),
        Binding("r", "refresh", "read this run again", id="refresh", show=False),
        Binding("x", "menu", "actions", id="menu", tooltip="what can be done with this run"),
    ]
    DEFAULT_CSS = """
    RunDetail {
        #about-scroll { height: auto; max-height: 7; margin-bottom: 1; }
        #subject { height: 1; }
        #split { height: 1fr; }
        #tasks { border: none; padding: 0; background: transparent; height: 1fr; text-wrap: nowrap; }
        #tasks > .option-list--option { text-wrap: nowrap; text-overflow: clip; padding: 0; }
        #axis { height: 1; color: $text-muted; }
        #log-title { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #log { height: 1fr; }
        #task-side, #log-side { height: 1fr; }
        &.-high #about-scroll { max-height: 14; }
        &.-short #about-scroll { max-height: 5; margin-bottom: 0; }
        &.-narrow #split { layout: vertical; }
        &.-narrow #task-side { height: 2fr; }
        &.-narrow #log-side { height: 3fr; margin-top: 1; }
        &.-wide #split { layout: horizontal; }
        &.-wide #task-side { width: 2fr; }
        &.-wide #log-side { width: 3fr; margin-left: 2; }
    }
    """

    def __init__(self, session: Session, run: PipelineRun) -> None:
        super().__init__(session)
        self.run_shown = run
        self.tasks: list[TaskRun] = []
        self.gantt = False
        self._trouble: list[Row] = []
        self._reading = False
        self._log_of = ""
        self._log: list[LogEntry] = []
        self._log_try: tuple[object, ...] = ()
        self._listed: list[str] = []
        self._waits: list[Row] = []
        self._beside: Comparison | None = None
        self._compared: tuple[object, ...] = ()

    @property
    def subject(self) -> PipelineRun:
        return self.run_shown

    def compose(self) -> ComposeResult:
        with Frame(title="Run", id="frame"):
            yield Static(id="subject", markup=False)
            with VerticalScroll(id="about-scroll", can_focus=False):
                yield Paragraphs(10, id="about")
            with Container(id="split"):
                with Container(id="task-side"):
                    yield Static(id="axis", markup=False)
                    yield Options(id="tasks", markup=False)
                with Container(id="log-side"):
                    yield Static(id="log-title", markup=False)
                    yield LogLines(self.session.context.zone, id="log")
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        self.listen(self._on_snapshot)
        self._show()
        self._read()
        self.set_interval(POLL_S, self._poll)

    def on_unmount(self, event: Unmount) -> None:
        self.stop_listening()

    def on_resize(self, event: Resize) -> None:
        self.once_drawn(self._show)
        self.once_drawn(self.query_one("#tasks", OptionList).scroll_to_highlight)

    # ---- reading

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.key.panel != "pipelines":
            return
        found = next((item for item in snapshot.items if item.ref == self.run_shown.ref), None)
        if found is not None and found != self.run_shown:
            self.run_shown = found
            self._show()
            self._read()

    def _poll(self) -> None:
        if self.is_current and self.run_shown.state in RUNNING:
            self._read()

    def _read(self) -> None:
        if not self._reading:
            self._reading = True
            self._read_tasks()

    def _lost(self, error: Refused | BackendError | TimeoutError) -> None:
        self._trouble = refusal(error, self.of)
        self._show()

    @work(group="tasks", lost=_lost)
    async def _read_tasks(self) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                tasks = await self._pipelines.tasks(self.run_shown.pipeline, self.run_shown.run_id)
                self._waits = await self._waiting()
        except (Refused, BackendError, TimeoutError) as error:
            self._lost(error)
            self.again(self._read, error)
            return
        finally:
            self._reading = False
        first = not self.tasks
        self.tasks, self._trouble = tasks, []
        self._show()
        self._compare()
        if first and tasks:
            self.query_one("#tasks", OptionList).highlighted = first_to_read(tasks)
        elif tasks:
            self._read_log(jump=self._is_another_try())
        if self.run_shown.state in RUNNING and tasks and all(task.state not in RUNNING for task in tasks):
            self.session.refresh("pipelines")

    def _not_compared(self, error: BackendError) -> None:
        self._beside, self._compared = Comparison(why=error.message), ()
        self._show()

    @work(group="compare", exclusive=True, lost=_not_compared)
    async def _compare(self) -> None:
        """Look at it beside the last good run, once for each state that it is in."""
        run = self.run_shown
        state = run.state, run.ended_at, bool(self.tasks)
        if state == self._compared:
            return
        self._compared = state
        self._beside = await self.session.compared(run, self.tasks)
        self._show()

    async def _waiting(self) -> list[Row]:
        """What of a run that waits needs a person's yes."""
        if self.run_shown.state != "waiting":
            return []
        try:
            return waiting_for(await self._pipelines.approvals(self.run_shown.pipeline, self.run_shown.run_id))
        except BackendError as error:
            return waiting_unknown(error)

    @property
    def _pipelines(self) -> Pipelines:
        """Whose run it is. Raises BackendError."""
        return self.session.adapters.of(PIPELINES, self.run_shown.backend)

    @property
    def chosen(self) -> TaskRun | None:
        """The chosen one."""
        at = self.query_one("#tasks", OptionList).highlighted
        return self.tasks[at] if at is not None and at < len(self.tasks) else None

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        task = self.chosen
        if task is not None and task.task != self._log_of:
            self._log_of = task.task
            self._read_log(jump=True)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.query_one("#log").focus()

    def _read_log(self, *, jump: bool) -> None:
        task = self.chosen
        if task is not None and (jump or task.state in RUNNING or task.ended_at is None or self._just_ended(task)):
            self._load_log(task, jump)

    def _is_another_try(self) -> bool:
        """Whether what is shown is the log of a try that is not the newest one of its task any more."""
        return self.chosen is not None and _try_of(self.chosen) != self._log_try

    @staticmethod
    def _just_ended(task: TaskRun) -> bool:
        return (seconds_since(task.ended_at) or 0.0) < 3 * POLL_S

    def _read_lost_log(self) -> None:
        if self.chosen is not None:
            self._load_log(self.chosen, True)

    def _no_log(self, error: Refused | BackendError | TimeoutError) -> None:
        self.query_one(LogLines).say(" ".join(part.plain for part in refusal(error, self.of)[0] if part))

    @work(group="log", exclusive=True, lost=_no_log)
    async def _load_log(self, task: TaskRun, jump: bool) -> None:
        log = self.query_one(LogLines)
        self._log_try, self._log = _try_of(task), []
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                entries = await self._pipelines.task_log(self.run_shown.pipeline, self.run_shown.run_id, task.task)
                if task.state == "failed":
                    self._log = entries
                    self._show()
        except (Refused, BackendError, TimeoutError) as error:
            self._no_log(error)
            self.again(self._read_lost_log, error)
            entries = []
        else:
            if entries:
                log.show(entries, at_error=jump)
            else:
                log.say("not started: no log yet" if task.started_at is None else "its log is empty")
        self._show_log_title(task, len(entries))

    # ---- what is shown

    def redraw(self) -> None:
        self._show()

    def _show(self) -> None:
        run, zone = self.run_shown, self.session.context.zone
        lost = readings.lost_source(self.session.store, "pipelines", run.backend, now_of(self.app))
        doubtful = lost is not None and run.health == "ok"
        said = state_words(run)
        state = "unknown" if doubtful else run.state if said == run.state else sign(run)
        said = readings.unknown_words(lost, said, now_of(self.app)) if lost is not None and doubtful else said
        what = Content.assemble(
            mark(state, self.of),
            (f" {said}", style_of(state)),
            "  ",
            (run.pipeline, "bold"),
            f" {run_name(run.run_id, zone)}",
        )
        subject = self.query_one("#subject", Static)
        subject.update(self.with_place(what, subject.content_size.width or self.app.size.width - 4))
        about = about_run(
            run, beside=self._beside, found=self.session.triage(run, self.tasks, self._log), waits=self._waits,
            impact=self.session.impact(run.ref), zone=zone, width=self.app.size.width, of=self.of,
        )  # fmt: skip
        self.query_one("#about", Paragraphs).show([*self._trouble, *about])
        done = f"{run.tasks_done or 0} of {run.tasks_total} tasks" if run.tasks_total else ""
        ended = f"ended {ago(seconds_since(run.ended_at))} ago" if run.ended_at else ""
        right = f" {self.of.dot} ".join(filter(None, (done, ended)))
        self.query_one(Frame).titles(left=f"Run {self.of.dot} {run.backend}", right=right)
        self._show_tasks()

    def _show_tasks(self) -> None:
        listed = self.query_one("#tasks", OptionList)
        width = listed.scrollable_content_region.width or 40
        at = now()
        begin, seconds = span(self.tasks, self.run_shown, at)
        wide = longest(self.tasks)
        lines = [
            gantt_line(task, width, self.of, at, begin, seconds, wide)
            if self.gantt
            else list_line(task, width, self.of, at)
            for task in self.tasks
        ]
        axis = self.query_one("#axis", Static)
        axis.display = self.gantt and bool(self.tasks)
        axis.update(axis_line(width, seconds, wide))
        names = [task.task for task in self.tasks]
        if self._listed != names:
            at_name = self._log_of
            self._listed = names
            listed.set_options(Option(line) for line in lines)
            if at_name in names:
                listed.highlighted = names.index(at_name)
            return
        for number, line in enumerate(lines):
            shown = listed.get_option_at_index(number).prompt
            if not (isinstance(shown, Content) and shown.is_same(line)):
                listed.replace_option_prompt_at_index(number, line)

    def _show_log_title(self, task: TaskRun, lines: int) -> None:
        log = self.query_one(LogLines)
        errors = f"   {counted(log.errors, 'error')} (e)" if log.errors else ""
        after = f"   after {', '.join(task.depends_on)}" if task.depends_on else ""
        title = Content.assemble((task.task, "bold"), (f"   {counted(lines, 'line')}{errors}{after}", MUTED))
        self.query_one("#log-title", Static).update(title)

    # ---- keys

    def action_view(self) -> None:
        """Bars over time, or the list."""
        if not self.tasks:
            self.app.say("it has no tasks to draw")
        self.gantt = not self.gantt
        self._show_tasks()

    def action_error(self, step: int) -> None:
        """To the next error of the log, from wherever the focus is."""
        log = self.query_one(LogLines)
        if log.errors:
            log.action_error(step)
        else:
            self.app.say("no line of this log looks like an error")

    def action_differences(self) -> None:
        """To all that differs from the last good run."""
        if self._beside is None:
            self.app.say("the last good run is being read")
        else:
            self.app.push_screen(RunComparison(self.session, self.run_shown, self._beside))

    def action_refresh(self) -> None:
        """Read tasks and log again now."""
        self.app.say("reading it again")
        self.session.refresh("pipelines")
        read_again(self)
        self._read()

    def action_menu(self) -> None:
        """What can be done with this run."""
        self.app.push_screen(ActionMenu(self.session, self.run_shown))


def _try_of(task: TaskRun) -> tuple[object, ...]:
    """What tells one try of a task from another."""
    return task.task, task.try_number, task.started_at
