"""The line to type a filter or a search into: what is typed takes effect at once."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


class TextLine(Input):
    """Takes also what was typed before it had focus, in one read behind the key that opened it (`TealApp.on_key`): that
    is text, and never the command that it is elsewhere."""


class Prompt(Horizontal):
    """Empty and hidden until asked, so that the first paint need not know how an Input looks (2 ms of CSS). Enter keeps
    what was typed, Escape takes it back."""

    DEFAULT_CSS = """
    Prompt { height: 1; display: none; }
    Prompt.-asking { display: block; }
    Prompt > Static { width: auto; padding: 0 0 0 1; text-style: bold; }
    Prompt > Input, Prompt > Input:focus { border: none; height: 1; padding: 0; background: $panel; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "clear", id="prompt.clear")]

    class Typed(Message):
        """Something was typed."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose, self.text = purpose, text

    class Left(Message):
        """The prompt was left: with its text, or None where it was taken back."""

        def __init__(self, purpose: str, text: str | None) -> None:
            super().__init__()
            self.purpose, self.text = purpose, text

    def __init__(self) -> None:
        super().__init__()
        self._purpose = ""
        self._sign = Static(id="sign", markup=False)
        self._field = TextLine(compact=True, placeholder="words, key:value, !not   Enter keeps, Esc clears")

    def ask(self, sign: str, purpose: str, text: str = "") -> None:
        """Open with `text`; messages carry `purpose`."""
        self._purpose = purpose
        if not self._field.is_attached:
            self.mount(self._sign, self._field)
        self._sign.update(sign)
        self.add_class("-asking")
        self._field.disabled = False
        with self.prevent(Input.Changed):
            self._field.value = text
        self.screen.set_focus(self._field)  # now: focus() comes round after the keys of the same read

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(self._purpose, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close(event.value)

    def action_give_up(self) -> None:
        self._close(None)

    def _close(self, text: str | None) -> None:
        self.remove_class("-asking")
        self._field.disabled = True
        self.post_message(self.Left(self._purpose, text))
