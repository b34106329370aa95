"""The line to type a filter or a search into: what is typed takes effect at once."""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

REST = 3  # times as long as a list took to be narrowed down is waited before it is again


def give_on(app: App[Any], event: events.Key) -> None:
    """Let a key that came while its receiver was left have what has the focus now. That it bubbles is not enough: what
    is being removed passes nothing on."""
    event.stop()
    app.post_message(events.Key(event.key, event.character))


class TextLine(Input):
    """Takes also what was typed before it had focus, in one read behind the key that opened it (`TealApp.on_key`): that
    is text, and never the command that it is elsewhere. What comes behind the Enter or the Esc that left it is for what
    has the focus then: so `entered` and `left`, if there are any, are called at once, where a message would come round
    after those keys."""

    def __init__(
        self,
        *,
        placeholder: str,
        entered: Callable[[], object] | None = None,
        left: Callable[[], None] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(compact=True, placeholder=placeholder, **settings)
        self._entered, self._left = entered, left

    async def on_key(self, event: events.Key) -> None:
        if self.app.focused is not self:
            event.prevent_default()
            give_on(self.app, event)
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            await self.action_submit()
        elif event.key == "escape" and self._left is not None:
            event.stop()
            event.prevent_default()
            self._left()

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
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "clear", id="prompt.clear", key_display="Esc"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._typed: Callable[[str], object] = lambda _: None
        self._back: Widget | None = None
        self._next_at = 0.0
        self._later: Timer | None = None

    @cached_property
    def _sign(self) -> Static:
        return Static(id="sign", markup=False)

    @cached_property
    def _field(self) -> TextLine:
        hint = "words, key:value, !not   Enter keeps, Esc clears"
        return TextLine(placeholder=hint, entered=self._close, left=self.action_give_up)

    def ask(self, sign: str, text: str, typed: Callable[[str], object], *, back: Widget) -> None:
        """Open with `text`; `typed` is told what stands in it, nothing once it was taken back: at once, but where that
        takes long not at every letter. `back` has the focus afterwards."""
        self._typed, self._back, self._next_at = typed, back, 0.0
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
        if self._field.disabled or self._later is not None:
            return
        wait = self._next_at - time.monotonic()
        if wait > 0:
            self._later = self.set_timer(wait, self._tell)
        else:
            self._tell()

    def _tell(self) -> None:
        if self._later is not None:
            self._later.stop()
            self._later = None
        began = time.monotonic()
        self._typed(self._field.value)
        ended = time.monotonic()
        self._next_at = ended + REST * (ended - began)

    def action_give_up(self) -> None:
        self._field.value = ""
        self._close()

    def _close(self) -> None:
        self._tell()  # before the keys of the same read, which are for what is left
        self.remove_class("-asking")
        self.screen.set_focus(self._back)  # as above
        self._field.disabled = True
