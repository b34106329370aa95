"""A full screen about one thing, with the way back, and the lines of text that a person fills in on one."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.actions import SkipAction
from textual.await_remove import AwaitRemove
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Key, Resize, ScreenResume
from textual.geometry import Size
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from actions.models import Refused
from console.screens.host import leave
from console.screens.moving import can_scroll
from console.screens.parts import LOUD, MUTED, STRONG, armed, sides, symbols
from console.screens.prompt import TextLine, give_on
from panels.words import Symbols

if TYPE_CHECKING:
    from console.ports.store import Snapshot
    from console.screens.host import Host
    from console.session import Session

SECOND_ENTER_S = 0.5
AGAIN_S = 2.0
"""What could not be read is read again so soon."""
PRESS_AGAIN = "Enter came here at once from the line above: press it again to go on"
_UNDERLINE = "_" * 240  # as far as the field goes


class Field(TextLine):
    """A line of a form: Enter goes on at once, Esc leaves it, so that what is typed behind goes where it led."""

    def __init__(self, id: str, value: str = "", *, max_length: int = 0) -> None:
        super().__init__(
            placeholder=_UNDERLINE, id=id, value=value, max_length=max_length, select_on_focus=False, left=self._leave
        )
        self.cursor_blink = False

    async def action_submit(self) -> None:
        """Enter."""
        page = self.screen
        if isinstance(page, Page):
            page.go_on_from(self)

    def _leave(self) -> None:
        page = self.screen
        if isinstance(page, Page):
            page.action_back()


class Page(Screen[None]):
    """A full screen about one thing, with the way back. `WRITES`: something may come to be written here, so that a
    protected context is the loudest thing on it."""

    WRITES: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "back", "back", id="back", key_display="q"),
        Binding("j", "app.simulate_key('down')", "down", id="down", show=False),
        Binding("k", "app.simulate_key('up')", "up", id="up", show=False),
        Binding("g", "app.simulate_key('home')", "to the top", id="top", show=False),
        Binding("G", "app.simulate_key('end')", "to the end", id="bottom", show=False),
        Binding("tab", "move_focus(1)", "to the next field or list", id="panel.next", show=False),
        Binding("shift+tab", "move_focus(-1)", "to the one before", id="panel.previous", show=False),
        Binding("pageup", "page(-1)", "what is above", id="list.page_up", show=False),
        Binding("pagedown", "page(1)", "what is below", id="list.page_down", show=False),
    ]
    app: Host
    DEFAULT_CSS = """
    Page { layout: vertical; KeyBar { dock: bottom; } VerticalScroll, OptionList { scrollbar-size-vertical: 1; } }
    /* Of a list that is as tall as its place the bar has its column from the start: lines made before it fit. */
    Page #tasks, Page #actions { scrollbar-gutter: stable; }
    Page.-protected Frame { border: heavy $text-error; }
    Page.-protected Frame.-ascii { border: ascii $text-error; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._armed_as_shown = session.armed
        self._stop_listening: Callable[[], None] | None = None
        self._arrived_at = 0.0  # when Enter led to the button that goes on
        self._again: dict[object, Timer] = {}
        self._left_at: Size | None = None  # how large the terminal was when something came over it

    def on_mount(self) -> None:
        self._armed_as_shown = self.armed
        self.set_class(self.WRITES and self.session.context.protected, "-protected")
        self.set_interval(1.0, self._watch_arming)

    def on_screen_suspend(self) -> None:
        self._left_at = self.app.size

    def on_screen_resume(self, event: ScreenResume) -> None:
        """What the terminal's size was changed to meanwhile is news: Textual tells it before it is laid out, or not."""
        if self._left_at not in (None, self.app.size):
            self.post_message(Resize(self.app.size, self.app.size, self.app.size))

    @property
    def is_written_on(self) -> bool:
        """Whether leaving it would lose what a person has written or is asked to agree to."""
        return False

    def redraw(self) -> None:
        """Show again what depends on where we are and what may be done. Screens add theirs."""

    def _watch_arming(self) -> None:
        if self.armed != self._armed_as_shown:
            self._armed_as_shown = self.armed
            self.redraw()

    @property
    def armed(self) -> bool:
        """Whether writes that need arming may be planned here and now."""
        return armed(self.app, self.session)

    @property
    def of(self) -> Symbols:
        """The characters of this terminal."""
        return symbols(self.app)

    def with_place(self, what: Content, width: int) -> Content:
        """What a page is about, and where we are at its right end: of that, what may be done goes first where there is
        no room for all."""
        right = self.place()
        if what.cell_length + right.cell_length >= width:
            right = self.place(limits=False)
        return sides(what, right, width)

    def place(self, *, limits: bool = True) -> Content:
        """Where we are, in the words that the header uses: PRODUCTION, SANDBOX, and as `limits` read-only."""
        context = self.session.context
        name = "SANDBOX" if context.sandbox else context.name.upper()
        may = "read-only" if context.read_only else ""
        if context.protected and not context.read_only:
            may = "armed" if self.armed else "read-only (! arms)"
        loud = (f" {name} ", LOUD) if context.protected else (name, STRONG)
        return Content.assemble(loud, (f"  {may}" if may and limits else "", MUTED))

    def again(self, read: Callable[[], Any], lost: Exception) -> None:
        """Call `read` once more in `AGAIN_S`, unless this screen has gone by then: its source did not answer. That
        it is refused is an answer."""
        if isinstance(lost, Refused):
            return
        if (due := self._again.pop(read, None)) is not None:
            due.stop()
        self._again[read] = self.set_timer(AGAIN_S, partial(self._while_here, read))

    def listen(self, listener: Callable[[Snapshot], None]) -> None:
        """Hear of each snapshot until this screen goes."""
        self._stop_listening = self.session.store.listen(partial(self._while_here, listener))

    def once_drawn(self, show: Callable[[], None]) -> None:
        """Call `show` after the next paint, if this screen is still there: Textual lets the screen on top call it."""
        self.call_after_refresh(self._while_here, show)

    def _while_here(self, show: Callable[..., None], *told: Snapshot) -> None:
        if self.is_running:  # what does not run has no widgets left to show anything
            show(*told)

    def stop_listening(self) -> None:
        """Hear of none any more; safe to call twice."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    def remove(self) -> AwaitRemove:
        """Go. What this screen reads and hears ends before its widgets do: an answer would find nothing to show it."""
        self.workers.cancel_node(self)
        self.stop_listening()
        return super().remove()

    def action_move_focus(self, step: int) -> None:
        """To the next thing that takes keys: from a line of text to the button that goes on, which Cancel stands
        before. Raises SkipAction where there is no other."""
        before = self.focused
        self.focus_next() if step > 0 else self.focus_previous()
        if step > 0 and isinstance(before, Input) and self.focused is not None and self.focused.id == "leave":
            self.focus_next()
        if self.focused is before:
            raise SkipAction

    def action_page(self, step: int) -> None:
        """Scroll the first text that has more in that direction. Raises SkipAction where none has."""
        for text in self.query(VerticalScroll):
            if can_scroll(text, "page_down" if step > 0 else "page_up"):
                text.scroll_page_down() if step > 0 else text.scroll_page_up()
                return
        raise SkipAction

    def go_on_from(self, field: Input) -> None:
        """Enter in a line of text: to the next one, behind the last to the button that goes on."""
        fields = [each for each in self.query(Input) if all(node.display for node in each.ancestors_with_self
                  if isinstance(node, Widget))]  # fmt: skip
        following = fields[fields.index(field) + 1 :]
        button = self.query_one("#go")
        if following or button.display:
            self.set_focus(following[0] if following else button)  # at once: the next key of the same read is for it
            self._arrived_at = 0.0 if following else time.monotonic()

    def is_second_enter(self) -> bool:
        """Whether the button is pressed by the finger that led to it: nobody has read it yet."""
        before, self._arrived_at = self._arrived_at, time.monotonic()
        second = self._arrived_at - before < SECOND_ENTER_S
        self._arrived_at = self._arrived_at if second else 0.0
        return second

    def hold_key(self, event: Key) -> bool:
        """Stop a key that came before anybody can have seen what it would act on, and say whether it was typed here.
        Esc leaves at once, so that the next key of the same read is for what is below; so is all that comes then."""
        event.stop()
        if not self.is_current:
            give_on(self.app, event)
            return False
        if event.key != "escape":
            return True
        event.prevent_default()
        self.action_back()
        return False

    def action_back(self) -> None:
        """Leave. What runs goes on."""
        leave(self)
