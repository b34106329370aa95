"""What the detail screens share: a frame with two titles, labelled paragraphs, a line of keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.geometry import Size
from textual.style import Style
from textual.widget import Widget

from panels.links import urls
from panels.words import UNICODE, Symbols

if TYPE_CHECKING:
    from textual.app import App

    from console.session import Session

KEY_ORDER = ("back", "menu", "rollback", "action.rollback", "run.view", "run.error", "run.compare", "plan.view")
LEAST_BESIDE = 24
LEAST_TITLE = 16
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
    "late": "$text-warning", "cancelled": "$text-warning", "stopped": "$text-warning", "aborted": "$text-warning",
    "paused": "$text-warning",
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

    def __init__(self, *children: Widget, title: str, id: str | None = None, fitted: bool = False) -> None:
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
        width = self.outer_size.width - 6
        # A long name gives way: what stands at the right end says where we are.
        left = self._left.truncate(max(LEAST_TITLE, width - self._right.cell_length - 2), ellipsis=True)
        room = width - left.cell_length
        if not self._right or room < 4:
            self.border_title = self._left
            return
        right = self._right.truncate(room - 2, ellipsis=True)
        line = "-" if self.has_class("-ascii") else "━" if self.styles.border_top[0] == "heavy" else "─"
        fill = Content.styled(line * (room - right.cell_length - 2), "$foreground 35%")
        self.border_title = Content.assemble(left, " ", fill, " ", right)


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

    def __init__(self, indent: int, *, id: str | None = None, classes: str | None = None) -> None:
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


def listing(names: Sequence[str], most: int = 4) -> str:
    """`a, b, c and 3 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
