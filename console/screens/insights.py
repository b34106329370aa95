"""A query of the logs in their system's own language: what it has found so far, what it has scanned, and its end.

It is paid by what it scans, so it is stopped when this screen is left, by whatever way, and when another one is run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from backends.errors import BackendError
from backends.logs.merging import note
from backends.ports import SearchableLogs, Searched
from console.printing.tables import log_line
from console.reading.searching import progress
from console.screens.log_lines import MAX_LINES, LogLines
from console.screens.page import Page
from console.screens.parts import KEY_ORDER, MUTED, Frame, style_of
from console.screens.prompt import TextLine
from console.screens.working import Work
from panels.keybar import KeyBar
from panels.words import clock, zone_name

if TYPE_CHECKING:
    from backends.models import LogEntry
    from console.session import Session

STOP_S = 3.0
QUERY = "fields @timestamp, @message | sort @timestamp desc | limit 200"


class Insights(Page):
    """One query at a time over all of `sources`, of what lies between the two times of `window`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "query", "query", id="insights.query", tooltip="write another query"),
        Binding("r", "run", "run again", id="refresh"),
        Binding("y", "copy", "copy", id="copy.row", show=False, tooltip="copy the rows"),
    ]
    AUTO_FOCUS = "#query"
    CALLED: ClassVar[str] = "a query"
    DEFAULT_CSS = """
    Insights #query, Insights #query:focus { border: none; height: 1; padding: 0 1; background: $panel; width: 100%; }
    Insights #progress { height: auto; margin-bottom: 1; }
    Insights LogLines { height: 1fr; }
    """

    def __init__(
        self, session: Session, sources: Sequence[tuple[str, SearchableLogs]], window: tuple[datetime, datetime]
    ) -> None:
        super().__init__(session)
        self._sources, self._window = sources, window
        self._states: dict[str, Searched] = {}
        self._failed: dict[str, BackendError] = {}
        self._searches: set[asyncio.Task[None]] = set()

    @property
    def subject(self) -> Insights:
        """What the page is about."""
        return self

    def compose(self) -> ComposeResult:
        with Frame(title=f"Insights: {', '.join(name for name, _ in self._sources)}", id="frame"):
            yield TextLine(
                id="query", value=QUERY, placeholder="a query", entered=self.action_run, left=self.action_back
            )
            yield Static(id="progress", markup=False)
            yield LogLines(self.session.context.zone, id="rows")
        yield KeyBar((*KEY_ORDER, "insights.query", "refresh"))

    def on_mount(self) -> None:
        since, until = self._window
        zone = self.session.context.zone
        when = f"{clock(since, zone)} to {clock(until, zone)} {zone_name(until, zone)}"
        self.query_one(Frame).titles(right=Content.assemble((when, MUTED), "  ", self.place()))
        self._say("Enter runs it; it is paid by what it scans, and stopped when this is left")

    async def on_unmount(self) -> None:
        """Whoever asked has gone: the query would go on, and cost."""
        self._stop()
        if self._searches:
            await asyncio.wait(self._searches, timeout=STOP_S)

    # ---- running

    async def _search(self, text: str) -> None:
        await asyncio.gather(*(self._search_one(name, logs, text) for name, logs in self._sources))

    async def _search_one(self, name: str, logs: SearchableLogs, text: str) -> None:
        since, until = self._window
        try:
            async with aclosing(logs.search(text, since=since, until=until, limit=MAX_LINES)) as search:
                async for state in search:
                    self._states[name] = state
                    self._show()
        except BackendError as error:
            self._failed[name] = error
            self._show()

    def _stop(self) -> None:
        for each in self._searches:
            each.cancel()

    def _show(self) -> None:
        if not self.is_running:
            return
        self.query_one(LogLines).show(_rows(self._states), at_error=False, to_end=False)
        several = len(self._sources) > 1
        said = [
            Content(f"{name}: {progress(state)}" if several else progress(state))
            for name, state in self._states.items()
        ]
        said += [
            Content.styled(f"{name}: {error.message}" + (f" ({error.fix})" if error.fix else ""), style_of("warning"))
            for name, error in self._failed.items()
        ]
        self.query_one("#progress", Static).update(Content("\n").join(said))

    def _say(self, words: str) -> None:
        self.query_one("#progress", Static).update(Content.styled(words, MUTED))

    # ---- keys

    def action_run(self) -> None:
        """Stop what runs, and ask what stands in the line."""
        text = self.query_one(TextLine).value.strip()
        if not text:
            self._say("write a query first")
            return
        self._stop()
        self._states, self._failed = {}, {}
        self.query_one(LogLines).show([], at_error=False)
        self._say("asked")
        self.set_focus(self.query_one(LogLines))
        running = asyncio.create_task(Work(node=self, name="query", asked=partial(self._search, text)).run())
        self._searches.add(running)
        running.add_done_callback(self._searches.discard)

    def action_query(self) -> None:
        """To the line of the query."""
        self.set_focus(self.query_one(TextLine))

    def action_back(self) -> None:
        """Leave, and stop what runs."""
        self._stop()
        super().action_back()

    def action_copy(self) -> None:
        """The rows as `teal log --insights` prints them."""
        zone = self.session.context.zone
        rows = [log_line(entry, zone) for entry in _rows(self._states)]
        if rows:
            self.app.copy("\n".join(rows))
        else:
            self.app.say("there are no rows to copy")


def _rows(states: Mapping[str, Searched]) -> list[LogEntry]:
    """What each source has found, and what it says of itself."""
    found: list[LogEntry] = []
    for name, state in states.items():
        found += state.entries
        found += [note(name, state.note)] if state.note else []
    return found
