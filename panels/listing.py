"""A list of items, one line each and what belongs below it, that stays where the operator is while data changes."""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar

from msgspec.structs import replace
from rich.style import Style
from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.message import Message

from panels.columns import MEASURED_ROWS, Cell, Kind, Line, Moment, Placed, brief_line, fit, heading, readable, text_of
from panels.columns import row as line_of
from panels.lines import ScrollLines
from panels.rows import INDENT, Row, Rows, source_name

T = TypeVar("T")
FROZEN_S = 3.0
GUTTER = 1
HEADED = 4  # lines, below which the titles of columns are one too many


class Listing(ScrollLines, Generic[T], inherit_bindings=False):
    """Items of one kind. `apply` takes a whole new list; the cursor stays on its item and the view on its place. Enter
    calls `opened` with the item, at once, since keys of the same read are for what it opens.

    While it was touched in the last three seconds the order does not change and new rows wait (`waiting`).
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="list.up", show=False),
        Binding("down,j", "move(1)", "down", id="list.down", show=False),
        Binding("pageup", "page(-1)", "page up", id="list.page_up", show=False),
        Binding("pagedown", "page(1)", "page down", id="list.page_down", show=False),
        Binding("g,home", "first", "first", id="list.first", show=False),
        Binding("G,end", "last", "last", id="list.last", show=False),
        Binding("enter", "select", "open", id="list.open", key_display="⏎"),
        Binding("v", "view", "groups, or each by itself", id="list.view", show=False),
    ]

    class Highlighted(Message):
        """The cursor came to stand on another item (None: on nothing)."""

        def __init__(self, listing: "Listing[Any]", item: Any | None) -> None:
            super().__init__()
            self.listing, self.item = listing, item

        @property
        def control(self) -> "Listing[Any]":
            """The list."""
            return self.listing

    class Changed(Message):
        """What can be said about the list changed: waiting rows, filter, what is below."""

        def __init__(self, listing: "Listing[Any]") -> None:
            super().__init__()
            self.listing = listing

    def __init__(
        self,
        kind: Kind[T],
        *,
        id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id=id)
        self.kind = kind
        self.rows: Rows[T] = Rows(kind)
        self.moment = Moment(datetime.now(UTC))
        self.empty = kind.empty
        self.opened: Callable[[T], object] | None = None
        self.untrusted: frozenset[str] = frozenset()
        self.stale: frozenset[str] = frozenset()
        self.always_focused = False
        self._clock = clock
        self._touched_at = float("-inf")
        self._placed: list[Placed[T]] = []
        self._placed_for = 0
        self._thawing = False

    # ---- data

    def apply(self, items: Iterable[Any], moment: Moment) -> None:
        """Show `items` as of `moment`."""
        self.moment = moment
        frozen = self._clock() - self._touched_at < FROZEN_S
        self.rows.apply(list(items), frozen=frozen)
        if frozen:
            self._thaw_later()
        self._arrange()

    def thaw(self) -> None:
        """Put every row where it belongs now, whatever was touched."""
        self._touched_at = float("-inf")
        self.rows.thaw()
        self._arrange()

    @property
    def waiting(self) -> int:
        """New rows that are held back while the order is frozen."""
        return len(self.rows.late)

    @property
    def items(self) -> list[T]:
        """The rows that are shown, in order."""
        return [row.item for row in self.rows.shown]

    @property
    def current(self) -> Any | None:
        """The item under the cursor."""
        row = self.rows.current
        return None if row is None else self.kind.item(row.item)

    @property
    def amount(self) -> int:
        """How many items the row under the cursor stands for."""
        row = self.rows.current
        return 0 if row is None else self.kind.amount(row.item)

    @property
    def current_text(self) -> str:
        """What is written under the cursor."""
        row = self.rows.current
        return "" if row is None else text_of(self._cells(row, 0)).strip()

    @property
    def cursor(self) -> int:
        """The row of the cursor, from 0."""
        return self.rows.at

    @property
    def filter(self) -> str:
        """What the rows that are shown have to match."""
        return self.rows.filter

    @property
    def narrowed(self) -> bool:
        """Whether less is shown than there is."""
        return bool(self.filter)

    def widen(self) -> None:
        """Take the filter away."""
        self.set_filter("")

    def set_filter(self, query: str) -> None:
        """Show only what matches: words, `key:value`, `!word`."""
        self.rows.filter = query.strip()
        self._arrange()

    def move_to(self, index: int) -> None:
        """Put the cursor on the row `index`, as far as there are rows."""
        moved = self.rows.move_to(index)
        self._reveal()
        if moved:
            self.post_message(self.Highlighted(self, self.current))
        self.post_message(self.Changed(self))

    def move_to_key(self, key: str) -> bool:
        """Put the cursor on the row of that key; False where it is not shown."""
        index = self.rows.find(key)
        if index is not None:
            self.move_to(index)
        return index is not None

    def tick(self, moment: Moment) -> None:
        """Time has passed: write ages anew."""
        self.moment = moment
        self.repaint()

    def wanted(self, width: int, most: int) -> int:
        """How many lines of `width` it would take to say everything that is listed; not counted beyond `most`."""
        titled = self.kind.block is None and self.moment.roomy and any(column.title for column in self.kind.columns)
        lines = self.rows.wanted(width - 2 * GUTTER, self.moment, most) + titled if self.rows.shown else 0
        return len(self.notices) + (lines or len(self._empty_lines))

    # ---- arranging

    def _arrange(self) -> None:
        rows = self.rows
        line_of_cursor = rows.start(rows.at) - self.top
        room = self.room.height - len(self.notices)
        titled = self.kind.block is None and self.moment.roomy and room >= HEADED
        moved = rows.arrange(
            roomy=self.moment.roomy, room=room - titled, width=self.room.width - 2 * GUTTER, moment=self.moment
        )
        self._place()
        self._restore_view(line_of_cursor)
        if moved:
            self.post_message(self.Highlighted(self, self.current))
        self.post_message(self.Changed(self))

    def _restore_view(self, line_of_cursor: int) -> None:
        """Keep the cursor on the line of the screen where it was; the top stays the top, where the worst is."""
        if not self.room.height:
            return
        if self.rows.follow:
            self.top = self.total
        elif self.top and 0 <= line_of_cursor < self.page:
            self.top = self.rows.start(self.rows.at) - line_of_cursor
        self.top = max(0, min(self.top, self.total - self.page))
        if self.has_focus:
            self._reveal()
        self._begin_with_a_row(down=self.rows.row_at(self.top) < self.rows.at)
        self.repaint()

    def _reveal(self) -> None:
        self.reveal(self.rows.start(self.rows.at), self.rows.height(self.rows.at) if self.rows.shown else 1)

    def scroll_to_line(self, top: int) -> None:
        down = top > self.top
        self.top = max(0, min(top, self.total - self.page))
        self._begin_with_a_row(down=down)
        self.repaint()

    def _begin_with_a_row(self, *, down: bool) -> None:
        """A row that is cut at the top shows a reason without what it is the reason of."""
        rows = self.rows
        cut = rows.row_at(self.top) if rows.shown else 0
        if rows.start(cut) < self.top:
            self.top = rows.start(cut + 1) if down and cut + 1 < len(rows.shown) else rows.start(cut)

    def _place(self) -> None:
        width = self.room.width - 2 * GUTTER
        if width > 0 and self.kind.block is None:
            shown = [row.item for row in self.rows.shown[:MEASURED_ROWS]]
            placed = fit(self.kind.columns, width, shown, self.moment)
            self._placed = readable(placed, shown, self.moment) if shown else placed
            self._placed_for = self.room.width

    @property
    def _columns(self) -> Sequence[Placed[T]]:
        """The columns for the width that it has: it may be drawn before it hears of a new one."""
        if self._placed_for != self.room.width:
            self._place()
        return self._placed

    def _thaw_later(self) -> None:
        if self._thawing or not self.is_attached:
            return
        self._thawing = True
        self.set_timer(FROZEN_S, self._thaw_when_quiet)

    def _thaw_when_quiet(self) -> None:
        self._thawing = False
        if self._clock() - self._touched_at < FROZEN_S:
            self._thaw_later()
        else:
            self.thaw()

    def _touch(self) -> None:
        self._touched_at = self._clock()

    # ---- drawing

    @property
    def total(self) -> int:
        return self.rows.total or len(self._empty_lines)

    @property
    def _empty_lines(self) -> list[str]:
        if len(self.rows) and self.filter:
            return [f'Nothing matches "{self.filter}"; Esc clears the filter']
        return self.empty.split("\n")

    @property
    def head(self) -> Sequence[Line]:
        notices = [_inset(brief_line(line, self.room.width - GUTTER, self.cut)) for line in self.notices]
        titled = self.kind.block is None and any(place.column.title for place in self._columns)
        if not self.moment.roomy or not titled or not self.rows.shown or self.room.height < HEADED:
            return notices
        return [*notices, _inset(heading(self._columns))]

    def content_line(self, y: int) -> Line:
        if not self.rows.shown:
            return _inset([Cell(self._empty_lines[y], "muted")])
        index = self.rows.row_at(y)
        row = self.rows.shown[index]
        return [self._sign(row, index), *self._cells(row, y - self.rows.start(index))]

    def _sign(self, row: Row[T], index: int) -> Cell:
        cursor = index == self.rows.at and (self.has_focus or self.always_focused)
        plain = self.moment.symbols.arrow.isascii()
        return Cell(("=" if plain else "▌") if cursor else " ", "strong")

    def _cells(self, row: Row[T], line: int) -> Line:
        width = self.room.width - 2 * GUTTER
        kind, moment = self.kind, self.moment
        distrusted = self._is_distrusted(row)
        if kind.block is not None:
            said = replace(moment, roomy=self.rows.roomy, known=not distrusted, lines=self.rows.lines)
            lines = kind.block(row.item, said, width)
            cells = lines[line] if line < len(lines) else []
            return (
                [Cell(cell.text, cell.tone if cell.tone == "unknown" else "muted") for cell in cells]
                if distrusted
                else cells
            )
        if line:
            words = self.rows.reason_lines(row, width, replace(moment, lines=self.rows.lines))
            loud = kind.health(row.item) in ("critical", "unknown") and not distrusted
            return [Cell(" " * INDENT + words[line - 1], "" if loud else "muted")] if line <= len(words) else []
        cells = line_of(self._columns, row.item, moment)
        if distrusted and cells:
            return [Cell(moment.symbols.unknown, "unknown"), *[Cell(cell.text, "muted") for cell in cells[1:]]]
        return cells

    def _is_distrusted(self, row: Row[T]) -> bool:
        """Whether what it says is not known to be so. What was wrong when its source was last seen stays so."""
        source = source_name(self.kind.item(row.item))
        return source in self.untrusted or (source in self.stale and self.rows.was_well(row))

    def line_style(self, y: int) -> Style:
        line = self.top + y - len(self.head)
        focused = self.has_focus or self.always_focused
        if not focused or not self.rows.shown or not 0 <= line < self.rows.total:
            return Style.null()
        if self.rows.row_at(line) != self.rows.at:
            return Style.null()
        return self.styles_of_tones.cursor

    # ---- events

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()

    def on_focus(self) -> None:
        self._reveal()
        self.refresh()

    def on_blur(self) -> None:
        """What nobody is at shows its top, where the worst is."""
        if not self.rows.follow:
            self.top = 0
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        line = self.line_at(event.y)
        if self.rows.shown and 0 <= line < self.rows.total:
            self._touch()
            self.move_to(self.rows.row_at(line))
            if event.chain > 1:
                self.open_current()

    def action_move(self, by: int) -> None:
        self._go(self.rows.at + by)

    def action_page(self, by: int) -> None:
        line = self.rows.start(self.rows.at) + by * self.page
        self._go(self.rows.row_at(max(0, min(line, self.rows.total - 1))))

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        self._go(len(self.rows.shown) - 1)

    def _go(self, index: int) -> None:
        """Raises SkipAction where that is no other row: the key has not acted, and whoever is next may say so."""
        self._touch()
        before = self.rows.at
        self.move_to(index)
        if self.rows.at == before:
            raise SkipAction

    def action_select(self) -> None:
        if not self.open_current():
            raise SkipAction

    def open_current(self) -> bool:
        """Open what is under the cursor; False where there is nothing, or nothing opens."""
        self._touch()
        if self.opened is None or (item := self.current) is None:
            return False
        self.opened(item)
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The key of another view is there where the kind has one, the key that opens where something opens."""
        if action == "select":
            return self.opened is not None and self.rows.current is not None
        return action != "view" or self.kind.apart is not None

    def action_view(self) -> None:
        """Groups, or each of their members by itself."""
        self._touch()
        self.rows.unfold(not self.rows.unfolded)
        self._arrange()


def _inset(line: Line) -> Line:
    return [Cell(" " * GUTTER), *line]
