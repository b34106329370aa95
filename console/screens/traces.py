"""Traces around a thing, and the chosen one as a tree."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from backends.errors import BackendError
from backends.models import Span, Trace, TraceTree
from backends.text import counted
from console.reading import tracing
from console.screens.moving import Options, Scroll
from console.screens.page import Page
from console.screens.parts import KEY_ORDER, MUTED, Frame, Paragraphs, Row, mark, row, style_of
from console.screens.working import lost_words, work
from panels.keybar import KeyBar
from panels.kinds.traces import fault, lasted, waited
from panels.words import clock, zone_name

if TYPE_CHECKING:
    from console.screens.host import Host
    from console.session import Session

READ_TIMEOUT_S = 15.0
LEAD = 26
DEEPEST = 12


def can_show(session: Session) -> bool:
    """Whether there is anything that knows of traces."""
    return bool(tracing.sources(session.adapters))


class TracesAround(Page):
    """Those around `item`, or the one that it names. Read once when it is opened, and with `r`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "refresh", "read again", id="refresh", show=False),
        Binding("l", "logs", "logs at the time of this trace", id="logs.here", show=False),
        Binding("y", "copy", "copy", id="copy.row", show=False, tooltip="copy what this page says"),
    ]
    DEFAULT_CSS = """
    TracesAround {
        #traces { height: auto; max-height: 40%; border: none; padding: 0; background: transparent; text-wrap: nowrap; }
        #said { margin-bottom: 1; }
        Scroll { height: 1fr; }
    }
    """
    app: Host

    def __init__(self, session: Session, item: Any) -> None:
        super().__init__(session)
        self.item = item
        self.found: list[Trace] = []
        self.opened: TraceTree | None = None

    @property
    def subject(self) -> Any:
        """What the page is about."""
        return self.opened or self.item

    def compose(self) -> ComposeResult:
        with Frame(title="Traces", id="frame"):
            yield Paragraphs(2, id="said")
            yield Options(id="traces", markup=False)
            with Scroll():
                yield Paragraphs(LEAD, id="tree")
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        self.query_one(Frame).titles(right=self.place())
        self.action_refresh()

    def action_refresh(self) -> None:
        """Ask again."""
        self._say("reading…")
        self._read()

    def _lost(self, error: BackendError | TimeoutError) -> None:
        self._say(f"not known: {lost_words(error)}", "unknown")

    @work(exclusive=True, lost=_lost)
    async def _read(self) -> None:
        named = tracing.trace_id_of(self.item)
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                if named:
                    await self._open(named)
                else:
                    await self._search()
        except TimeoutError as error:
            self._lost(error)

    async def _search(self) -> None:
        zone, query = self.session.context.zone, tracing.query_of(self.item, self.app.now())
        self.found, lost = await tracing.around(self.session.adapters, query)
        rows = self.query_one(Options)
        rows.set_options(Option(self._line(trace)) for trace in self.found)
        rows.highlighted = 0 if self.found else None
        rows.focus()
        when = f"{clock(query.since, zone)} to {clock(query.until, zone)} {zone_name(query.until, zone)}"
        whose = f" through {query.service}" if query.service else ""
        self._tell(f"{counted(len(self.found), 'trace')}{whose}, {when}: worst first, then the slowest", lost)

    async def _open(self, trace_id: str) -> None:
        self.opened, lost = await tracing.one(self.session.adapters, trace_id)
        self._tell("" if self.opened else "" if lost else f"no source has the trace {trace_id}", lost)
        self.query_one("#tree", Paragraphs).show(self._tree(self.opened) if self.opened is not None else [])

    @work(group="tree", exclusive=True, lost=_lost)
    async def _choose(self, trace: Trace) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await self._open(trace.trace_id)
        except TimeoutError as error:
            self._lost(error)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(self.found[event.option_index])

    def _tell(self, words: str, lost: list[BackendError]) -> None:
        rows = [row("", words, MUTED)] if words else []
        rows += [row(mark("unknown", self.of), f"not known: {error.message}", style_of("unknown")) for error in lost]
        self.query_one("#said", Paragraphs).show(rows)

    def _say(self, words: str, health: str = "") -> None:
        self.query_one("#said", Paragraphs).show([row("", words, style_of(health) if health else MUTED)])

    def _line(self, trace: Trace) -> Content:
        at = clock(trace.started_at, self.session.context.zone)
        words = f"{at} {lasted(trace.duration_s):>7}  {trace.service} {trace.operation}"
        return Content.assemble(mark(trace.state, self.of), " ", words)

    def _tree(self, tree: TraceTree) -> list[Row]:
        head = f"{tree.trace_id}  {counted(len(tree.spans), 'span')}, {tree.errors} failed"
        rows = [row(clock(tree.started_at, self.session.context.zone, milliseconds=True), head, style_of(tree.state))]
        return [*rows, row("  after    took  waited", ""), *map(self._span, tree.spans)]

    def _span(self, span: Span) -> Row:
        lead = f"{lasted(span.offset_s):>7} {lasted(span.duration_s):>7} {waited(span):>7}"
        words = f"{'  ' * min(span.depth, DEEPEST)}{span.service} {span.operation}"
        why = fault(span)
        body = Content.assemble(words, (f"  {self.of.critical} {why}", style_of("critical")) if why else "")
        return row(lead, body)

    def action_logs(self) -> None:
        """The log lines of then."""
        at = self.opened.started_at if self.opened is not None else getattr(self.item, "at", None)
        if at is None:
            self.app.say("open a trace first: Enter")
        else:
            self.app.go_to(at, "logs")

    def action_copy(self) -> None:
        """What is written on the page."""
        self.app.copy("\n".join(part.text for part in self.query(Paragraphs) if part.display))
