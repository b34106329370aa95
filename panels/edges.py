"""The edges of a box: its upper one says key, name, counts and the age of the data, its lower one what is hidden."""

from collections.abc import Sequence

from panels.columns import Cell, Line, Tone, crop, line_width
from panels.lines import sides
from panels.words import UNICODE, Symbols

LEAST_FACT = 12  # cells, below which a sentence says nothing
AROUND = 4  # the dot before it, and a piece of the line


class Edge:
    """The upper or lower edge of a box with words set into it, left and right."""

    def __init__(self, *, upper: bool) -> None:
        self._upper = upper
        self._left: Line = []
        self._right: Line = []
        self._fact: Cell | None = None
        self.symbols: Symbols = UNICODE

    def show(self, left: Sequence[Cell], right: Sequence[Cell], symbols: Symbols, *, fact: Cell | None = None) -> None:
        """Replace the words. Where there is no room the last but one right go first, and the first, which is the worst,
        never; `fact` stands before the last where there is room for some of it."""
        self._left, self._right, self._fact, self.symbols = list(left), list(right), fact, symbols

    @property
    def text(self) -> str:
        """The words, without the line."""
        return " ".join(" ".join(cell.text for cell in [*self._left, *self._right]).split())

    def side(self, *, focused: bool) -> Cell:
        """What stands left and right of what is between the edges."""
        return Cell("|" if self.symbols.arrow.isascii() else "│", "focused" if focused else "edge")

    def line(self, width: int, *, focused: bool) -> Line:
        """The edge of a box that is `width` cells wide."""
        plain = self.symbols.arrow.isascii()
        corners = ("+", "+") if plain else ("╭", "╮") if self._upper else ("╰", "╯")
        dash = "-" if plain else "─"
        width = max(0, width - 4)
        left = [Cell(" "), *self._left, Cell(" ")] if self._left else []
        parts = self._right
        while len(parts) > 1 and line_width(left) + line_width(self._joined(parts)) > width:
            parts = [*parts[:-2], parts[-1]] if len(parts) > 2 else parts[:1]
        if parts and (room := width - line_width(left) - 2) < line_width(parts):
            # The name of the panel stays, whatever is said beside it.
            parts = [Cell(crop(parts[0].text, room, self.symbols.ellipsis), parts[0].tone)] if room > 3 else []
        if self._fact is not None:
            parts = self._with_fact(self._fact, parts, width - line_width(left) - AROUND)
        tone: Tone = "focused" if focused else "edge"
        inner = sides(left, self._joined(parts), width, Cell(dash, tone))
        return [Cell(corners[0] + dash, tone), *inner, Cell(dash + corners[1], tone)]

    def _with_fact(self, fact: Cell, parts: Line, width: int) -> Line:
        """The fact before the last, as far as there is room in `width`; what is less than wrong goes for it."""
        others = list(parts)
        while width - line_width(self._joined(others)) < LEAST_FACT:
            if len(others) < 3 or others[-2].tone in ("critical", "unknown"):
                return parts
            del others[-2]
        room = width - line_width(self._joined(others))
        return [*others[:-1], Cell(crop(fact.text, room, self.symbols.ellipsis), fact.tone), *others[-1:]]

    def _joined(self, parts: Sequence[Cell]) -> Line:
        line: Line = [Cell(" ")]
        for part in parts:
            line += [part] if len(line) == 1 else [Cell(f" {self.symbols.dot} ", "muted"), part]
        return [*line, Cell(" ")] if parts else []
