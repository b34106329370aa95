"""What the detail screens share: a frame with two titles, labelled paragraphs, a line of keys, the way back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from textual.actions import SkipAction
from textual.await_remove import AwaitRemove
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Key, Resize
from textual.geometry import Size
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Input

from console.screens.moving import can_scroll
from console.screens.prompt import TextLine, give_on
from panels.links import urls
from panels.words import UNICODE, Symbols

if TYPE_CHECKING:
    from textual.app import App

    from console.ports.store import Snapshot
    from console.screens.host import Host
    from console.session import Session

SECOND_ENTER_S = 0.5
PRESS_AGAIN = "Enter came here at once from the line above: press it again to go on"
KEY_ORDER = ("back", "menu", "rollback", "action.rollback", "run.view", "run.error", "run.compare", "plan.view")
LEAST_BESIDE = 24
BELOW = 4
_GLUE = "\ue000"
_PERCENT = re.compile(r"(?<=\d) %")
MUTED = "dim"
STRONG = "bold"
LOUD = "bold reverse $text-error"

_STYLE = {
    "critical": "bold $text-error", "failed": "bold $text-error", "rollback_failed": "bold $text-error",
    "block": "bold $text-error", "conflict": "bold $text-error", "mixed": "bold $text-error",
    "unknown": "bold $text-accent", "in_doubt": "bold $text-accent", "warning": "$text-warning",
    "late": "$text-warning", "cancelled": "$text-warning", "aborted": "$text-warning", "paused": "$text-warning",
    "waiting": "$text-warning", "abandoned": "$text-warning", "pending": MUTED, "queued": MUTED, "skipped": MUTED,
}  # fmt: skip


def style_of(word: str) -> str:
    """The style of a health, run state, step status or finding level. What is fine carries no hue."""
    return _STYLE.get(word, "")


def symbols(app: App[Any]) -> Symbols:
    """The characters of this terminal: Unicode, or ASCII where the app says so."""
    found = getattr(app, "symbols", UNICODE)
    return found if isinstance(found, Symbols) else UNICODE


def mark(word: str, of: Symbols) -> Content:
    """The symbol of a state, in its style."""
    return Content.styled(of.critical if word == "block" else of.of(word), style_of(word))


def armed(app: App[Any], session: Session) -> bool:
    """Whether writes that need arming may be planned. The app's word counts: it knows of idleness and of a stop."""
    found = getattr(app, "armed", None)
    return session.armed if found is None else bool(found)


def now() -> datetime:
    """Aware UTC."""
    return datetime.now(UTC)


def now_of(app: App[Any]) -> datetime:
    """The time that the app goes by."""
    found: Callable[[], datetime] = getattr(app, "now", now)
    return found()


def seconds_since(at: datetime | None) -> float | None:
    """The age of a time, never negative."""
    return None if at is None else max(0.0, (now() - at).total_seconds())


def fit(text: str | Content, width: int, *, right: bool = False) -> Content:
    """`text` in exactly `width` cells: cut with an ellipsis or padded."""
    content = text if isinstance(text, Content) else Content(text)
    return content.right(width, ellipsis=True) if right else content.truncate(width, ellipsis=True, pad=True)


def sides(left: Content, right: Content, width: int) -> Content:
    """One line with something at either end; the left one gives way."""
    room = max(0, width - right.cell_length - 1)
    return fit(left, room) + " " + right if room > 4 else left.truncate(width, ellipsis=True)


