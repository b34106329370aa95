"""What stands there when there is no room for anything."""

from panels.columns import Cell, Line
from panels.lines import Lines


class TooSmall(Lines):
    """Says how large a terminal has to be."""

    def line(self, y: int) -> Line:
        if y == 0:
            return [Cell("teal needs 60 by 16; this terminal", "strong")]
        return (
            [Cell(f"is {self.size.width} by {self.size.height}. q quits; or: teal status", "muted")] if y == 1 else []
        )
