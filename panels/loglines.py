"""One log line as rows of the screen: its head, its text, whole or cut or wrapped, its fields when it is unfolded."""

import re

from backends.models import LogEntry
from panels.columns import Cell, Line, Moment, Tone, line_width, pad
from panels.widths import beginning, display_width
from panels.words import NOTHING, clock

_LEVEL_WORD = {
    "debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR", "critical": "CRIT", "unknown": "",
}  # fmt: skip
LEAST_ROOM = 16
MAX_ROWS = 60  # of one line when it is wrapped: 4,096 characters in a narrow terminal


def tone(entry: LogEntry) -> Tone:
    """The hue of a line's level."""
    if entry.level in ("error", "critical"):
        return "critical"
    return "warning" if entry.level == "warning" else "muted"


class Layout:
    """How lines are drawn now: the width, which columns, wrapped or not, what is searched."""

    def __init__(self, width: int, moment: Moment, *, source_width: int, stamps: str, wrap: bool, search: str) -> None:
        self.width, self.moment, self.wrap = width, moment, wrap
        self._source_width, self._stamps = source_width, stamps
        self._match = re.compile(re.escape(search), re.IGNORECASE) if search else None

    def rows(self, entry: LogEntry, *, bar: Cell, unfolded: bool) -> list[Line]:
        """The rows of one line, the first with its time, level and source."""
        head = self._head(entry, bar)
        indent = line_width(head)
        if self.width - indent < LEAST_ROOM:
            indent = 2
        text = entry.message or NOTHING
        if not (self.wrap or unfolded):
            return [[*head, *self._marked(text)]]
        rows = self._folded(text, head, indent)
        if unfolded:
            for name, value in entry.labels.items():
                rows += self._folded(value, [Cell(" " * indent), Cell(f"{name} ", "muted")], indent + 2)
        return rows[:MAX_ROWS]

    def _head(self, entry: LogEntry, bar: Cell) -> Line:
        level = tone(entry)
        symbols = self.moment.symbols
        source = pad(entry.source, self._source_width, ellipsis=symbols.ellipsis)
        late = "<" if entry.late else " "
        stamp = {"none": "", "short": clock(entry.at, self.moment.zone)}.get(
            self._stamps, clock(entry.at, self.moment.zone, milliseconds=True)
        )
        width = {"none": 0, "short": 8}.get(self._stamps, 12)
        hue: Tone = "warning" if entry.late else "muted"
        return [
            bar,
            Cell(pad(stamp, width) + late if width else late, hue),
            Cell(pad(_LEVEL_WORD.get(entry.level, ""), 5) + " ", level),
            Cell(source + "  ", "muted"),
        ]

    def _folded(self, text: str, head: Line, indent: int) -> list[Line]:
        used = line_width(head)
        pieces = folded(text, max(1, self.width - used), max(1, self.width - indent))
        first, *others = pieces or [""]
        space = Cell(" " * indent)
        return [[*head, *self._marked(first)], *([space, *self._marked(piece)] for piece in others)]

    def _marked(self, text: str) -> Line:
        if self._match is None:
            return [Cell(text)]
        cells, at = [], 0
        for found in self._match.finditer(text):
            cells += [Cell(text[at : found.start()]), Cell(found[0], "match")]
            at = found.end()
        return [*cells, Cell(text[at:])]


def folded(text: str, first: int, others: int) -> list[str]:
    """`text` in pieces of so many cells, broken behind a space where there is one in the last third."""
    pieces: list[str] = []
    while text and len(pieces) < MAX_ROWS:
        room = others if pieces else first
        if display_width(text) <= room:
            pieces.append(text)
            break
        piece = beginning(text, room) or beginning(text, 2) or text[0]
        space = piece.rfind(" ")
        if space > 2 * len(piece) // 3:
            piece = piece[: space + 1]
        pieces.append(piece.rstrip())
        text = text[len(piece) :].lstrip(" ")
    return pieces
