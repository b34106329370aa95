"""One service with its colors: what is live and who says so, both sides, the way back, and what was done to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize, ScreenResume, Unmount
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from actions.models import Action, Refused, Request
from backends.errors import BackendError
from backends.models import Deployment, RunCondition
from console.ports.store import Snapshot
from console.screens import deployment_lines as lines
from console.screens import readings
from console.screens.action import ActionScreen
from console.screens.detail import Detail
from console.screens.menu import ActionMenu
from console.screens.moving import Options
from console.screens.parts import (
    KEY_ORDER,
    MUTED,
    Frame,
    Paragraphs,
    mark,
    now_of,
    row,
    style_of,
)
from console.screens.plan import PlanScreen
from console.screens.plan_words import refusal
from console.screens.traces import TracesAround, can_show
from console.screens.working import read_again, work
from panels.keybar import KeyBar
from panels.kinds.deployments import action_words
from panels.words import ago

if TYPE_CHECKING:
    from console.session import Session

AGES_S = 5.0
READ_TIMEOUT_S = 15.0
SHOWN_ACTIONS = 50
CONDITIONS_S = 20.0


def _told_of_actions(item: Deployment) -> tuple[object, ...]:
    """What the list of actions says, too: where one of these changes it is read anew."""
    return item.action, item.action_about, item.action_held, item.orphaned_since, item.action_stopped, item.last_switch


class DeploymentDetail(Detail):
    """A deployment as the store knows it, live. Enter opens the chosen action, of which the open one is first."""

    AUTO_FOCUS = "#actions"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (22, "-tall")]  # noqa: RUF012 - no ClassVar in Textual, either
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "menu", "actions", id="menu", tooltip="what can be done with this service"),
        Binding("b", "rollback", "roll back", id="rollback", tooltip="plan a rollback of this service"),
        Binding("r", "refresh", "read this service again", id="refresh", show=False),
        Binding("T", "traces", "traces through this service", id="traces.here", show=False),
    ]
    DEFAULT_CSS = """
    DeploymentDetail {
        #subject { height: 1; margin-bottom: 1; }
        #trouble { margin-bottom: 1; }
        #facts { height: auto; max-height: 70%; }
        #truth, #sides, #conditions, #way { margin-bottom: 1; }
        &.-short #subject, &.-short #truth, &.-short #sides, &.-short #conditions, &.-short #way { margin-bottom: 0; }
        #actions-title { height: 1; color: $text-muted; }
        #actions { height: 1fr; min-height: 2; border: none; padding: 0; background: transparent; text-wrap: nowrap; }
    }
    """

    def __init__(self, session: Session, deployment: Deployment) -> None:
        super().__init__(session)
        self.deployment = deployment
        self.history: list[Action] = []
        self._unread = Content.styled("reading what was done to it…", MUTED)
        self._conditions: tuple[RunCondition, ...] = ()
        self._conditions_known = True
        self._listed: list[str | None] = []
        self._fetched_age: Callable[[], float | None] = lambda: None

    @property
    def subject(self) -> Deployment:
        return self.deployment

    def compose(self) -> ComposeResult:
        with Frame(title="Deployment", id="frame"):
            yield Static(id="subject", markup=False)
            yield Paragraphs(2, id="trouble")
            with VerticalScroll(id="facts", can_focus=False):
                yield Paragraphs(21, id="truth")
                yield Paragraphs(0, id="sides")
                yield Paragraphs(2, id="conditions")
                yield Paragraphs(7, id="way")
            yield Static("what was done to it", id="actions-title", markup=False)
            yield Options(id="actions", markup=False)
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        for snapshot in self.session.store.snapshots("deployments"):
            self._take(snapshot)
        self.listen(self._on_snapshot)
        self._show()
        self.set_interval(AGES_S, self._show)
        self.set_interval(CONDITIONS_S, self._look_around)

    def on_unmount(self, event: Unmount) -> None:
        self.stop_listening()

    def on_resize(self, event: Resize) -> None:
        self.once_drawn(self._show)

    def on_screen_resume(self, event: ScreenResume) -> None:
        self._read()
        self._look_around()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "traces":
            return can_show(self.session)
        return super().check_action(action, parameters)

    def action_traces(self) -> None:
        """Those that failed or were slow in the last hour."""
        self.app.push_screen(TracesAround(self.session, self.deployment))

    # ---- reading

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.key.panel != "deployments":
            return
        before = self.deployment
        if self._take(snapshot):
            self._show()
            if _told_of_actions(before) != _told_of_actions(self.deployment):
                self._read()

    def _take(self, snapshot: Snapshot) -> bool:
        """True where the snapshot is about this deployment."""
        found = next((item for item in snapshot.items if item.ref == self.deployment.ref), None)
        if found is None and snapshot.key.name != self.deployment.backend:
            return False
        if found is not None:
            self.deployment = found
        self._fetched_age = snapshot.age_s
        return True

    def _lost(self, error: Refused | BackendError | TimeoutError) -> None:
        said = " ".join(part.plain for part in refusal(error, self.of)[0] if part)
        self._unread = Content.styled(said, style_of("unknown"))
        self._show_actions()

    @work(group="actions", exclusive=True, lost=_lost)
    async def _read(self) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                found = await self.session.actions()
        except (Refused, BackendError, TimeoutError) as error:
            self._lost(error)
            self.again(self._read, error)
            return
        self._unread = Content()
        mine = [action for action in found if action.service == self.deployment.service]
        self.history = sorted(mine, key=lambda action: not action.open)[:SHOWN_ACTIONS]
        self._show_actions()

    def _look_around(self) -> None:
        if self.app.screen is self:  # nobody looks at it under another page
            self._read_conditions()

    def _conditions_lost(self, _: BackendError | TimeoutError) -> None:
        self._conditions_known = False  # why is said where the service itself can not be read
        self._show()

    @work(group="conditions", exclusive=True, lost=_conditions_lost)
    async def _read_conditions(self) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                self._conditions = await self.session.conditions(self.deployment.backend) or ()
        except (BackendError, TimeoutError) as error:
            self._conditions_lost(error)
            return
        self._conditions_known = True
        self._show()

    # ---- what is shown

    def redraw(self) -> None:
        self._show()

    def _show(self) -> None:
        deployment, of, now = self.deployment, self.of, now_of(self.app)
        lost = readings.lost_source(self.session.store, "deployments", deployment.backend, now)
        known, stale = lost is None, []
        if lost is not None:
            why = ": ".join(filter(None, (lost.error or "no answer", lost.fix)))
            stale = [row(mark("unknown", of), f"stale {lost.age(now)}: {why}", style_of("unknown"))]
        subject = self.query_one("#subject", Static)
        width = subject.content_size.width or self.app.size.width - 4
        subject.update(self.with_place(lines.live_line(deployment, of, known=known), width))
        against = lines.known_against(deployment, of, self.session.context.zone)
        self.query_one("#trouble", Paragraphs).show([*against, *lines.disagreement(deployment, of), *stale])
        self.query_one("#truth", Paragraphs).show(lines.truth_rows(deployment, of, known=known))
        columns, table = lines.side_columns(deployment, width), self.query_one("#sides", Paragraphs)
        table.indent = lines.side_indent(columns)
        table.show(lines.side_rows(deployment, of, columns, known=known))
        around = lines.condition_rows(self._conditions, of, known=known and self._conditions_known)
        self.query_one("#conditions", Paragraphs).show(around)
        back = lines.back_row(deployment, of, self.session.context.zone, sides_said=True)
        way = [*lines.controller_rows(deployment, of), back, lines.last_row(deployment.last_switch, of)]
        if impact := self.session.impact(deployment.ref):
            way.append(row("impact", "; ".join(impact)))
        self.query_one("#way", Paragraphs).show(way)
        age = self._fetched_age()
        self.query_one(Frame).titles(
            left=f"Deployment {of.dot} {deployment.service}", right="" if age is None else f"read {ago(age)} ago"
        )
        self._show_actions()

    def _show_actions(self) -> None:
        listed = self.query_one("#actions", OptionList)
        heading = self.query_one("#actions-title", Static)  # as wide, also while there is no list to be seen
        width = listed.scrollable_content_region.width or heading.content_size.width - 1  # that of the bar
        shown = [lines.action_line(action, width, self.of) for action in self.history]
        ids = [action.id for action in self.history]
        if self._listed != ids:
            self._listed = ids
            listed.set_options(Option(line) for line in shown)
            listed.highlighted = 0 if ids else None
        else:
            for number, line in enumerate(shown):
                prompt = listed.get_option_at_index(number).prompt
                if not (isinstance(prompt, Content) and prompt.is_same(line)):
                    listed.replace_option_prompt_at_index(number, line)
        listed.display = bool(ids)
        title = "what was done to it" if ids else "nothing was done to it from here yet: x lists what can be"
        style = MUTED
        if self.deployment.action:
            about = action_words(self.deployment, now_of(self.app))
            title, style = f"open: {about}; Enter shows it", ""
        if self.deployment.orphaned_since is not None:
            style = style_of("critical")
            title = title if "nobody runs it" in title else title.replace("; Enter", ", nobody runs it; Enter")
        if self.deployment.action_stopped:
            style = style_of("critical")
        heading.update(self._unread or Content.styled(title, style))

    # ---- keys

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        action_id = self._listed[event.option_index]
        if action_id:
            self.app.push_screen(ActionScreen(self.session, action_id))

    def action_menu(self) -> None:
        """What can be done with this service."""
        self.app.push_screen(ActionMenu(self.session, self.deployment))

    def action_rollback(self) -> None:
        """Plan the way back."""
        self.app.push_screen(PlanScreen(self.session, Request(kind="rollback", service=self.deployment.service)))

    def action_refresh(self) -> None:
        """Read the service and its actions again now."""
        self.app.say("reading it again")
        self.session.refresh("deployments")
        read_again(self)
        self._read()
        self._look_around()
