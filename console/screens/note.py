"""A note for the others: one line over whatever is on the screen, written into the audit by Enter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from backends.errors import BackendError
from backends.text import clean
from console.screens.host import leave
from console.screens.prompt import TextLine
from console.screens.working import work

if TYPE_CHECKING:
    from console.screens.host import Host

MAX_CHARS = 1000


class NotePrompt(ModalScreen[None]):
    """Enter writes it down, Escape forgets it. What could not be written stays to be tried again."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back", id="note.back", key_display="Esc")]
    DEFAULT_CSS = """
    NotePrompt {
        align: center bottom;
        Input, Input:focus { border: none; height: 1; padding: 0 1; background: $panel; width: 100%; }
    }
    """
    app: Host

    def compose(self) -> ComposeResult:
        asks = "a note for the others   Enter writes it down, Esc forgets it"
        yield TextLine(placeholder=asks, entered=self._enter, left=self.action_back)

    def _enter(self) -> None:
        sentence = clean(self.query_one(TextLine).value, MAX_CHARS).strip()
        if sentence:
            self._write(sentence)
        else:
            self.action_back()

    @work(exclusive=True, then="The note may be written: 6 shows the timeline.")
    async def _write(self, sentence: str) -> None:
        try:
            await self.app.session.orders.note(sentence)
        except BackendError as error:
            self.app.say(f"not noted: {error.message}")
            return
        self.app.say(f"noted: {sentence}")
        self.app.session.refresh("timeline")
        self.action_back()

    def action_back(self) -> None:
        """Close it; what was not entered is not written."""
        leave(self)
