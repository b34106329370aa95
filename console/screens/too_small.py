"""What lies over every screen while there is no room for it: no key acts on what nobody can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from console.screens.host import LEAST, is_too_small
from panels.columns import Cell, Line
from panels.lines import Lines

if TYPE_CHECKING:
    from console.screens.host import Host


class _Words(Lines):
    def line(self, y: int) -> Line:
        if y == 0:
            return [Cell(f"teal needs {LEAST.width} by {LEAST.height}; this terminal", "strong")]
        return (
            [Cell(f"is {self.size.width} by {self.size.height}. q quits; or: teal status", "muted")] if y == 1 else []
        )


class TooSmall(ModalScreen[None]):
    """Says how large a terminal has to be, and goes once it is."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "leave", "quit", id="quit", show=False)]
    DEFAULT_CSS = "TooSmall { background: $background; }"
    app: Host

    def compose(self) -> ComposeResult:
        yield _Words()

    def on_screen_resume(self) -> None:
        """Another screen was opened over it, and is left."""
        if not is_too_small(self.app.size):
            self.app.pop_screen()

    def action_leave(self) -> None:
        """Quit; what runs goes on."""
        self.app.leave(getattr(self.app.screen_stack[0], "open_actions", ()))
