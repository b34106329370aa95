"""Which screen shows what. Each is imported when it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backends.models import Alert, TimelineEvent
from console.ports.record import loaded
from console.ports.store import SourceKey
from console.ports.table import port_of
from console.screens.host import Host

if TYPE_CHECKING:
    from actions.models import Request
    from console.screens.choices import Choice


class Opening(Host):
    """An app that opens the screens of `console.screens` over each other."""

    def open_item(self, item: Any) -> None:
        """The detail of an item."""
        from actions.models import Action

        if isinstance(item, TimelineEvent):
            self._open_event(item)
        elif isinstance(item, SourceKey):
            self._open_source(item)
        elif isinstance(item, Action):
            self.open_action(item.id or "")
        elif (port := port_of(item)) is not None:
            self.push_screen(loaded(port.screen)(self.session, item))

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
        """What keeps alerts quiet, or what hides `alert`."""
        from console.screens.silences import SilencesScreen

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
