"""Widgets that draw lines of cells themselves: one strip per line, only where it changed.

Data reaches the terminal as plain segments, never as markup. A widget repaints by comparing each visible line with
what was last drawn, so that a refresh that changes nothing writes nothing (an SSH link at 3 a.m.).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from panels.columns import Cell, Line, Moment, line_width
from panels.theme import Styles, styles_of
from panels.widths import beginning, display_width

_NOTHING = Style.null()


class Lines(Widget):
    """A widget of fixed lines: `line(y)` gives the cells, `line_style(y)` what lies under them."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._painted: dict[int, Strip] = {}
        self._base = Style.null()
        self._styles = styles_of({})
        self.cut = "…"

    def line(self, y: int) -> Line:
        """The cells of the line `y` of what is visible."""
        raise NotImplementedError

    def line_style(self, y: int) -> Style:
        """A style under the whole line: the cursor's background."""
        return _NOTHING

    def right_edge(self, y: int) -> Cell | None:
        """What stands in the last column, whatever the line is; None for nothing."""
        return None

    def repaint(self) -> None:
        """Draw the lines that differ from what is on the screen."""
        self.repaint_lines(range(self.size.height))

    def repaint_lines(self, wanted: Iterable[int]) -> None:
        """Of those lines, draw the ones that differ from what is on the screen."""
        size = self.size
        if not size.height:
            return  # before its first layout there is nothing on the screen to differ from
        self._look()
        changed = [Region(0, y, size.width, 1) for y in wanted if self._strip(y) != self._painted.get(y)]
        if changed:
            self.refresh(*changed)

    def render_lines(self, crop: Region) -> list[Strip]:
        self._look()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        strip = self._painted[y] = self._strip(y)
        return strip

    @property
    def styles_of_tones(self) -> Styles:
        """What tones look like in this theme."""
        return self._styles

    def _look(self) -> None:
        # The style of a widget blends those of all its ancestors: once a frame, not once a line.
        self._base = self.rich_style
        self._styles = styles_of(self.app.theme_variables)

    def _strip(self, y: int) -> Strip:
        width = self.size.width
        return Strip(self._segments(y, width), width)  # told, not counted anew: see `panels.widths`

    def _segments(self, y: int, width: int) -> list[Segment]:
        edge = self.right_edge(y)
        cells = _fitted(self.line(y), width - (edge is not None), self.cut)
        return self._drawn(cells if edge is None else [*cells, edge], self.line_style(y))

    def _drawn(self, cells: Sequence[Cell], under: Style = _NOTHING) -> list[Segment]:
        """Each cell in the style of its tone, on what lies `under` the line."""
        styles, base, on_cursor = self._styles, self._base + under, bool(under)
        return [
            Segment(cell.text, base + _linked(styles.style(cell.tone, on_cursor=on_cursor), cell.link))
            for cell in cells
            if cell.text
        ]


class Edging(Protocol):
    """The upper or the lower edge of a box, as `panels.edges` has it."""

    def line(self, width: int, *, focused: bool) -> Line:
        """The edge of a box that is `width` cells wide."""

    def side(self, *, focused: bool) -> Cell:
        """What stands left and right of what is between the edges."""


class ScrollLines(Lines, can_focus=True):
    """Lines longer than the widget is high. `top` is the first one shown; `head` lines stay where they are.

    Scrolling is a number, not a layout: ten thousand rows cost what the visible ones cost. `notices` are said above
    everything, `empty` is said where there is nothing. In a box, `edges` are the upper and the lower one: as widgets of
    their own they would be two thirds of what the first paint has to lay out.
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.top = 0
        self.notices: Sequence[Line] = ()
        self.empty = ""
        self.edges: tuple[Edging, Edging] | None = None

    @property
    def room(self) -> Size:
        """What there is inside of the edges."""
        return self.size if self.edges is None else self.size - (2, 2)

    def repaint_edges(self) -> None:
        """Draw what is said in the edges, where it differs from what is on the screen."""
        self.repaint_lines((0, self.size.height - 1))

    def line_at(self, y: int) -> int:
        """Which line of the content is `y` lines below the top of the widget."""
        return self.top + y - len(self.head) - (self.edges is not None)

    @property
    def total(self) -> int:
        """How many lines there are to scroll over."""
        raise NotImplementedError

    @property
    def head(self) -> Sequence[Line]:
        """Lines that stay on top."""
        return ()

    def content_line(self, y: int) -> Line:
        """The cells of line `y` of the content."""
        raise NotImplementedError

    def tick(self, moment: Moment) -> None:
        """Time has passed: write what ages anew."""
        self.repaint()

    @property
    def page(self) -> int:
        """How many lines of the content are visible."""
        return max(1, self.room.height - len(self.head))

    @property
    def below(self) -> int:
        """How many lines of the content lie below what is visible."""
        return max(0, self.total - self.top - self.page)

    def line(self, y: int) -> Line:
        head = self.head
        if y < len(head):
            return head[y]
        line = self.top + y - len(head)
        return self.content_line(line) if line < self.total else []

    def _segments(self, y: int, width: int) -> list[Segment]:
        if self.edges is None:
            return super()._segments(y, width)
        upper, lower = self.edges
        if y in (0, self.size.height - 1):
            return self._drawn((upper if y == 0 else lower).line(width, focused=self.has_focus))
        side = self._drawn([upper.side(focused=self.has_focus)])
        return [*side, *super()._segments(y - 1, width - 2), *side]

    def scroll_to_line(self, top: int) -> None:
        """Make `top` the first line shown, as far as there are lines."""
        self.top = max(0, min(top, self.total - self.page))
        self.repaint()

    def reveal(self, first: int, count: int = 1) -> None:
        """Scroll as little as possible to have lines `first` … `first + count - 1` visible, the first one at least."""
        top = self.top
        if first + count > top + self.page:
            top = first + count - self.page
        self.scroll_to_line(min(top, first))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_to_line(self.top + 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_to_line(self.top - 3)


def sides(left: Sequence[Cell], right: Sequence[Cell], width: int, fill: Cell | None = None) -> Line:
    """Cells at either end of `width`, with `fill` (one character) between; the left ones are cut first."""
    filler = fill or Cell(" ")
    space = width - line_width(right)
    kept: Line = []
    for cell in left:
        room = space - line_width(kept)
        if display_width(cell.text) > room:
            if room > 3:
                kept.append(Cell(beginning(cell.text, room - 1) + "…", cell.tone, cell.link))
            break
        kept.append(cell)
    between = width - line_width(kept) - line_width(right)
    return [*kept, Cell(filler.text * max(0, between), filler.tone), *right]


def _linked(style: Style, target: str) -> Style:
    return style.update_link(target) if target else style


def _fitted(line: Sequence[Cell], width: int, cut: str) -> Line:
    """The line in exactly `width` cells; what does not fit ends in `cut`."""
    if (short := width - line_width(line)) >= 0:
        return [*line, Cell(" " * short)]
    mark = Cell(cut if width > 1 else "")
    room = width - display_width(mark.text)
    kept: Line = []
    for cell in line:
        kept.append(Cell(beginning(cell.text, room), cell.tone, cell.link))
        room -= display_width(kept[-1].text)
        if kept[-1].text != cell.text:
            break
    return [*kept, Cell(" " * max(0, room)), mark]
