"""Which screen shows what. Each is imported when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from backends.models import Alert, TimelineEvent
from console.ports.record import loaded
from console.ports.store import SourceKey
from console.ports.table import port_of
from console.screens import everywhere
from console.screens.host import Host
from console.screens.overview import Overview
from console.screens.working import PRESS_AGAIN, work
from panels.kinds.cause import Cause

if TYPE_CHECKING:
    from actions.models import Request
    from console.screens.choice import Choice


class Opening(Host):
    """An app that opens the screens of `console.screens` over each other, from its keys of every screen too."""

    def open_item(self, item: Any) -> None:
        """The detail of an item."""
        from actions.models import Action

        if isinstance(item, TimelineEvent):
            self._open_event(item)
        elif isinstance(item, Cause):
            self._open_cause(item)
        elif isinstance(item, SourceKey):
            self._open_source(item)
        elif isinstance(item, Action):
            self.open_action(item.id or "")
        elif (port := port_of(item)) is not None:
            self.push_screen(loaded(port.screen)(self.session, item))

    def _open_cause(self, cause: Cause) -> None:
        """All that is in it."""
        from console.screens.causes import CauseScreen

        below = self.screen_stack[0]
        if isinstance(below, Overview):
            self.push_screen(CauseScreen(self, below.folding.causes, cause))

    def _open_source(self, key: SourceKey) -> None:
        """What it answered last."""
        from console.screens.source_detail import SourceDetail

        known = (found for found in self.session.store.snapshots() if found.key == key)
        if (snapshot := next(known, None)) is not None:
            self.push_screen(SourceDetail(self.session, snapshot))

    def _open_event(self, event: TimelineEvent) -> None:
        """What it happened to."""
        if event.kind == "action":
            self.open_action(event.ref)
            return
        known = (found for found in self.session.store.items("pipelines") if found.ref == event.ref)
        if (run := next(known, None)) is not None:
            self.open_item(run)

    @property
    def _alike(self) -> int:
        """Of how many things in one row the one under the cursor is the first."""
        return getattr(self.screen, "alike", 1)

    def open_menu(self, item: Any) -> None:
        """What can be done with an item."""
        from console.screens.menu import ActionMenu

        self.push_screen(ActionMenu(self.session, item, alike=self._alike))

    def take(self, choice: Choice, item: Any) -> None:
        """What a choice of a menu leads to, or why it can not be taken."""
        from console.screens.menu import screen_of

        if choice.reason:
            self.say(choice.reason)
        elif (screen := screen_of(choice, item, self.session, self.open_plan)) is not None:
            self.push_screen(screen)
        else:
            self.open_menu(item)

    def open_plan(self, request: Request) -> None:
        """What would be done; nothing is until it is pressed there."""
        from console.screens.plan import PlanScreen

        self.push_screen(PlanScreen(self.session, request))

    def open_plans(self, requests: Sequence[Request], verb: str, noun: str) -> None:
        """What would be done of each; nothing is until it is pressed there."""
        from console.screens.several import SeveralPlans

        self.push_screen(SeveralPlans(self.session, requests, verb, noun))

    def open_silences(self, alert: Alert | None = None) -> None:
        """What keeps alerts quiet, or what hides `alert`; where its source only reads, that is said."""
        from console.ports.alerts import why_not_silenced
        from console.screens.silences import SilencesScreen

        if alert is not None and (why_not := why_not_silenced(self.session.adapters, alert.backend)):
            self.say(why_not)
            return
        self.push_screen(SilencesScreen(self, alert))

    def open_action(self, action_id: str) -> None:
        """An action while it runs, or as it ended."""
        from console.screens.action import ActionScreen

        self.push_screen(ActionScreen(self.session, action_id))

    def show_submitted(self, action_id: str) -> None:
        """The action in place of its plan; where the plan was an order to what is on screen below, that."""
        from console.screens.action import ActionScreen

        below = self.screen_stack[-2]
        if isinstance(below, ActionScreen) and below.action_id == action_id:
            self.pop_screen()
        else:
            self.switch_screen(ActionScreen(self.session, action_id))

    def acknowledge(self, alert: Alert) -> None:
        """The plan of an acknowledgement, or why there is none."""
        from console.screens.choices import acknowledgement

        choice = acknowledgement(alert, self.session, alike=self._alike)
        if choice.reason or choice.request is None:
            self.say(choice.reason)
        else:
            self.open_plan(choice.request)

    # ---- over everything

    def go_to(self, at: datetime, panel: str = "") -> None:
        """Leave all that lies over the overview, and show `panel` there, or all that has a time, as it was at `at`."""
        self.to_overview(lambda overview: overview.go_to(at, panel))

    def to_overview(self, then: Callable[[Overview], object]) -> None:
        """Leave all that lies over the overview."""
        while len(self.screen_stack) > 1:
            if not self.screen.is_mounted:
                self.screen.call_later(self.to_overview, then)
                return
            self.pop_screen()
        if isinstance(self.screen, Overview):
            then(self.screen)

    # ---- keys of every screen

    def action_not_here(self, name: str) -> None:
        """Say why a key has done nothing."""
        self.say(everywhere.why_not(name, self.screen))

    def action_panel(self, name: str) -> None:
        """A panel alone, from wherever we are; none: the overview. What is written on a form or plan is not left so."""
        if everywhere.is_written_on(self.screen_stack):
            self.say(everywhere.WRITING)
            return
        self.to_overview(lambda overview: overview.board.zoom(name))

    def action_worst(self) -> None:
        """Open what is worst now, of the strip and of all panels: from the alarm to its cause."""
        if everywhere.is_written_on(self.screen_stack):
            self.say(everywhere.WRITING)
            return
        overview = self.screen_stack[0]
        if not isinstance(overview, Overview):
            return
        found = overview.top.worst
        if found is None:
            self.say(overview.top.why_no_worst)
        else:
            self.to_overview(lambda _: self.open_item(found))

    @work(group="way back", exclusive=True, then=PRESS_AGAIN)
    async def action_way_back(self) -> None:
        """Plan the rollback of what the screen is about, else of the action that is open, else of the only service."""
        from console.screens.way_back import way_back

        if everywhere.is_written_on(self.screen_stack):
            self.say(everywhere.WRITING)
            return
        request, why_not = await way_back(everywhere.subject_of(self.screen), self.session)
        if request is None:
            self.say(why_not)
        else:
            self.open_plan(request)

    def action_palette(self) -> None:
        from console.screens.palette import Command, Palette

        async def chosen(command: Command | None) -> None:
            if command is None:
                return
            if command.choice is not None:
                self.take(command.choice, command.item)
            elif command.item is not None:
                self.open_item(command.item)
            else:
                await self.run_action(command.action, command.node)

        self.push_screen(Palette(self.screen), chosen)

    def action_help(self) -> None:
        from console.screens.key_help import help_screen

        self.push_screen(help_screen(self))

    def action_sources(self) -> None:
        from console.screens.source_list import sources_screen

        self.push_screen(sources_screen(self))

    def action_actions(self) -> None:
        from console.screens.action_list import ActionsScreen

        self.push_screen(ActionsScreen(self))

    def action_silences(self) -> None:
        """What keeps alerts quiet; from an alert, what hides it."""
        self.open_silences()

    def action_insights(self) -> None:
        """A query of the logs in their own language, over the time that is looked at."""
        from console.reading.searching import FIX, NONE, searchable
        from console.screens.insights import Insights

        overview = self.screen_stack[0]
        past = overview.clock.past if isinstance(overview, Overview) else None
        sources = searchable(self.session.adapters)
        if sources:
            self.push_screen(Insights(self.session, sources, self.session.window() if past is None else past.window))
        else:
            self.say(f"{NONE}: {FIX}")

    def action_note(self) -> None:
        """A sentence into the audit and the timeline."""
        from console.screens.note import NotePrompt

        self.push_screen(NotePrompt())
