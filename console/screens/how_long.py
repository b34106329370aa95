"""How long something is to last: one line over whatever is on the screen, before its plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from console.screens.prompt import TextLine
from console.screens.silence import lasting

if TYPE_CHECKING:
    from console.screens.host import Host

USUAL = "1h"


class HowLong(ModalScreen[None]):
    """Enter hands `chosen` the seconds from now, and closes; Escape closes. What is no time is said and stays."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back", id="how_long.back")]
    DEFAULT_CSS = """
    HowLong {
        align: center bottom;
        Static { width: 100%; height: auto; padding: 0 1; background: $panel; }
        Input, Input:focus { border: none; height: 1; padding: 0 1; background: $panel; width: 100%; }
    }
    """
    app: Host

    def __init__(self, question: str, chosen: Callable[[float], None], usual: str = USUAL) -> None:
        super().__init__()
        self._question, self._chosen, self._usual = question, chosen, usual

    def compose(self) -> ComposeResult:
        yield Static(f"{self._question} 1h, 3d, until 18:30   Enter plans it, Esc leaves", id="asks", markup=False)
        yield TextLine(placeholder=self._usual)

    def on_mount(self) -> None:
        self.query_one(TextLine).value = self._usual

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        zone = self.app.session.context.zone
        try:
            seconds = lasting(event.value or self._usual, self.app.now(), zone)
        except ValueError as error:
            self.query_one("#asks", Static).update(str(error))
            return
        self.dismiss()
        self._chosen(seconds)

    def action_back(self) -> None:
        """Close it; nothing is planned."""
        self.dismiss()
