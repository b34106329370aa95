"""The log of one task: folded to the width, drawn line by line, with the way to its errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import tzinfo
from typing import ClassVar

from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from backends.models import LogEntry
from console.screens.moving import can_scroll
from console.screens.parts import MUTED, style_of
from panels.words import clock

MAX_LINES = 5000
LEAST_ROOM = 20
MARKED = "$block-cursor-foreground on $block-cursor-background"
_WRONG = re.compile(r"\b(error|exception|fatal|failed|failure|panic|traceback|critical)\b", re.IGNORECASE)
_NOT_WRONG = re.compile(
    r"\b(0|no)\s+(error|failure|failed|exception)|\b(errors?|failed|failures)\s*[=:]\s*0\b", re.IGNORECASE
)


def error_lines(entries: Sequence[LogEntry]) -> list[int]:
    """Where to look: entries that the source calls errors; where it calls none so, those whose words say it.

    Of a traceback it is the last line, which names the error, not the one that says that a traceback follows.
    """
    found = [n for n, entry in enumerate(entries) if entry.level in ("error", "critical")]
    if not found:
        found = [
            n
            for n, entry in enumerate(entries)
            if _WRONG.search(entry.message) and not _NOT_WRONG.search(entry.message)
        ]
    lines: list[int] = []
    for start in found:
        at = _end_of_traceback(entries, start)
        if at not in lines:
            lines.append(at)
    return lines


def _end_of_traceback(entries: Sequence[LogEntry], start: int) -> int:
    if not entries[start].message.startswith("Traceback (most recent call last)"):
        return start
    for at in range(start + 1, len(entries)):
        if not entries[at].message.startswith((" ", "\t")):
            return at
    return start


class LogLines(ScrollView, can_focus=True):
    """A log that is read, not followed: oldest first, folded, at most the last `MAX_LINES` entries."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "error(1)", "next error", id="logs.error"),
        Binding("E", "error(-1)", "error before", id="logs.error_before", show=False),
        Binding("g", "scroll_home", "first line", id="top", show=False),
        Binding("G", "scroll_end", "last line", id="bottom", show=False),
    ]
    DEFAULT_CSS = "LogLines { scrollbar-size-vertical: 1; }"

    def __init__(self, zone: tzinfo, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._zone = zone
        self._entries: list[LogEntry] = []
        self._errors: list[int] = []
        self._rows: list[tuple[int, Content]] = []
        self._first_row: list[int] = []
        self._folded_to = 0
        self._marked = -1
        self._message = ""

    def show(self, entries: Sequence[LogEntry], *, at_error: bool, to_end: bool = True) -> None:
        """Replace the log. `at_error` brings the first error on screen, or the end where there is none; `to_end`: who
        is at its end stays there."""
        if not at_error and self._entries == list(entries[-MAX_LINES:]):
            return
        was_at_end = self.is_vertical_scroll_end
        self._entries, self._message = list(entries[-MAX_LINES:]), ""
        self._errors = error_lines(self._entries)
        self._marked = self._errors[0] if self._errors and at_error else -1
        self._fold()
        if at_error and self._marked >= 0:
            self.call_after_refresh(self._to_marked)
        elif at_error or (was_at_end and to_end):
            self.call_after_refresh(self.scroll_end, animate=False)

    def say(self, text: str) -> None:
        """Show one sentence instead of a log: why there is none."""
        self._entries, self._errors, self._marked, self._message = [], [], -1, text
        self._fold()

    @property
    def errors(self) -> int:
        """How many places there are to jump to."""
        return len(self._errors)

    @property
    def marked(self) -> LogEntry | None:
        """The entry that was jumped to."""
        return self._entries[self._marked] if 0 <= self._marked < len(self._entries) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return can_scroll(self, action)

    def action_error(self, step: int) -> None:
        """Jump to the next error, or the one before; around at the ends."""
        if not self._errors:
            raise SkipAction
        unseen = 0 if step > 0 else -1
        here = self._errors.index(self._marked) + step if self._marked in self._errors else unseen
        self._marked = self._errors[here % len(self._errors)]
        self._to_marked()
        self.refresh()

    def on_resize(self, event: Resize) -> None:
        if self.scrollable_content_region.width != self._folded_to:
            self._fold()
            if self._marked >= 0:
                self.call_after_refresh(self._to_marked)

    def _fold(self) -> None:
        width = self._folded_to = self.scrollable_content_region.width
        if width <= 0:
            return
        self._rows, self._first_row = [], []
        if self._message:
            self._rows = [(-1, line) for line in Content.styled(self._message, MUTED).wrap(width)]
        for number, entry in enumerate(self._entries):
            self._first_row.append(len(self._rows))
            self._rows += [(number, line) for line in self._lines_of(entry, width)]
        self.virtual_size = Size(width, len(self._rows))
        self.refresh()

    def _lines_of(self, entry: LogEntry, width: int) -> list[Content]:
        head = Content.styled("" if entry.at is None else f"{clock(entry.at, self._zone)} ", MUTED)
        body = Content.styled(entry.message, style_of(entry.health))
        room = width - head.cell_length
        if body.cell_length <= room or room < LEAST_ROOM:
            return (head + body).fold(width)
        first, *others = body.wrap(room)
        return [head + first, *(Content(" " * head.cell_length) + line for line in others)]

    def _to_marked(self) -> None:
        if 0 <= self._marked < len(self._first_row):
            top = self._first_row[self._marked] - self.scrollable_content_region.height // 2
            self.scroll_to(y=max(0, top), animate=False)

    def render_line(self, y: int) -> Strip:
        at = y + round(self.scroll_offset.y)
        width = self.scrollable_content_region.width
        base = self.visual_style
        if at >= len(self._rows):
            return Strip.blank(width, base.rich_style)
        number, content = self._rows[at]
        if number >= 0 and number == self._marked:
            content = content.truncate(width, pad=True).stylize(MARKED)
        strip = Strip(content.render_segments(base), content.cell_length)
        return strip.adjust_cell_length(width, base.rich_style)
