"""One cause over the whole screen: what was changed before, and every member, each of which opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.actions import SkipAction
from textual.binding import Binding, BindingType

from backends.models import Alert, Deployment, PipelineRun
from console.reading.not_well import Causes
from console.screens import readings
from console.screens.about import copy_command_of, go_there, page_of, time_of
from console.screens.lists import ListScreen
from panels.columns import Cell, Moment
from panels.kinds.cause import Cause
from panels.kinds.causes import MEMBERS, words_of
from panels.sources import Source

if TYPE_CHECKING:
    from console.screens.host import Host


class CauseScreen(ListScreen):
    """What is told of one cause. It stays as it was last seen where nothing of it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "menu", "actions", id="menu", tooltip="what can be done with this"),
        Binding("a", "acknowledge", "ack", id="acknowledge", tooltip="acknowledge this alert"),
        Binding("S", "silences", "what silences this alert, as a list", id="silences.here", show=False),
        Binding("l", "there('logs')", "logs", id="logs.here", tooltip="logs at the time of this"),
        Binding("t", "there('timeline')", "timeline", id="timeline.here", tooltip="timeline at the time of this"),
        Binding("comma", "there('')", "runs, logs and timeline at the time of this", id="all.here", show=False),
        Binding("y", "copy", "copy this row", id="copy.row", show=False),
        Binding("Y", "copy_command", "copy the teal command that shows this", id="copy.command", show=False),
        Binding("o", "url", "show the URL of this", id="url", show=False),
    ]

    def __init__(self, app: Host, causes: Causes, cause: Cause) -> None:
        super().__init__(f"Cause: {cause.about or cause.likely.text}", MEMBERS, self._now, opened=app.open_item)
        self._causes, self._cause = causes, cause
        self._over = False

    def _now(self) -> Sequence[Cause]:
        found = (self._causes.of(member.ref) for member in self._cause.members)
        now = next((cause for cause in found if cause is not None), None)
        self._over = now is None
        self._cause = now or self._cause
        return [self._cause]

    def sources(self, moment: Moment) -> Sequence[Source]:
        return [readings.source_of(found, moment.now) for found in readings.judged(self.app.session.store)]

    def extra(self) -> Sequence[Cell]:
        tone = "" if self._cause.health == "ok" else self._cause.health
        return [Cell("over, as it was", "strong") if self._over else Cell(words_of(self._cause.counts), tone)]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys show where they do something."""
        item = self.subject if self.is_mounted else None
        match action:
            case "menu":
                return isinstance(item, PipelineRun | Deployment | Alert)
            case "acknowledge" | "silences":
                return isinstance(item, Alert)
            case "there":
                return time_of(item) is not None
            case "url":
                return bool(page_of(self.app, item))
            case _:
                return super().check_action(action, parameters)

    def action_menu(self) -> None:
        self.app.open_menu(self.subject)

    def action_acknowledge(self) -> None:
        if isinstance(item := self.subject, Alert):
            self.app.acknowledge(item)

    def action_silences(self) -> None:
        if isinstance(item := self.subject, Alert):
            self.app.open_silences(item)

    def action_there(self, panel: str) -> None:
        go_there(self.app, self.subject, panel)

    def action_copy(self) -> None:
        if not self.list.current_text:
            raise SkipAction
        self.app.copy(self.list.current_text)

    def action_copy_command(self) -> None:
        copy_command_of(self.app, self.subject)

    def action_url(self) -> None:
        self.app.say(page_of(self.app, self.subject))
