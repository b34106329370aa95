"""How long something is to last: one line over whatever is on the screen, before its plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from console.screens.host import leave
from console.screens.parts import now_of
from console.screens.prompt import TextLine
from console.screens.silence import lasting

if TYPE_CHECKING:
    from console.screens.host import Host

USUAL = "1h"


class HowLong(ModalScreen[None]):
    """Enter hands `chosen` the seconds from now, and closes; Escape closes. What is no time is said and stays.

    `endless`: until when it lasts where nothing is written; `chosen` gets None then.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back", id="how_long.back", key_display="Esc")]
    DEFAULT_CSS = """
    HowLong {
        align: center bottom;
        Static { width: 100%; height: auto; padding: 0 1; background: $panel; }
        Input, Input:focus { border: none; height: 1; padding: 0 1; background: $panel; width: 100%; }
    }
    """
    app: Host

    def __init__(
        self, question: str, chosen: Callable[[float | None], object], usual: str = USUAL, *, endless: str = ""
    ) -> None:
        super().__init__()
        self._question, self._chosen, self._usual, self._endless = question, chosen, usual, endless

    def compose(self) -> ComposeResult:
        ends = f"; empty: {self._endless}" if self._endless else ""
        asks = f"{self._question} 1h, 3d, until 18:30{ends}   Enter plans it, Esc leaves"
        yield Static(asks, id="asks", markup=False)
        yield TextLine(placeholder=self._endless or self._usual, entered=self._enter, left=self.action_back)

    def on_mount(self) -> None:
        self.query_one(TextLine).value = self._usual

    def _enter(self) -> None:
        zone = self.app.session.context.zone
        written = self.query_one(TextLine).value.strip()
        try:
            endless = self._endless and not written
            seconds = None if endless else lasting(written or self._usual, now_of(self.app), zone)
        except ValueError as error:
            self.query_one("#asks", Static).update(str(error))
            return
        self.dismiss()
        self._chosen(seconds)

    def action_back(self) -> None:
        """Close it; nothing is planned."""
        leave(self)
