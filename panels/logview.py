"""Log lines, oldest to newest, the newest at the bottom: follow, search, filter, jump to what went wrong."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from backends.models import LogEntry
from panels.columns import Cell, Column, Line, Moment, Placed, Tone, fit, pad
from panels.lines import ScrollLines
from panels.words import NOTHING, clock

MAX_ENTRIES = 20_000
_LEVEL_WORD = {
    "debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR", "critical": "CRIT", "unknown": "",
}  # fmt: skip
_SOURCE: tuple[Column[LogEntry], ...] = (
    Column(title="", cell=lambda entry, _: Cell(entry.source), min_width=4, max_width=14),
)


def tone(entry: LogEntry) -> Tone:
    """The hue of a line's level."""
    if entry.level in ("error", "critical"):
        return "critical"
    return "warning" if entry.level == "warning" else "muted"


class LogView(ScrollLines, inherit_bindings=False):
    """Log entries, one line each. `apply` takes all that are known; the view stays where it is, or follows the end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="logs.up", show=False),
        Binding("down,j", "move(1)", "down", id="logs.down", show=False),
        Binding("pageup", "page(-1)", "page up", id="logs.page_up", show=False),
        Binding("pagedown", "page(1)", "page down", id="logs.page_down", show=False),
        Binding("g,home", "first", "first line", id="logs.first", show=False),
        Binding("G,end", "last", "last line, follow", id="logs.last", show=False),
        Binding("enter", "select", "whole line", id="logs.open", key_display="⏎"),
        Binding("f", "follow", "follow", id="logs.follow"),
        Binding("e", "level('error', 1)", "next error", id="logs.error", key_display="e/E"),
        Binding("E", "level('error', -1)", "previous error", id="logs.error_back", show=False),
        Binding("w", "level('warning', 1)", "next warning", id="logs.warning", show=False),
        Binding("W", "level('warning', -1)", "previous warning", id="logs.warning_back", show=False),
        Binding("left_curly_bracket", "minute(-1)", "a minute back", id="logs.minute_back", show=False),
        Binding("right_curly_bracket", "minute(1)", "a minute on", id="logs.minute_on", show=False),
        Binding("T", "stamps", "milliseconds on, off", id="logs.stamps", show=False),
    ]

    class Selected(Message):
        """Enter was pressed on a line."""

        def __init__(self, item: LogEntry) -> None:
            super().__init__()
            self.item = item

    class Changed(Message):
        """Following, the filter or what is below changed."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.moment = Moment(datetime.now(UTC))
        self.follow = True
        self.filter = ""
        self.search = ""
        self.milliseconds: bool | None = None
        self.empty = "No log lines"
        self._all: list[LogEntry] = []
        self._entries: list[LogEntry] = []
        self._at = 0
        self._placed: list[Placed[LogEntry]] = []

    def apply(self, entries: Sequence[LogEntry], moment: Moment) -> None:
        """Show `entries`, oldest first, as of `moment`."""
        self.moment = moment
        self._all = list(entries[-MAX_ENTRIES:])
        self._arrange()

    def tick(self, moment: Moment) -> None:
        """Time has passed; lines do not age, notices do."""
        self.moment = moment
        self.repaint()

    @property
    def total(self) -> int:
        return len(self._entries) or 1

    @property
    def head(self) -> Sequence[Line]:
        return [[Cell(" "), *line] for line in self.notices]

    @property
    def current(self) -> LogEntry | None:
        """The line under the cursor."""
        return self._entries[self._at] if self._entries else None

    @property
    def current_text(self) -> str:
        """The line under the cursor, in full, with its time."""
        entry = self.current
        if entry is None:
            return ""
        at = f"{entry.at.isoformat()} " if entry.at else ""
        return f"{at}{entry.level} {entry.source} {entry.message}"

    @property
    def amounts(self) -> tuple[int, int]:
        """How many lines are shown, of how many."""
        return len(self._entries), len(self._all)

    def set_filter(self, query: str) -> None:
        """Show only lines with these words."""
        self.filter = query.strip()
        self._arrange()

    def set_search(self, query: str) -> None:
        """Mark where these words are and go to the last such line; the others stay for context."""
        self.search = query.strip().casefold()
        self.refresh()
        if self.search and not self._is_match(self._at):
            self.next_match(-1)

    def next_match(self, step: int) -> bool:
        """Go to the next line, in the direction of `step`, that the search finds; False where there is none."""
        return bool(self.search) and self._find(step, lambda entry: self.search in entry.message.casefold())

    def go_to(self, at: datetime) -> None:
        """Put the cursor on the first line that is not before `at`."""
        for index, entry in enumerate(self._entries):
            if entry.at is not None and entry.at >= at:
                self._move_to(index, follow=False)
                return
        self._move_to(len(self._entries) - 1, follow=False)

    # ---- inside

    def _arrange(self) -> None:
        before, place = self.current, self._at - self.top
        words = self.filter.casefold().split()
        self._entries = (
            [
                entry
                for entry in self._all
                if all(word in f"{entry.source} {entry.message}".casefold() for word in words)
            ]
            if words
            else self._all
        )
        last = len(self._entries) - 1
        if self.follow or before is None:
            self._at, self.top = max(0, last), last + 1
        else:
            self._at = next(
                (at for at in range(last, -1, -1) if self._entries[at] == before), max(0, min(self._at, last))
            )
            self.top = self._at - place
        self._place()
        if self.size.height:
            self.top = max(0, min(self.top, self.total - self.page))
            self.repaint()
        self.post_message(self.Changed())

    def _place(self) -> None:
        self._placed = fit(_SOURCE, 14, self._entries[-200:], self.moment)

    def _is_match(self, index: int) -> bool:
        return bool(self._entries) and self.search in self._entries[index].message.casefold()

    def _find(self, step: int, wanted: Callable[[LogEntry], bool]) -> bool:
        index = self._at + step
        while 0 <= index < len(self._entries):
            if wanted(self._entries[index]):
                self._move_to(index, follow=False)
                return True
            index += step
        return False

    def _move_to(self, index: int, *, follow: bool | None = None) -> None:
        last = len(self._entries) - 1
        self._at = max(0, min(index, last))
        self.follow = self._at == last if follow is None else follow
        self.reveal(self._at)
        self.post_message(self.Changed())

    def content_line(self, y: int) -> Line:
        if not self._entries:
            return [Cell(" "), Cell(f'No line has "{self.filter}"' if self.filter else self.empty, "muted")]
        entry, moment = self._entries[y], self.moment
        milliseconds = moment.roomy if self.milliseconds is None else self.milliseconds
        width = 12 if milliseconds else 8
        cursor = y == self._at and self.has_focus
        bar = "=" if moment.symbols.arrow.isascii() else "▌"
        source = pad(entry.source, self._placed[0].width, ellipsis=moment.symbols.ellipsis) if self._placed else ""
        level = tone(entry)
        return [
            Cell(bar if cursor else " ", "strong"),
            Cell(pad(clock(entry.at, moment.zone, milliseconds=milliseconds), width) + " ", "muted"),
            Cell(pad(_LEVEL_WORD.get(entry.level, ""), 5) + " ", level),
            Cell(source + "  ", "muted"),
            *self._message(entry),
        ]

    def _message(self, entry: LogEntry) -> Line:
        text = entry.message or NOTHING
        start = text.casefold().find(self.search) if self.search else -1
        if start < 0 or len(text.casefold()) != len(text):
            return [Cell(text)]
        end = start + len(self.search)
        return [Cell(text[:start]), Cell(text[start:end], "match"), Cell(text[end:])]

    def line_style(self, y: int) -> Style:
        on_cursor = self.has_focus and self._entries and self.top + y - len(self.head) == self._at
        return self.styles_of_tones.cursor if on_cursor else Style.null()

    def on_resize(self, event: events.Resize) -> None:
        self.top = len(self._entries) if self.follow else self.top
        self.top = max(0, min(self.top, self.total - self.page))
        self.reveal(self._at)
        self.post_message(self.Changed())

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def action_move(self, by: int) -> None:
        self._move_to(self._at + by)

    def action_page(self, by: int) -> None:
        self._move_to(self._at + by * self.page)

    def action_first(self) -> None:
        self._move_to(0, follow=False)

    def action_last(self) -> None:
        self._move_to(len(self._entries) - 1, follow=True)

    def action_select(self) -> None:
        if self._entries:
            self.post_message(self.Selected(self._entries[self._at]))

    def action_follow(self) -> None:
        self._move_to(len(self._entries) - 1 if not self.follow else self._at, follow=not self.follow)

    def action_level(self, level: str, step: int) -> None:
        levels = ("error", "critical") if level == "error" else (level,)
        self._find(step, lambda entry: entry.level in levels)

    def action_minute(self, step: int) -> None:
        current = self.current
        if current is None or current.at is None:
            return
        target = current.at + timedelta(minutes=step)
        later = step > 0
        self._find(step, lambda entry: entry.at is not None and (entry.at >= target if later else entry.at <= target))

    def action_stamps(self) -> None:
        self.milliseconds = not (self.moment.roomy if self.milliseconds is None else self.milliseconds)
        self.refresh()
