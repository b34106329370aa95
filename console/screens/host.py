"""What screens ask of the app that holds them. They know this and not the app, which knows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from textual.app import App
from textual.geometry import Size
from textual.screen import Screen

if TYPE_CHECKING:
    from textual.worker import Worker

    from actions.models import Action, Request
    from backends.models import Alert
    from console.session import Session
    from panels.header import Place
    from panels.words import Symbols


LEAST = Size(60, 16)
T = TypeVar("T")


def is_too_small(size: Size) -> bool:
    """Whether a terminal of that size has no room for any screen."""
    return size.width < LEAST.width or size.height < LEAST.height


def leave(screen: Screen[T], result: T | None = None) -> None:
    """Go back to what lies below, with what was chosen. A key of the same read may have left it already."""
    if not screen.is_current or len(screen.app.screen_stack) < 2:
        return
    if result is None:
        screen.app.pop_screen()
    else:
        screen.dismiss(result)


class Host(App[None]):
    """An app that opens screens and tells the operator something; `console.app.TealApp` is the one of `teal`."""

    session: Session
    symbols: Symbols
    now: Callable[[], datetime]
    to_terminal: Callable[[str], None] | None = None
    """Writes to the terminal beside what is drawn; None where there is none."""

    @property
    def place(self) -> Place:
        """Where we are, for the header."""
        raise NotImplementedError

    @property
    def armed(self) -> bool:
        """Whether writes that need arming are possible now."""
        return self.session.armed

    def begin(self) -> None:
        """The first screen has been painted: now there may be I/O."""
        raise NotImplementedError

    def attend(self, open_actions: Sequence[Action]) -> None:
        """Ring the terminal for those that need a person, of these and of those that have ended since the last call."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Tell the operator something."""
        raise NotImplementedError

    def copy(self, text: str) -> Worker[None]:
        """Send text to the clipboard and say so."""
        raise NotImplementedError

    def look_back(self, since: timedelta) -> None:
        """Let the feeds read this far back."""
        raise NotImplementedError

    def go_to(self, at: datetime, panel: str = "") -> None:
        """Leave all that lies over the overview, and show `panel` there, or all that has a time, as it was at `at`."""
        raise NotImplementedError

    def leave(self, open_actions: Sequence[Action] = ()) -> None:
        """Quit, and say which actions go on without this console."""
        raise NotImplementedError

    def acknowledge(self, alert: Alert) -> None:
        """The plan of an acknowledgement, or why there is none."""
        raise NotImplementedError

    def open_item(self, item: Any) -> None:
        """The detail of an item."""
        raise NotImplementedError

    def open_menu(self, item: Any) -> None:
        """What can be done with an item."""
        raise NotImplementedError

    def open_plan(self, request: Request) -> None:
        """What would be done; nothing is until it is pressed there."""
        raise NotImplementedError

    def open_plans(self, requests: Sequence[Request], verb: str, noun: str) -> None:
        """What would be done of each; nothing is until it is pressed there."""
        raise NotImplementedError

    def open_silences(self, alert: Alert | None = None) -> None:
        """What keeps alerts quiet, or what hides `alert`; where its source only reads, that is said."""
        raise NotImplementedError

    def open_action(self, action_id: str) -> None:
        """An action while it runs, or as it ended."""
        raise NotImplementedError

    def show_submitted(self, action_id: str) -> None:
        """The action in place of its plan, which is the screen on top."""
        raise NotImplementedError
