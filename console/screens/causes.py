"""One cause over the whole screen: what was changed before, and every member, each of which opens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.actions import SkipAction
from textual.binding import Binding, BindingType

from backends.models import Alert, Deployment, PipelineRun
from console.reading.not_well import Causes
from console.screens import readings
from console.screens.about import copy_command_of, go_there, page_of, time_of
from console.screens.lists import ListScreen
from console.screens.places import CAUSES
from console.screens.working import Work
from panels.columns import Cell, Moment
from panels.header import Trouble
from panels.kinds.cause import Cause
from panels.kinds.causes import MEMBERS, words_of
from panels.sources import Source

if TYPE_CHECKING:
    from console.ports.store import Snapshot
    from console.screens.host import Host
    from console.screens.overview import Overview
    from panels.words import Symbols

HANDFUL = 5
"""More than these of one cause are said once, above all panels."""
SETTLE_S = 0.3
"""So long after a source was read its news are worked out, with those that come meanwhile."""


class Folding:
    """Works out the causes of what the store of `overview` holds, whenever a source was read."""

    def __init__(self, overview: Overview, shown: Callable[[str], None]) -> None:
        session = overview.app.session
        self._overview, self._shown = overview, shown
        self.causes = Causes(session.store, session.links)
        self._waiting = False

    def listen(self) -> Callable[[], None]:
        """From now on, beginning with what is known; returns the way to stop."""
        self._heard()
        return self._overview.app.session.store.listen(self._heard)

    def _heard(self, _: Snapshot | None = None) -> None:
        if not self._waiting:
            self._waiting = True
            self._overview.set_timer(SETTLE_S, self._begin)

    def _begin(self) -> None:
        self._waiting = False
        Work(node=self._overview, name="causes", asked=self._read, group="causes").begin()

    async def _read(self) -> None:
        if await self.causes.read(self._overview.app.now()):
            self._shown(CAUSES)


def shared(causes: Sequence[Cause], symbols: Symbols) -> list[Trouble]:
    """What the strip says of those that many things share."""
    return [
        Trouble(
            cause.health, symbols.of(cause.health), f"{len(cause.members):,} of one cause: {cause.likely.text}", cause
        )
        for cause in causes if len(cause.members) > HANDFUL and cause.health != "ok"
    ]  # fmt: skip


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


def open_cause(app: Host, cause: Cause) -> None:
    """The screen of one."""
    below: Any = app.screen_stack[0]
    app.push_screen(CauseScreen(app, below.folding.causes, cause))
