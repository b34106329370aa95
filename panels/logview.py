"""Log lines, oldest to newest, the newest at the bottom: followed until left, searched with their context, filtered."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.message import Message

from backends.models import LogEntry
from panels.columns import Cell, Moment
from panels.loglines import tone
from panels.logrows import LogRows
from panels.logstore import MAX_BYTES, with_text, with_words

__all__ = ["LogView", "tone"]


class LogView(LogRows, inherit_bindings=False):
    """Log entries. `apply` takes all that are known, `extend` what has come; it stays there or follows the end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="logs.up", show=False),
        Binding("down,j", "move(1)", "down", id="logs.down", show=False),
        Binding("pageup", "page(-1)", "page up", id="logs.page_up", show=False),
        Binding("pagedown", "page(1)", "page down", id="logs.page_down", show=False),
        Binding("g,home", "first", "first line", id="logs.first", show=False),
        Binding("G,end", "last", "last line, follow", id="logs.last", show=False),
        Binding(
            "enter", "unfold", "unfold", id="logs.unfold", key_display="⏎", tooltip="the whole line and its fields"
        ),
        Binding("v", "select", "this line alone", id="logs.open", show=False),
        Binding("f", "follow", "follow", id="logs.follow"),
        Binding("e", "level('error', 1)", "next error", id="logs.error", key_display="e/E"),
        Binding("E", "level('error', -1)", "previous error", id="logs.error_back", show=False),
        Binding("w", "level('warning', 1)", "next warning", id="logs.warning", show=False),
        Binding("W", "level('warning', -1)", "previous warning", id="logs.warning_back", show=False),
        Binding("left_curly_bracket", "minute(-1)", "a minute back", id="logs.minute_back", show=False),
        Binding("right_curly_bracket", "minute(1)", "a minute on", id="logs.minute_on", show=False),
        Binding("m", "mark", "mark this line", id="logs.mark", show=False),
        Binding("apostrophe", "next_mark", "next mark", id="logs.next_mark", show=False),
        Binding("z", "wrap", "wrap long lines", id="logs.wrap", show=False),
        Binding("T", "stamps", "timestamps: milliseconds, seconds, none", id="logs.stamps", show=False),
        Binding("S", "save", "save these lines to a file", id="logs.save", show=False),
    ]

    class Save(Message):
        """The lines that are shown are wanted in a file."""

    class Changed(Message):
        """Following, the filter or what is below changed."""

    def __init__(self, *, max_bytes: int = MAX_BYTES, id: str | None = None) -> None:
        super().__init__(max_bytes, id=id)
        self.follow = True
        self.opened: Callable[[LogEntry], object] = lambda _: None  # with a line that is wanted alone
        self._seen = 0  # lines from this number on are new since following was left
        self._sought: LogEntry | None = None  # where the cursor was before the same lines were read anew
        self._newest: datetime | None = None  # of the lines that were there then

    # ---- what is shown

    def apply(self, entries: Sequence[LogEntry], moment: Moment) -> None:
        """Show `entries`, oldest first, as of `moment`: what is held stays, as far as it is the same."""
        self.moment = moment
        known = len(self.store)
        if known and known <= len(entries) and self.store[self.store.end - 1] == entries[known - 1]:
            self.extend(entries[known:], moment)
            return
        before = self.current
        self.store.clear()
        self._marks.clear()
        self._unfolded.clear()
        place = self._at - self._top_number
        self.store.append(entries)
        if not self.follow and before is not None:
            found = (n for n in reversed(self.store.shown) if self.store[n] == before)
            self._at = next(found, self.store.first)
            self.top = self.store.position(max(self.store.first, self._at - place))
        self._seen = self.store.end
        self._settle()

    def extend(self, entries: Sequence[LogEntry], moment: Moment) -> None:
        """Show what has come, behind what is there."""
        self.moment = moment
        top = self._top_number
        begun = self.store.end
        self.store.append(entries)
        if not self.follow:
            self.top = self.store.position(max(top, self.store.first))
            self._seek(max(begun, self.store.first))
        self._settle()

    def reread(self) -> None:
        """Forget every line; they come again, perhaps with others, and the cursor goes back to the one where it is."""
        sought = None if self.follow else self.current or self._sought
        newest = self.store[self.store.end - 1].at if len(self.store) else self._newest
        self.reset()
        self._sought, self._newest = sought, newest

    def reset(self) -> None:
        """Forget every line."""
        self._sought, self._newest = None, None
        self.store.clear()
        self._marks.clear()
        self._unfolded.clear()
        self.top, self._at, self._seen = 0, self.store.first, self.store.first
        self._settle()

    def tick(self, moment: Moment) -> None:
        """Time has passed; lines do not age, notices do."""
        self.moment = moment
        self.repaint()

    @property
    def current(self) -> LogEntry | None:
        """The line under the cursor."""
        return self.store[self._at] if self.store.first <= self._at < self.store.end else None

    @property
    def current_text(self) -> str:
        """The marked lines, or the one under the cursor, in full, with their times."""
        marked = sorted(number for number in self._marks if number >= self.store.first)
        entries = [self.store[number] for number in marked] or ([self.current] if self.current else [])
        return "\n".join(text_of(entry) for entry in entries)

    @property
    def all_text(self) -> list[str]:
        """Every line that is shown, as `current_text` gives one."""
        return [text_of(self.store[number]) for number in self.store.shown]

    @property
    def amounts(self) -> tuple[int, int]:
        """How many lines are shown, of how many."""
        return len(self.store.shown), len(self.store)

    @property
    def new(self) -> int:
        """How many lines have come since following was left."""
        return 0 if self.follow else len(self.store.shown) - self.store.position(self._seen)

    @property
    def narrowed(self) -> bool:
        """Whether less is shown than there is, or marked what was searched."""
        return bool(self.filter or self.search)

    def widen(self) -> None:
        """Take filter and search away."""
        self.set_search("")
        self.set_filter("")

    def set_filter(self, query: str) -> None:
        """Show only lines with these words."""
        self.filter = query.strip()
        self.store.set_filter(with_words(self.filter))
        position = min(self.store.position(self._at), len(self.store.shown) - 1)
        self._move_to(position) if position >= 0 else self._settle()

    def set_search(self, query: str) -> None:
        """Mark where this text is and go to the last such line; the others stay for context."""
        self.search = query.strip()
        self.store.set_search(with_text(self.search))
        found = self.store.matches
        if found and self._at not in found[bisect_left(found, self._at) :][:1]:
            self.next_match(-1)
        self._changed()

    def next_match(self, step: int) -> bool:
        """Go to the next line, in the direction of `step`, that the search finds; False where there is none."""
        return self._go(self.store.next_of(self.store.matches, self._at, step))

    def go_to(self, at: datetime) -> None:
        """Put the cursor on the first line that is not before `at`."""
        times = enumerate(self.store[number].at for number in self.store.shown)
        position = next((place for place, time in times if time is not None and time >= at), self.total - 1)
        self._move_to(position, follow=False)

    # ---- inside

    def _seek(self, begun: int) -> None:
        """After `reread`: the cursor back on its line, or as near as what has come is; what was there is not new."""
        for number in range(begun, self.store.end):
            entry, sought = self.store[number], self._sought
            if self._newest is not None and (entry.at is None or entry.at <= self._newest):
                self._seen = number + 1
            else:
                self._newest = None
            if sought is None:
                continue
            if entry == sought or entry.at is None or sought.at is None or entry.at <= sought.at:
                self._at = number
                self.top = max(0, self.store.position(number) - self.page // 2)
            self._sought = None if entry == sought else sought

    def _settle(self) -> None:
        """After lines came or went: the cursor on a line that is there, the end in sight where it is followed."""
        shown = self.store.shown
        for numbers in (self._marks, self._unfolded):
            if numbers and min(numbers) < self.store.first:
                numbers.intersection_update(range(self.store.first, self.store.end))
        if not shown:
            self.top, self._skip = 0, 0
        elif self.follow:
            self._at, self._seen = shown[-1], self.store.end
            self._to_end()
        else:
            self._at = shown[min(self.store.position(self._at), len(shown) - 1)]
            self.top = max(0, min(self.top, len(shown) - 1))
        self._changed()

    def _changed(self) -> None:
        self.post_message(self.Changed())
        self.repaint()

    def scroll_to_line(self, top: int) -> None:
        """The mouse wheel: the view leaves the end, the cursor stays in sight."""
        shown = self.store.shown
        self.top, self._skip = max(0, min(top, len(shown) - self.page)), 0
        if shown:
            last = min(self.top + self.page, len(shown)) - 1
            self._at = shown[max(self.top, min(self.store.position(self._at), last))]
            self.follow = last == len(shown) - 1 and self._at == shown[-1]
        self._changed()

    def _move_to(self, position: int, *, follow: bool | None = None) -> None:
        shown = self.store.shown
        if not shown:
            self.follow = self.follow if follow is None else follow
            return
        self._sought = None
        position = max(0, min(position, len(shown) - 1))
        self._at = shown[position]
        was = self.follow
        self.follow = position == len(shown) - 1 if follow is None else follow
        if was and not self.follow:
            self._seen = self.store.end
        self.reveal(position)
        self._changed()

    def _go(self, number: int | None) -> bool:
        if number is None:
            return False
        self._move_to(self.store.position(number), follow=False)
        return True

    def on_resize(self, event: events.Resize) -> None:
        if self.follow and self.store.shown:
            self._to_end()
        elif self.store.shown:
            self.reveal(self.store.position(self._at))
        self._changed()

    def on_focus(self) -> None:
        self._changed()

    def on_blur(self) -> None:
        self._changed()

    # ---- keys

    # One that has not acted raises SkipAction: whoever is next may say so.

    def action_move(self, by: int) -> None:
        self._move_or_skip(self.store.position(self._at) + by)

    def action_page(self, by: int) -> None:
        self._move_or_skip(self.store.position(self._at) + by * self.page)

    def action_first(self) -> None:
        self._move_or_skip(0, follow=False)

    def action_last(self) -> None:
        self._move_or_skip(len(self.store.shown) - 1, follow=True)

    def to_end(self) -> None:
        """Follow again."""
        self._move_to(len(self.store.shown) - 1, follow=True)

    def _move_or_skip(self, position: int, *, follow: bool | None = None) -> None:
        before = self._at, self.follow
        self._move_to(position, follow=follow)
        if (self._at, self.follow) == before:
            raise SkipAction

    def action_select(self) -> None:
        self.opened(self._here())

    def action_unfold(self) -> None:
        if len(self._layout().rows(self._here(), bar=Cell(" "), unfolded=True)) == 1:
            self.action_select()  # it is whole already
            return
        self._unfolded ^= {self._at}
        self.reveal(self.store.position(self._at))

    def action_mark(self) -> None:
        self._here()
        self._marks ^= {self._at}
        self._move_to(self.store.position(self._at) + 1)
        self.repaint()

    def _here(self) -> LogEntry:
        if self.current is None:
            raise SkipAction
        return self.current

    def action_next_mark(self) -> None:
        marks = sorted(self._marks)
        after = self.store.next_of(marks, self._at, 1)
        if not self._go(after if after is not None else next(iter(marks), None)):
            raise SkipAction

    def action_follow(self) -> None:
        shown = self.store.shown
        self._move_to(len(shown) - 1 if not self.follow else self.store.position(self._at), follow=not self.follow)

    def action_level(self, level: str, step: int) -> None:
        if level != "error":
            self._find(step, lambda entry: entry.level == level)
        elif not self._go(self.store.next_of(self.store.errors, self._at, step)):
            raise SkipAction

    def action_minute(self, step: int) -> None:
        at = self._here().at
        if at is None:
            raise SkipAction
        target = at + timedelta(minutes=step)
        later = step > 0
        self._find(step, lambda entry: entry.at is not None and (entry.at >= target if later else entry.at <= target))

    def _find(self, step: int, wanted: Callable[[LogEntry], bool]) -> None:
        shown = self.store.shown
        position = self.store.position(self._at) + step
        while 0 <= position < len(shown):
            if wanted(self.store[shown[position]]):
                self._go(shown[position])
                return
            position += step
        raise SkipAction

    def action_wrap(self) -> None:
        self.wrap = not self.wrap
        self._skip = 0
        self._to_end() if self.follow and self.store.shown else self.reveal(self.store.position(self._at))
        self._changed()

    def action_stamps(self) -> None:
        now = self.stamps or ("long" if self.moment.roomy else "short")
        self.stamps = {"long": "short", "short": "none", "none": "long"}[now]
        self._changed()

    def action_save(self) -> None:
        self.post_message(self.Save())


def text_of(entry: LogEntry) -> str:
    """A line in full, with its time."""
    at = f"{entry.at.isoformat()} " if entry.at else ""
    return f"{at}{entry.level} {entry.source} {entry.message}"
