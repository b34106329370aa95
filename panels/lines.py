"""Widgets that draw lines of cells themselves: one strip per line, only where it changed.

Data reaches the terminal as plain segments, never as markup. A widget repaints by comparing each visible line with
what was last drawn, so that a refresh that changes nothing writes nothing (an SSH link at 3 a.m.).
"""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from panels.columns import Cell, Line, Moment, line_width
from panels.theme import Styles, styles_of
from panels.widths import beginning, display_width


class Lines(Widget):
    """A widget of fixed lines: `line(y)` gives the cells, `line_style(y)` what lies under them."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
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
        return Style.null()

    def right_edge(self, y: int) -> Cell | None:
        """What stands in the last column, whatever the line is; None for nothing."""
        return None

    def repaint(self) -> None:
        """Draw the lines that differ from what is on the screen."""
        size = self.size
        if not size.height:
            return  # before its first layout there is nothing on the screen to differ from
        self._look()
        changed = []
        for y in range(size.height):
            if self._strip(y) != self._painted.get(y):
                changed.append(Region(0, y, size.width, 1))
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
        edge = self.right_edge(y)
        room, styles = self.size.width - (edge is not None), self._styles
        under = self.line_style(y)
        base, on_cursor = self._base + under, bool(under)
        cells = [*_fitted(self.line(y), room, self.cut), *([] if edge is None else [edge])]
        segments = [
            Segment(cell.text, base + _linked(styles.style(cell.tone, on_cursor=on_cursor), cell.link))
            for cell in cells
            if cell.text
        ]
        return Strip(segments, self.size.width)  # told, not counted anew: see `panels.widths`


class ScrollLines(Lines, can_focus=True):
    """Lines longer than the widget is high. `top` is the first one shown; `head` lines stay where they are.

    Scrolling is a number, not a layout: ten thousand rows cost what the visible ones cost. `notices` are said above
    everything, `empty` is said where there is nothing.
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.top = 0
        self.notices: Sequence[Line] = ()
        self.empty = ""

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
        return max(1, self.size.height - len(self.head))

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
