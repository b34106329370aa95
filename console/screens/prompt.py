"""The line to type a filter or a search into: what is typed takes effect at once."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static


def has_text_focus(app: App[Any]) -> bool:
    """Whether letters are text now, and no commands."""
    return bool(app.screen_stack) and isinstance(app.screen.focused, Input)


class TextLine(Input):
    """Takes also what was typed before it had focus, in one read behind the key that opened it (`TealApp.on_key`): that
    is text, and never the command that it is elsewhere. What comes behind the Enter that left it is for what has the
    focus then: so `entered`, if there is one, is called at once, where a message would come round after those keys."""

    def __init__(self, *, placeholder: str, entered: Callable[[], None] | None = None) -> None:
        super().__init__(compact=True, placeholder=placeholder)
        self._entered = entered

    async def on_key(self, event: events.Key) -> None:
        if self.screen.focused is not self:
            event.prevent_default()
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            await self.action_submit()

    async def action_submit(self) -> None:
        """Enter."""
        if self._entered is None:
            await super().action_submit()
        else:
            self._entered()


class Prompt(Horizontal):
    """Empty and hidden until asked, so that the first paint need not know how an Input looks (5 ms to make one and for
    its CSS). Enter keeps what was typed, Escape takes it back."""

    DEFAULT_CSS = """
    Prompt { height: 1; display: none; }
    Prompt.-asking { display: block; }
    Prompt > Static { width: auto; padding: 0 0 0 1; text-style: bold; }
    Prompt > Input, Prompt > Input:focus { border: none; height: 1; padding: 0; background: $panel; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "clear", id="prompt.clear")]

    class Typed(Message):
        """What stands in it now; nothing once it was taken back."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose, self.text = purpose, text

    def __init__(self) -> None:
        super().__init__()
        self._purpose = ""
        self._back: Widget | None = None

    @cached_property
    def _sign(self) -> Static:
        return Static(id="sign", markup=False)

    @cached_property
    def _field(self) -> TextLine:
        return TextLine(placeholder="words, key:value, !not   Enter keeps, Esc clears", entered=self._close)

    def ask(self, sign: str, purpose: str, text: str = "", *, back: Widget) -> None:
        """Open with `text`; messages carry `purpose`. `back` has the focus afterwards."""
        self._purpose, self._back = purpose, back
        if not self._field.is_attached:
            self.mount(self._sign, self._field)
        self._sign.update(sign)
        self.add_class("-asking")
        self._field.disabled = False
        with self.prevent(Input.Changed):
            self._field.value = text
        self.screen.set_focus(self._field)  # at once: focus() comes round after the keys of the same read

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(self._purpose, event.value))

    def action_give_up(self) -> None:
        self._field.value = ""  # told like all that was typed before it, and after it
        self._close()

    def _close(self) -> None:
        self.remove_class("-asking")
        self.screen.set_focus(self._back)  # as above
        self._field.disabled = True
