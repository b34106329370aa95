"""A list of items, one line each and what belongs below it, that stays where the operator is while data changes."""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar

from msgspec.structs import replace
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from panels.columns import Cell, Kind, Line, Moment, Placed, Tone, crop, fit, heading, matches, row, text_of
from panels.lines import ScrollLines

T = TypeVar("T")
FROZEN_S = 3.0
GUTTER = 1
INDENT = 4


class _Row(Generic[T]):
    """An item as it is listed. What follows from the item alone is worked out once."""

    __slots__ = ("height", "item", "key", "reason", "sort")

    def __init__(self, key: str, item: T, kind: Kind[T]) -> None:
        self.key, self.item = key, item
        self.sort = kind.sort_key(item)
        self.reason = kind.reason(item)
        self.height = 1


class Listing(ScrollLines, Generic[T], inherit_bindings=False):
    """Items of one kind. `apply` takes a whole new list; the cursor stays on its item and the view on its place.

    While it was touched in the last three seconds the order does not change and new rows wait (`waiting`).
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"listing--cursor"}
    DEFAULT_CSS = """
    Listing > .listing--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="list.up", show=False),
        Binding("down,j", "move(1)", "down", id="list.down", show=False),
        Binding("pageup", "page(-1)", "page up", id="list.page_up", show=False),
        Binding("pagedown", "page(1)", "page down", id="list.page_down", show=False),
        Binding("g,home", "first", "first", id="list.first", show=False),
        Binding("G,end", "last", "last", id="list.last", show=False),
        Binding("enter", "select", "open", id="list.open", key_display="⏎"),
        Binding("space", "mark", "mark", id="list.mark", show=False),
        Binding("asterisk", "mark_all", "mark all", id="list.mark_all", show=False),
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

    class Selected(Message):
        """Enter was pressed on an item."""

        def __init__(self, listing: "Listing[Any]", item: Any) -> None:
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
        id: str | None = None,  # noqa: A002
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id=id)
        self.kind = kind
        self.moment = Moment(datetime.now(UTC))
        self.empty = kind.empty
        self.untrusted: frozenset[str] = frozenset()
        self.filter = ""
        self.marks: set[str] = set()
        self.follow = kind.newest_last
        self._clock = clock
        self._touched_at = float("-inf")
        self._rows: dict[str, _Row[T]] = {}
        self._order: list[_Row[T]] = []
        self._late: list[_Row[T]] = []
        self._shown: list[_Row[T]] = []
        self._starts: list[int] = []
        self._total = 0
        self._cursor: str | None = None
        self._at = 0
        self._placed: list[Placed[T]] = []
        self._thawing = False
        self._roomy = True
        self.always_focused = False

    # ---- data

    def apply(self, items: Iterable[Any], moment: Moment) -> None:
        """Show `items` as of `moment`."""
        old, kind = self._rows, self.kind
        rows: dict[str, _Row[T]] = {}
        for item in kind.fold(list(items)):
            key = kind.key(item)
            if key in rows:
                key = f"{key}\0{len(rows)}"
            known = old.get(key)
            rows[key] = known if known is not None and known.item == item else _Row(key, item, kind)
        terse = moment.roomy != self.moment.roomy
        self.moment, self._rows = moment, rows
        if self._clock() - self._touched_at < FROZEN_S:
            kept = [rows[row.key] for row in self._order if row.key in rows]
            placed = {row.key for row in kept}
            self._late = [row for key, row in rows.items() if key not in placed]
            self._order = kept
            self._thaw_later()
        else:
            known_first = [rows[row.key] for row in self._order if row.key in rows] if not terse else []
            placed = {row.key for row in known_first}
            self._order = known_first + [row for key, row in rows.items() if key not in placed]
            self._order.sort(key=attrgetter("sort"))
            self._late = []
        self.marks &= rows.keys()
        self._arrange()

    def thaw(self) -> None:
        """Put every row where it belongs now, whatever was touched."""
        self._touched_at = float("-inf")
        self._order = sorted([*self._order, *self._late], key=attrgetter("sort"))
        self._late = []
        self._arrange()

    @property
    def waiting(self) -> int:
        """New rows that are held back while the order is frozen."""
        return len(self._late)

    @property
    def items(self) -> list[T]:
        """The rows that are shown, in order."""
        return [row.item for row in self._shown]

    @property
    def everything(self) -> list[T]:
        """All rows, filtered or not, held back or not."""
        return [row.item for row in self._rows.values()]

    @property
    def current(self) -> Any | None:
        """The item under the cursor."""
        return self.kind.item(self._shown[self._at].item) if self._shown else None

    @property
    def current_text(self) -> str:
        """What is written under the cursor."""
        return text_of(self._cells(self._shown[self._at], 0)).strip() if self._shown else ""

    @property
    def cursor(self) -> int:
        """The row of the cursor, from 0."""
        return self._at

    @property
    def marked(self) -> list[Any]:
        """The marked items, in order."""
        return [self.kind.item(row.item) for row in self._shown if row.key in self.marks]

    @property
    def worst(self) -> str:
        """The health of the first row; `ok` for none."""
        return self.kind.health(self._order[0].item) if self._order else "ok"

    def set_filter(self, query: str) -> None:
        """Show only what matches: words, `key:value`, `!word`."""
        self.filter = query.strip()
        self._arrange()

    def move_to(self, index: int) -> None:
        """Put the cursor on the row `index`, as far as there are rows."""
        if not self._shown:
            return
        index = max(0, min(index, len(self._shown) - 1))
        moved = self._shown[index].key != self._cursor
        self._at, self._cursor = index, self._shown[index].key
        self.follow = self.kind.newest_last and index == len(self._shown) - 1
        row = self._shown[index]
        self.reveal(0 if index == 0 else self._starts[index], row.height)
        if moved:
            self.post_message(self.Highlighted(self, self.current))
        self.post_message(self.Changed(self))

    def move_to_key(self, key: str) -> bool:
        """Put the cursor on the row of that key; False where it is not shown."""
        for index, shown in enumerate(self._shown):
            if shown.key == key:
                self.move_to(index)
                return True
        return False

    def tick(self, moment: Moment) -> None:
        """Time has passed: write ages anew."""
        self.moment = moment
        self.repaint()

    # ---- arranging

    def _arrange(self) -> None:
        """Filter, count lines, and put cursor and view back to where they were."""
        line_of_cursor = self._starts[self._at] - self.top if self._shown else 0
        query = self.filter
        self._shown = [row for row in self._order if self._matches(row)] if query else list(self._order)
        self._roomy = self.moment.roomy or self._all_fits()
        for index, shown in enumerate(self._shown):
            shown.height = self._height(shown, self._roomy, first=index == 0)
        ends = list(accumulate(row.height for row in self._shown))
        self._starts, self._total = [0, *ends[:-1]] if ends else [], ends[-1] if ends else 0
        self._place()
        self._restore(line_of_cursor)
        self.post_message(self.Changed(self))

    def _all_fits(self) -> bool:
        room = self.size.height - len(self.notices)
        return len(self._shown) <= room and sum(self._height(shown, True) for shown in self._shown) <= room

    def _height(self, shown: _Row[T], roomy: bool, *, first: bool = False) -> int:
        if self.kind.height is not None:
            return self.kind.height(shown.item, roomy)
        return 2 if shown.reason and (roomy or first) else 1

    def _matches(self, shown: _Row[T]) -> bool:
        return matches(self.filter, self.kind.text(shown.item), lambda: self.kind.fields(shown.item))

    def _restore(self, line_of_cursor: int) -> None:
        before = self._cursor
        if self._shown:
            at = next((index for index, row in enumerate(self._shown) if row.key == self._cursor), None)
            if self.follow:
                at = len(self._shown) - 1
            elif at is None:
                at = 0 if self._cursor is None else min(self._at, len(self._shown) - 1)
            self._at, self._cursor = at, self._shown[at].key
        else:
            self._at, self._cursor = 0, None
        if self.size.height:
            self._restore_view(line_of_cursor)
        if self._cursor != before:
            self.post_message(self.Highlighted(self, self.current))

    def _restore_view(self, line_of_cursor: int) -> None:
        start = self._starts[self._at] if self._shown else 0
        if self.follow:
            self.top = self._total
        elif self.top and 0 <= line_of_cursor < self.page:
            self.top = start - line_of_cursor
        self.top = max(0, min(self.top, self._total - self.page))
        if self._shown and self.has_focus:
            self.reveal(start, self._shown[self._at].height)
        self.repaint()

    def _place(self) -> None:
        width = self.size.width - 2 * GUTTER
        if width > 0 and self.kind.block is None:
            self._placed = fit(self.kind.columns, width, [row.item for row in self._shown[:200]], self.moment)

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
        return self._total or 1

    @property
    def head(self) -> Sequence[Line]:
        notices = [self._inset(line) for line in self.notices]
        titled = self.kind.block is None and any(place.column.title for place in self._placed)
        if not self.moment.roomy or not titled or not self._shown or self.size.height < 4:
            return notices
        return [*notices, self._inset(heading(self._placed))]

    def content_line(self, y: int) -> Line:
        if not self._shown:
            words = f'Nothing matches "{self.filter}"; Esc clears the filter' if self.filter else self.empty
            return self._inset([Cell(words, "muted")])
        index = bisect_right(self._starts, y) - 1
        shown = self._shown[index]
        return self._gutter(shown, index, self._cells(shown, y - self._starts[index]))

    def _inset(self, line: Line) -> Line:
        return [Cell(" " * GUTTER), *line]

    def _gutter(self, shown: _Row[T], index: int, line: Line) -> Line:
        cursor = index == self._at and (self.has_focus or self.always_focused)
        mark = shown.key in self.marks
        tone: Tone = "strong" if cursor else "brand" if mark else ""
        ascii_only = self.moment.symbols.arrow.isascii()
        sign = ("|" if ascii_only else "▌") if cursor else ("*" if ascii_only else "•") if mark else " "
        return [Cell("*" if cursor and mark else sign, tone), *line]

    def _cells(self, shown: _Row[T], line: int) -> Line:
        width = self.size.width - 2 * GUTTER
        kind, moment = self.kind, self.moment
        distrusted = getattr(kind.item(shown.item), "backend", None) in self.untrusted
        if kind.block is not None:
            lines = kind.block(shown.item, replace(moment, roomy=self._roomy), width)
            cells = lines[line] if line < len(lines) else []
            return [Cell(cell.text, "muted") for cell in cells] if distrusted else cells
        if line:
            words = crop(shown.reason, width - INDENT, moment.symbols.ellipsis)
            health = kind.health(shown.item)
            tone: Tone = "" if health in ("critical", "unknown") and not distrusted else "muted"
            return [Cell(" " * (INDENT - GUTTER) + words, tone)]
        cells = row(self._placed, shown.item, moment)
        if distrusted and cells:
            return [Cell(moment.symbols.unknown, "unknown"), *[Cell(cell.text, "muted") for cell in cells[1:]]]
        return cells

    def line_style(self, y: int) -> Style:
        line = self.top + y - len(self.head)
        if not (self.has_focus or self.always_focused) or not self._shown or not 0 <= line < self._total:
            return Style.null()
        if bisect_right(self._starts, line) - 1 != self._at:
            return Style.null()
        return self.get_component_rich_style("listing--cursor", partial=False)

    # ---- events

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()
        self._restore_view(self._starts[self._at] - self.top if self._shown else 0)
        self.post_message(self.Changed(self))

    def on_focus(self) -> None:
        if self._shown:
            self.reveal(self._starts[self._at], self._shown[self._at].height)
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        line = self.top + event.y - len(self.head)
        if self._shown and 0 <= line < self._total:
            self._touch()
            self.move_to(bisect_right(self._starts, line) - 1)
            if event.chain > 1:
                self.action_select()

    def action_move(self, by: int) -> None:
        self._touch()
        self.move_to(self._at + by)

    def action_page(self, by: int) -> None:
        self._touch()
        if self._shown:
            target = max(0, min(self._starts[self._at] + by * self.page, self._total - 1))
            self.move_to(bisect_right(self._starts, target) - 1)

    def action_first(self) -> None:
        self._touch()
        self.move_to(0)

    def action_last(self) -> None:
        self._touch()
        self.move_to(len(self._shown) - 1)

    def action_select(self) -> None:
        self._touch()
        if self._shown:
            self.post_message(self.Selected(self, self.current))

    def action_mark(self) -> None:
        self._touch()
        if self._cursor is not None:
            self.marks ^= {self._cursor}
            self.action_move(1)
            self.repaint()

    def action_mark_all(self) -> None:
        self._touch()
        keys = {row.key for row in self._shown}
        self.marks = self.marks - keys if keys <= self.marks else self.marks | keys
        self.repaint()
