"""A panel: a box around a body, which works out what its edges say.

The body draws the edges as lines of its own, so that an age that changes costs one line and not a panel.
"""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical

from panels.columns import Cell, Line, Moment, Tone, count_words
from panels.edges import Edge
from panels.lines import ScrollLines
from panels.listing import Listing
from panels.sources import Source, age, empty_words, losses

_LOUD: dict[str, Tone] = {"critical": "critical", "unknown": "unknown", "warning": "warning"}


class PanelBox(Vertical):
    """A box around a body. `show` gives it sources and a moment; it works out title, notices and empty words."""

    BLANK = True  # the body covers it
    DEFAULT_CSS = """
    PanelBox { height: 1fr; }
    PanelBox > ScrollLines { height: 1fr; }
    """

    def __init__(self, body: ScrollLines, *, key: str, title: str, id: str, needs_source: bool = True) -> None:
        super().__init__(id=id)
        self.body = body
        self.key, self.title = key, title
        self.empty = body.empty
        self.none = body.kind.none if isinstance(body, Listing) else "none"
        self.needs_source = needs_source
        self.sources: tuple[Source, ...] = ()
        self.extra: Line = []
        body.edges = self._upper, self._lower = Edge(upper=True), Edge(upper=False)
        self._moment: Moment | None = None
        self._counted: Line = []
        self._counted_for: tuple[int, frozenset[str], frozenset[str]] = (-1, frozenset(), frozenset())

    def compose(self) -> ComposeResult:
        yield self.body

    @property
    def caption(self) -> str:
        """What the upper edge says."""
        return self._upper.text

    def show(self, moment: Moment, sources: Sequence[Source], *, extra: Sequence[Cell] = ()) -> None:
        """Take on where the data comes from and what time it is; `extra` is said before the age."""
        self.sources, self.extra = tuple(sources), list(extra)
        self._moment = moment
        self.body.cut = moment.symbols.ellipsis
        if isinstance(self.body, Listing):
            self.body.untrusted = frozenset(source.name for source in self.sources if source.trust == "unknown")
            self.body.stale = frozenset(source.name for source in self.sources if source.lost) - self.body.untrusted
        self._tell(moment)
        self.draw()

    def tick(self, moment: Moment) -> None:
        """Time has passed."""
        self._moment = moment
        self._tell(moment)
        self.body.tick(moment)
        self.draw()

    def _tell(self, moment: Moment) -> None:
        self.body.notices = losses(self.sources, moment.now, moment.symbols)
        if self.needs_source:
            self.body.empty = empty_words(self.empty, self.sources, moment.now, self.none)
        else:
            self.body.empty = self.empty

    def draw(self) -> None:
        """Write both edges anew."""
        moment = self._moment
        if moment is None:
            return
        key = [Cell(f"{self.key} ", "strong" if self.body.has_focus else "muted")] if self.key else []
        title = [*key, Cell(self.title, "strong")]
        counted = self._counts()
        parts = [*[cell for cell in counted if cell.tone != "muted"], *self.extra]
        if self.sources:
            parts.append(age(self.sources, moment.now))
        quiet = [cell for cell in counted if cell.tone == "muted"]
        self._upper.show(title, parts, moment.symbols, fact=self._fact())
        self._lower.show(self._filter_words(), [*quiet, *self._hidden_words()], moment.symbols)
        self.body.repaint_edges()

    def _counts(self) -> Line:
        """What the rows are, counted once for each list that came in: moving the cursor must not cost ten thousand."""
        body = self.body
        if not isinstance(body, Listing):
            return []
        if self._counted_for != (body.rows.version, body.untrusted, body.stale):
            self._counted_for = (body.rows.version, body.untrusted, body.stale)
            words, distrusted = body.rows.count(body.untrusted, body.stale)
            self._counted = count_words(words, body.kind.count_order)
            if distrusted:
                self._counted = [*self._counted, Cell(f"{distrusted:,} unknown", "unknown")]
        return [*self._counted, Cell(f"{body.waiting:,} new", "strong")] if body.waiting else self._counted

    def _fact(self) -> Cell | None:
        """Why the worst is bad, where there is no room below to say it."""
        body = self.body
        if not isinstance(body, Listing) or not body.rows.shown:
            return None
        worst = body.rows.shown[0]
        tone = _LOUD.get(body.kind.health(worst.item))
        is_said = body.top == 0 and min(body.rows.height(0), body.page) > 1
        return None if tone is None or is_said or not worst.reason else Cell(worst.reason, tone)

    def _filter_words(self) -> Line:
        body = self.body
        if not isinstance(body, Listing):
            return []
        words: Line = []
        if body.filter:
            words.append(Cell(f"/{body.filter}  {len(body.rows.shown):,} of {len(body.rows):,}", "strong"))
        if body.rows.unfolded:
            words.append(Cell(f"{'  ' if words else ''}each by itself (v)", "strong"))
        return words

    def _hidden_words(self) -> Line:
        below = self.body.below
        if not below:
            return []
        return [Cell(f"{below:,} more below", "muted")]

    def on_descendant_focus(self) -> None:
        self.draw()

    def on_descendant_blur(self) -> None:
        self.draw()

    def on_listing_changed(self, event: Listing.Changed) -> None:
        event.stop()
        self.draw()

    def on_resize(self) -> None:
        self.draw()
