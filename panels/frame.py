"""A panel: a box whose upper edge says key, name, counts and the age of the data, and whose lower edge what is hidden.

The edges are lines of their own, so that an age that changes costs one line and not a panel.
"""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical

from panels.columns import Cell, Line, Moment, Tone, count_words, crop, line_width
from panels.lines import Lines, ScrollLines, sides
from panels.listing import Listing
from panels.sources import Source, age, empty_words, losses
from panels.words import UNICODE, Symbols


class Edge(Lines):
    """The upper or lower edge of a box with words set into it, left and right."""

    DEFAULT_CSS = "Edge { height: 1; }"

    def __init__(self, *, upper: bool) -> None:
        super().__init__()
        self._upper = upper
        self._left: Line = []
        self._right: Line = []
        self.focused = False
        self.symbols: Symbols = UNICODE

    def show(self, left: Sequence[Cell], right: Sequence[Cell], symbols: Symbols) -> None:
        """Replace the words; draws only where they differ. Where there is no room the last but one right go first, and
        the first, which is the worst, never."""
        self._left, self._right, self.symbols = list(left), list(right), symbols
        self.repaint()

    @property
    def text(self) -> str:
        """The words, without the line."""
        return " ".join(" ".join(cell.text for cell in [*self._left, *self._right]).split())

    def line(self, y: int) -> Line:
        plain = self.symbols.arrow.isascii()
        corners = ("+", "+") if plain else ("╭", "╮") if self._upper else ("╰", "╯")
        dash = "-" if plain else "─"
        width = max(0, self.size.width - 4)
        left = [Cell(" "), *self._left, Cell(" ")] if self._left else []
        parts = self._right
        while len(parts) > 1 and line_width(left) + line_width(self._joined(parts)) > width:
            parts = [*parts[:-2], parts[-1]] if len(parts) > 2 else parts[:1]
        if parts and (room := width - line_width(left) - 2) < line_width(parts):
            # The name of the panel stays, whatever is said beside it.
            parts = [Cell(crop(parts[0].text, room, self.symbols.ellipsis), parts[0].tone)] if room > 3 else []
        tone: Tone = "focused" if self.focused else "edge"
        inner = sides(left, self._joined(parts), width, Cell(dash, tone))
        return [Cell(corners[0] + dash, tone), *inner, Cell(dash + corners[1], tone)]

    def _joined(self, parts: Sequence[Cell]) -> Line:
        line: Line = [Cell(" ")]
        for part in parts:
            line += [part] if len(line) == 1 else [Cell(f" {self.symbols.dot} ", "muted"), part]
        return [*line, Cell(" ")] if parts else []


class PanelBox(Vertical):
    """A box around a body. `show` gives it sources and a moment; it works out title, notices and empty words."""

    DEFAULT_CSS = """
    PanelBox { height: 1fr; }
    PanelBox > ScrollLines {
        height: 1fr;
        border-left: round $border-blurred;
        border-right: round $border-blurred;
    }
    PanelBox:focus-within > ScrollLines { border-left: round $border; border-right: round $border; }
    PanelBox.-ascii > ScrollLines { border-left: ascii $border-blurred; border-right: ascii $border-blurred; }
    PanelBox.-ascii:focus-within > ScrollLines { border-left: ascii $border; border-right: ascii $border; }
    """

    def __init__(self, body: ScrollLines, *, key: str, title: str, id: str, needs_source: bool = True) -> None:  # noqa: A002
        super().__init__(id=id)
        self.body = body
        self.key, self.title = key, title
        self.empty = body.empty
        self.none = body.kind.none if isinstance(body, Listing) else "none"
        self.needs_source = needs_source
        self.sources: tuple[Source, ...] = ()
        self.extra: Line = []
        self._upper, self._lower = Edge(upper=True), Edge(upper=False)
        self._moment: Moment | None = None
        self._counted: Line = []
        self._counted_for: tuple[int, frozenset[str], frozenset[str]] = (-1, frozenset(), frozenset())

    def compose(self) -> ComposeResult:
        yield self._upper
        yield self.body
        yield self._lower

    @property
    def caption(self) -> str:
        """What the upper edge says."""
        return self._upper.text

    def show(self, moment: Moment, sources: Sequence[Source], *, extra: Sequence[Cell] = ()) -> None:
        """Take on where the data comes from and what time it is; `extra` is said before the age."""
        self.sources, self.extra = tuple(sources), list(extra)
        self._moment = moment
        self.set_class(moment.symbols.arrow.isascii(), "-ascii")
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
        focused = self.has_focus_within
        self._upper.focused = self._lower.focused = focused
        key = [Cell(f"{self.key} ", "strong" if focused else "muted")] if self.key else []
        title = [*key, Cell(self.title, "strong")]
        counted = self._counts()
        parts = [*[cell for cell in counted if cell.tone != "muted"], *self.extra]
        if self.sources:
            parts.append(age(self.sources, moment.now))
        quiet = [cell for cell in counted if cell.tone == "muted"]
        self._upper.show(title, parts, moment.symbols)
        self._lower.show(self._filter_words(), [*quiet, *self._hidden_words()], moment.symbols)

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
                self._counted = [*self._counted, Cell(f"{distrusted} unknown", "unknown")]
        return [*self._counted, Cell(f"{body.waiting} new", "strong")] if body.waiting else self._counted

    def _filter_words(self) -> Line:
        body = self.body
        if not isinstance(body, Listing):
            return []
        words: Line = []
        if body.filter:
            words.append(Cell(f"/{body.filter}  {len(body.rows.shown)} of {len(body.rows)}", "strong"))
        if body.rows.unfolded:
            words.append(Cell(f"{'  ' if words else ''}each by itself (v)", "strong"))
        return words

    def _hidden_words(self) -> Line:
        below = self.body.below
        if not below:
            return []
        return [Cell(f"{below} more below", "muted")]

    def on_descendant_focus(self) -> None:
        self.draw()

    def on_descendant_blur(self) -> None:
        self.draw()

    def on_listing_changed(self, event: Listing.Changed) -> None:
        event.stop()
        self.draw()

    def on_resize(self) -> None:
        self.draw()
