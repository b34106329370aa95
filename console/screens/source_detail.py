"""One source in full: what it answered last and when, why it does not answer now, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from backends.command_line import command
from backends.errors import BackendError
from backends.ports import costs
from backends.text import counted
from console.ports.logs import LOGS
from console.ports.store import Read, Snapshot
from console.screens import readings
from console.screens.moving import Scroll
from console.screens.page import Page
from console.screens.parts import KEY_ORDER, Frame, Paragraphs, Row, mark, row, style_of
from panels.keybar import KeyBar
from panels.words import ago, amount, clock, sparkline, took, zone_name

if TYPE_CHECKING:
    from console.session import Session

TICK_S = 1.0
LEAST_READS = 2  # of one there is no history
TREND = 30


class SourceDetail(Page):
    """A source as it was last heard of, live."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "refresh", "read again", id="refresh"),
        Binding("y", "copy", "copy", id="copy.row", show=False, tooltip="copy what this page says"),
    ]
    CALLED: ClassVar[str] = "a source"

    def __init__(self, session: Session, snapshot: Snapshot) -> None:
        super().__init__(session)
        self._snapshot = snapshot

    @property
    def subject(self) -> SourceDetail:
        """What the page is about."""
        return self

    def compose(self) -> ComposeResult:
        with Frame(title=f"Source {self._snapshot.key.name}", id="frame", fitted=True), Scroll():
            yield Paragraphs(14, id="lines")
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        self.listen(self._heard)
        self._show()
        self.set_interval(TICK_S, self._show)

    def on_unmount(self) -> None:
        self.stop_listening()

    def _heard(self, snapshot: Snapshot) -> None:
        if snapshot.key == self._snapshot.key:
            self._snapshot = snapshot
            self._show()

    def _show(self) -> None:
        source = readings.source_of(self._snapshot, self.app.now())
        word = "unknown" if source.lost else "ok" if self._snapshot.fetched_at is not None else "running"
        said = {"unknown": "does not answer", "ok": "answers", "running": "not read yet"}[word]
        right = Content.assemble(mark(word, self.of), " ", Content.styled(said, style_of(word)), "  ", self.place())
        self.query_one(Frame).titles(right=right)
        self.query_one("#lines", Paragraphs).show(self._rows())

    def _rows(self) -> list[Row]:
        found, zone, now = self._snapshot, self.session.context.zone, self.app.now()
        rows = [row("panel", found.key.panel), row("type", found.type)]
        if (error := found.error) is not None:
            rows.append(row("says", error.message, style_of("warning")))
            rows += [row("to do", error.fix)] if error.fix else []
        at = found.fetched_at
        if at is None:
            rows.append(row("read", "never, in this console"))
        else:
            when = f"{clock(at, zone)} {zone_name(at, zone)}, {ago((now - at).total_seconds())} ago"
            rows.append(
                row(
                    "read",
                    f"{when}, {counted(f'{len(found.items):,}', 'item')}, took {amount(found.latency_ms, ' ms')}",
                )
            )
        rows.append(row("every", took(found.interval_s)))
        rows += self._history(self.session.store.reads(found.key))
        for each in found.missing:
            rows.append(row("not read", f"{each.message}: {each.fix}" if each.fix else each.message))
        rows += [row("costs", words)] if (words := self._costs()) else []
        shown_by = command("config show", context=self.session.context.name)
        return [*rows, row("config", f"`{shown_by}` shows its entry")]

    def _history(self, reads: Sequence[Read]) -> list[Row]:
        """How long the last reads took, and how many failed."""
        if len(reads) < LEAST_READS:
            return []
        zone = self.session.context.zone
        times = [read.ms for read in reads]
        slowest = max(reads, key=lambda read: read.ms)
        bars = sparkline(times, TREND, low=0.0, high=1.08 * slowest.ms, bars=self.of.bars)
        words = f"{bars}  usually {median(times):.0f} ms, at most {slowest.ms:.0f} ms at {clock(slowest.at, zone)}"
        rows = [row("took", f"{words}; {len(reads)} reads since {clock(reads[0].at, zone)}")]
        if failed := [read for read in reads if read.error]:
            last = failed[-1]
            said = f"{len(failed)} of {len(reads)} reads, last at {clock(last.at, zone)}: {last.error}"
            rows.append(row("failed", said))
        return rows

    def _costs(self) -> str:
        if self._snapshot.key.panel != LOGS.name:
            return ""
        try:
            return costs(self.session.adapters.of(LOGS, self._snapshot.key.name))
        except BackendError:
            return ""

    def action_refresh(self) -> None:
        """Read it again now."""
        self.session.refresh(self._snapshot.key.panel)
        self.app.say(f"reading {self._snapshot.key.panel} again")

    def action_copy(self) -> None:
        """What is written on the page."""
        self.app.copy(self.query_one("#lines", Paragraphs).text)