class Frame(Vertical):
    """A box whose upper edge carries a title and, at its right end, what is to be known about the age or phase.

    With the class `-fitted` it is as tall as what it holds: a VerticalScroll gives way where that is more than there
    is room for, and children of the classes `top` and `bottom` never do.
    """

    DEFAULT_CSS = """
    Frame { border: round $foreground 35%; border-title-color: $foreground; padding: 0 1; height: 1fr; }
    Frame.-ascii { border: ascii $foreground 35%; }
    Frame.-fitted { height: auto; max-height: 100%; }
    Frame.-fitted > VerticalScroll { height: auto; max-height: 1fr; }
    Frame.-fitted > .top { dock: top; height: auto; }
    Frame.-fitted > .bottom { dock: bottom; height: auto; }
    """

    def __init__(self, *children: Widget, title: str, id: str | None = None, fitted: bool = False) -> None:  # noqa: A002
        super().__init__(*children, id=id, classes="-fitted" if fitted else None)
        self._left, self._right = Content.styled(title, STRONG), Content()

    def titles(self, left: str | Content | None = None, right: str | Content | None = None) -> None:
        """Replace either title."""
        before = self._left, self._right
        if left is not None:
            self._left = left if isinstance(left, Content) else Content.styled(left, STRONG)
        if right is not None:
            self._right = right if isinstance(right, Content) else Content(right)
        if not (before[0].is_same(self._left) and before[1].is_same(self._right)):
            self._draw()

    def on_mount(self) -> None:
        self.set_class(symbols(self.app) is not UNICODE, "-ascii")

    def on_resize(self, event: Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        room = self.outer_size.width - 6 - self._left.cell_length
        if not self._right or room < 4:
            self.border_title = self._left
            return
        right = self._right.truncate(room - 2, ellipsis=True)
        line = "-" if self.has_class("-ascii") else "━" if self.styles.border_top[0] == "heavy" else "─"
        fill = Content.styled(line * (room - right.cell_length - 2), "$foreground 35%")
        self.border_title = Content.assemble(self._left, " ", fill, " ", right)


class Row(NamedTuple):
    """A lead, the text that wraps beside it, and what stands at the right end of its first line."""

    lead: Content
    body: Content
    tail: Content = Content()

    def same(self, other: Row) -> bool:
        """Equal in text and style."""
        return all(mine.is_same(theirs) for mine, theirs in zip(self, other, strict=True))


def row(lead: str | Content, body: str | Content, style: str = "", *, tail: str = "") -> Row:
    """A row of plain strings; `style` for the whole body, whose URLs are links."""
    return Row(
        lead if isinstance(lead, Content) else Content.styled(lead, MUTED),
        body if isinstance(body, Content) else linked(body, style),
        Content.styled(tail, MUTED),
    )


def linked(text: str, style: str = "") -> Content:
    """The text in a style, its URLs as links."""
    content = Content.styled(text, style)
    for link in urls(text):
        content = content.stylize(Style(link=link.target), link.start, link.end)
    return content


def _plain_arrows(each: Row, arrow: str) -> Row:
    """Where `>` says what is live, an arrow is two characters."""
    return Row(*(Content(arrow).join(part.split(UNICODE.arrow, allow_blank=True)) for part in each))


class Paragraphs(Widget):
    """Rows of a short lead and a text that wraps beside it, under itself. Data is shown as it is, never as markup."""

    DEFAULT_CSS = "Paragraphs { height: auto; }"

    def __init__(self, indent: int, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._indent = indent
        self._rows: tuple[Row, ...] = ()
        self._wrapped: tuple[int, list[Content]] = (-1, [])
        self.display = False

    def show(self, rows: Iterable[Row]) -> None:
        """Replace the rows; none at all hides the widget."""
        arrow = symbols(self.app).arrow
        new = tuple(rows) if arrow == UNICODE.arrow else tuple(_plain_arrows(each, arrow) for each in rows)
        if len(new) == len(self._rows) and all(a.same(b) for a, b in zip(new, self._rows, strict=True)):
            return
        self._rows, self._wrapped = new, (-1, [])
        self.display = bool(new)
        self.refresh(layout=True)

    @property
    def indent(self) -> int:
        """Where the texts begin beside their leads."""
        return self._indent

    @indent.setter
    def indent(self, indent: int) -> None:
        if indent != self._indent:
            self._indent, self._wrapped = indent, (-1, [])
            self.refresh(layout=True)

    @property
    def text(self) -> str:
        """What it says, unwrapped."""
        return "\n".join(" ".join(part.plain for part in row if part) for row in self._rows)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def render(self) -> Content:
        return Content("\n").join(self._lines(self.content_size.width))

    def _lines(self, width: int) -> list[Content]:
        if self._wrapped[0] != width:
            lines = [line for each in self._rows for line in self._of_row(each, width)]
            self._wrapped = (width, lines)
        return self._wrapped[1]

    def _of_row(self, each: Row, width: int) -> list[Content]:
        lead, body, tail = each
        indent = self._indent
        room = width - indent - (tail.cell_length + 2 if tail else 0)
        if body and body.cell_length > room and room < LEAST_BESIDE < indent:
            # Beside its lead the text would be a column of words: it stands below.
            head = [sides(lead, tail, width) if tail else lead.truncate(width, ellipsis=True)]
            return head + [Content(" " * BELOW) + line for line in _wrapped(body, max(8, width - BELOW))]
        head_line = fit(lead, indent) if body else lead
        first, *others = _wrapped(body, max(8, room)) if body else [Content()]
        line = head_line + first
        lines = [sides(line, tail, width) if tail else line.truncate(width, ellipsis=True)]
        return lines + [Content(" " * indent) + text for text in others]


def _wrapped(body: Content, width: int) -> list[Content]:
    """In lines of `width`, broken between words; a number stays with its percent sign."""
    glued = Content(_PERCENT.sub(_GLUE + "%", body.plain), list(body.spans))
    return [Content(line.plain.replace(_GLUE, " "), list(line.spans)) for line in glued.wrap(width)]


_UNDERLINE = "_" * 240  # as far as the field goes


class Field(TextLine):
    """A line of a form: Enter goes on at once, Esc leaves it, so that what is typed behind goes where it led."""

    def __init__(self, id: str, value: str = "", *, max_length: int = 0) -> None:  # noqa: A002
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
    WRITTEN_ON: ClassVar[bool] = False  # whether it holds what a person has written or is asked to agree to
    app: Host
    DEFAULT_CSS = """
    Page { layout: vertical; KeyBar { dock: bottom; } VerticalScroll, OptionList { scrollbar-size-vertical: 1; } }
    Page.-protected Frame { border: heavy $text-error; }
    Page.-protected Frame.-ascii { border: ascii $text-error; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._armed_as_shown = session.armed
        self._stop_listening: Callable[[], None] | None = None
        self._arrived_at = 0.0  # when Enter led to the button that goes on

    def on_mount(self) -> None:
        self._armed_as_shown = self.armed
        self.set_class(self.WRITES and self.session.context.protected, "-protected")
        self.set_interval(1.0, self._watch_arming)

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

    def place(self) -> Content:
        """Where we are, in the words that the header uses: PRODUCTION, SANDBOX, read-only."""
        context = self.session.context
        name = "SANDBOX" if context.sandbox else context.name.upper()
        limits = "read-only" if context.read_only else ""
        if context.protected and not context.read_only:
            limits = "armed" if self.armed else "read-only (! arms)"
        loud = (f" {name} ", LOUD) if context.protected else (name, STRONG)
        return Content.assemble(loud, (f"  {limits}" if limits else "", MUTED))

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
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()


def listing(names: Sequence[str], most: int = 4) -> str:
    """`a, b, c and 3 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
