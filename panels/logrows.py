"""Where log lines are on the screen: the rows of those in sight, the cursor, the bar at the right.

Only what is visible is laid out: the view knows the line at its top and lays out from there, so that lines may be of
any height and a batch of new ones costs the same whether a hundred or a hundred thousand are held.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.style import Style

from panels.columns import Cell, Line, Moment, brief_line
from panels.lines import ScrollLines
from panels.loglines import Layout
from panels.logstore import LogStore
from panels.widths import display_width

MAX_SOURCE = 14


class LogRows(ScrollLines, inherit_bindings=False):
    """The lines of a `LogStore`, drawn. `top` is the position of the first line in sight among those shown."""

    def __init__(self, max_bytes: int, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.moment = Moment(datetime.now(UTC))
        self.store = LogStore(max_bytes)
        self.filter = ""
        self.search = ""
        self.wrap = False
        self.stamps = ""
        self.empty = "No log lines"
        self._at = 0  # the number of the line under the cursor
        self._skip = 0  # rows of the top line that lie above the view
        self._marks: set[int] = set()
        self._unfolded: set[int] = set()
        self._rows: list[tuple[int, Line]] = []

    @property
    def total(self) -> int:
        return len(self.store.shown) or 1

    @property
    def head(self) -> Sequence[Line]:
        return [[Cell(" "), *brief_line(line, self.room.width - 1, self.cut)] for line in self.notices]

    @property
    def _top_number(self) -> int:
        shown = self.store.shown
        return shown[self.top] if self.top < len(shown) else self.store.end

    def repaint(self) -> None:
        self._lay_out()
        super().repaint()

    def _layout(self) -> Layout:
        shown = self.store.shown
        visible = shown[self.top : self.top + self.page]
        width = max((display_width(self.store[number].source) for number in visible), default=4)
        stamps = self.stamps or ("long" if self.moment.roomy else "short")
        room = self.room.width - 1
        source_width = max(4, min(width, MAX_SOURCE))
        return Layout(room, self.moment, source_width=source_width, stamps=stamps, wrap=self.wrap, search=self.search)

    def _rows_of(self, layout: Layout, number: int) -> list[Line]:
        ascii_only = self.moment.symbols.arrow.isascii()
        cursor = number == self._at and self.has_focus
        bar = Cell(("=" if ascii_only else "▌") if cursor else "*" if number in self._marks else " ", "strong")
        return layout.rows(self.store[number], bar=bar, unfolded=number in self._unfolded)

    def _lay_out(self) -> None:
        """Lay out from the top line down, as far as there is room."""
        layout, shown = self._layout(), self.store.shown
        rows: list[tuple[int, Line]] = []
        for position in range(self.top, len(shown)):
            rows += [(shown[position], line) for line in self._rows_of(layout, shown[position])]
            if len(rows) >= self.page + self._skip:
                break
        self._rows = rows[self._skip : self._skip + self.page]

    def _to_end(self) -> None:
        """The last row of the last line at the bottom."""
        self._reveal_above(len(self.store.shown) - 1)

    def _reveal_above(self, position: int) -> None:
        """The line at `position` as the last one in sight."""
        self.top = max(0, position - self.page + 1)
        layout, shown, room = self._layout(), self.store.shown, self.page
        while position >= 0:
            height = len(self._rows_of(layout, shown[position]))
            self.top = position
            if height >= room:
                # The line under the cursor is shown from its beginning, also where it is higher than the view.
                self._skip = height - room if shown[position] != self._at else 0
                return
            room -= height
            position -= 1
        self.top, self._skip = 0, 0

    def reveal(self, first: int, count: int = 1) -> None:
        """Scroll as little as possible to have the line at that position in sight."""
        if first <= self.top:
            self.top, self._skip = max(0, first), 0
        else:
            self._lay_out()
            number = self.store.shown[first]
            whole = len(self._rows_of(self._layout(), number)) if self._rows else 1
            if sum(other == number for other, _ in self._rows) < min(whole, self.page):
                self._reveal_above(first)
        self.repaint()

    def line(self, y: int) -> Line:
        head = self.head
        if y < len(head):
            return head[y]
        y -= len(head)
        if not self.store.shown:
            words = f'No line has "{self.filter}"' if self.filter else self.empty
            return [Cell(" "), Cell(words, "muted")] if y == 0 else []
        return self._rows[y][1] if y < len(self._rows) else []

    def right_edge(self, y: int) -> Cell | None:
        """The bar at the right: where the view is, where errors are, where the search finds something."""
        shown, height = self.store.shown, self.page
        y -= len(self.head)
        if len(shown) <= height or y < 0:
            return None
        low, high = y * len(shown) // height, max((y + 1) * len(shown) // height, y * len(shown) // height + 1)
        first, last = shown[min(low, len(shown) - 1)], shown[min(high, len(shown)) - 1]
        ascii_only = self.moment.symbols.arrow.isascii()
        match, bad = Cell("o" if ascii_only else "●", "strong"), Cell("!", "critical")
        for numbers, mark in ((self.store.matches, match), (self.store.errors, bad)):
            at = bisect_left(numbers, first)
            if at < len(numbers) and numbers[at] <= last:
                return mark
        inside = low < self.top + height and high > self.top
        return Cell("#" if ascii_only else "┃", "focused") if inside else Cell(" ")

    def line_style(self, y: int) -> Style:
        y -= len(self.head)
        on_cursor = self.has_focus and 0 <= y < len(self._rows) and self._rows[y][0] == self._at
        return self.styles_of_tones.cursor if on_cursor else Style.null()
