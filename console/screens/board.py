"""The panels over one store: which data goes where, which panel has the whole place, where it is worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.geometry import Size

from backends.models import severity_rank
from backends.text import counted
from console.ports.record import Port, loaded
from console.ports.store import Store
from console.ports.table import PORTS, reading_of
from console.screens import readings
from console.screens.places import CAUSES, DERIVED, names, of_timeline
from console.screens.shares import shares
from panels.columns import Cell, Kind, Moment
from panels.frame import PanelBox
from panels.kinds.cause import Cause
from panels.kinds.causes import CAUSES as CAUSE_ROWS
from panels.kinds.timeline import TIMELINE
from panels.listing import Listing
from panels.logview import LogView
from panels.sources import empty_words, unread_names
from panels.words import ago, clock

if TYPE_CHECKING:
    from console.reading.past import Past

TALL = 34  # lines of the terminal, from which there is room for the timeline, headings and reasons
LINES_AROUND = 2  # header and keys
STACKED = 76  # columns, below which one panel stands below the other
EDGES = 2
LEAST, LEAST_STACKED, LEAST_OF_LOGS = 6, 3, 8
_FIRST = {"deployments": 0, "alerts": 1}
WIDE, WIDER = 0.58, ("pipelines", "quality")


def _classes(size: Size) -> dict[str, bool]:
    """What the board is told by of a terminal of that size."""
    return {"-tall": size.height >= TALL, "-stacked": size.width < STACKED}


KIND_OF: dict[str, Kind[Any]] = {"timeline": TIMELINE, CAUSES: CAUSE_ROWS}
SANDBOX_CARD = """\
SANDBOX: a small data platform that really runs, on this host only
4 then x                     plans a flip of the traffic; b takes it back
teal sandbox break bad-data  in another shell: a bad score and an alert
teal sandbox load            sends traffic meanwhile and says what was lost
teal sandbox fix             makes everything well again"""


class _Row(Horizontal):
    BLANK = True  # its panels cover it


class Board(Vertical):
    """`show` writes what a source said into its panel; `moment` gives the time and how roomy a panel is.

    `opened` is called with what is opened in one of them; `card` stands in the timeline while nothing has happened.
    """

    DEFAULT_CSS = """
    Board {
        height: 1fr;
        #upper, #lower { height: 6; }
        #timeline { display: none; }
        #logs { height: 1fr; }
        #pipelines, #quality { width: 58fr; }
        #deployments, #alerts { width: 42fr; }
    }
    Board.-stacked {
        #upper, #lower { layout: vertical; }
        #pipelines, #quality, #deployments, #alerts { width: 100%; }
    }
    Board.-tall #timeline { display: block; }
    Board.-no-logs #logs { display: none; }
    Board.-zoomed { #upper, #lower, #timeline, #logs { height: 1fr; display: block; } }
    Board > .-alone { display: none; }
    Board.-zoomed > .-alone { display: block; }
    Board.-zoomed .-hidden { display: none !important; }
    """

    BLANK = True  # the panels cover it

    def __init__(
        self,
        store: Store,
        moment: Callable[[str], Moment],
        *,
        opened: Callable[[Any], None],
        size: Size,
        card: str = "",
    ) -> None:
        # Classes that it has from the beginning restyle nothing.
        super().__init__(classes=" ".join(name for name, has in _classes(size).items() if has))
        self._store = store
        self.moment = moment
        self.past: Past | None = None
        self._card = card
        self.since = timedelta(hours=1)
        self.zoomed = ""
        self._left = ""  # the panel that had focus before one was alone
        self._given: dict[str, int] = {}
        self.counts: Callable[[], tuple[int, int, int]] | None = None  # late, gaps, missing, where logs are followed
        self.logs = LogView(id="log-lines")
        self.causes: Callable[[], Sequence[Cause]] = tuple  # what has one cause, as far as that was worked out
        self.boxes: dict[str, PanelBox] = {
            name: self._derived(name) if name in DERIVED else self._box(PORTS[name]) for name in names()
        }
        for name in self.boxes.keys() - {"logs"}:
            self.listing(name).opened = opened
        self.logs.opened = opened

    def compose(self) -> ComposeResult:
        for row in ("upper", "lower"):
            with _Row(id=row):
                yield from (self.boxes[name] for name in self._in_row(row))
        yield self.boxes["timeline"]
        yield from (self.boxes[name] for name in self._in_row("last"))  # those alone come when one is

    def _box(self, port: Port[Any, Any]) -> PanelBox:
        place = port.place
        assert place is not None, port.name
        body = Listing(loaded(place.kind)) if place.kind else self.logs
        box = PanelBox(body, key=place.key, title=place.title, id=port.name)
        box.set_class(not place.row, "-alone")
        return box

    @staticmethod
    def _derived(name: str) -> PanelBox:
        key, title = DERIVED[name]
        alone = name == CAUSES
        box = PanelBox(Listing(KIND_OF[name]), key=key, title=title, id=name, needs_source=alone)
        box.set_class(alone, "-alone")
        return box

    @staticmethod
    def _in_row(row: str) -> list[str]:
        return [name for name, port in PORTS.items() if port.place and port.place.row == row]

    @property
    def alone(self) -> list[str]:
        """The panels that are seen only where they have the whole place."""
        return [CAUSES, *self._in_row("")]

    def listings(self) -> list[Listing[Any]]:
        """The lists of things; what is made of these is none."""
        bodies = [box.body for name, box in self.boxes.items() if name not in DERIVED]
        return [body for body in bodies if isinstance(body, Listing)]

    # ---- room

    def on_resize(self, event: Resize) -> None:
        self._given.clear()
        self._share_out()

    def _share_out(self) -> None:
        """Give rows to where there is something to say. A panel shrinks only where another one needs its rows, so that
        nothing jumps; a new size, or a zoom, begins anew."""
        size = self.size or self._size_to_come
        height, width = size.height, size.width
        if height <= 0 or self.zoomed or not self.query("#upper"):
            return
        stacked, tall = width < STACKED, self._is_tall
        self.update_classes(_classes(self.app.size))
        rows = {row: self._in_row(row) for row in ("upper", "lower")}
        slots = {name: [name] for row in rows.values() for name in row} if stacked else dict(rows)
        slots |= {"timeline": ["timeline"]} if tall else {}
        wanted = {
            slot: max(self._wanted(name, width, height, stacked=stacked) for name in boxes)
            for slot, boxes in slots.items()
        }
        least = [LEAST_STACKED if stacked else LEAST] * len(slots)
        of_logs = (0, 0) if stacked else (height, LEAST_OF_LOGS)
        kept = {slot: max(lines, self._given.get(slot, 0)) for slot, lines in wanted.items()}
        given = shares(height, [*kept.values(), of_logs[0]], [*least, of_logs[1]])
        if any(has < wants for has, wants in zip(given, wanted.values(), strict=False)):
            given = shares(height, [*wanted.values(), of_logs[0]], [*least, of_logs[1]])
        *others, logs = given
        if logs <= EDGES:
            others[0] += logs
        self.set_class(logs <= EDGES, "-no-logs")
        self._given = dict(zip(slots, others, strict=True))
        for slot, lines in self._given.items():
            self.query_one(f"#{slot}").styles.height = lines
        for row, inside in rows.items() if stacked else ():
            self.query_one(f"#{row}").styles.height = sum(self._given[name] for name in inside)
        for name in chain.from_iterable(rows.values()) if not stacked else ():
            if self.boxes[name].styles.inline.has_rule("height"):  # to take none away costs a layout
                self.boxes[name].styles.height = None

    @property
    def _size_to_come(self) -> Size:
        """What the first layout will give: with it all stands where it stays, and is not laid out a second time."""
        width, height = self.app.size
        return Size(width, height - LINES_AROUND)

    @property
    def _is_tall(self) -> bool:
        return self.app.size.height >= TALL

    def _wanted(self, name: str, width: int, most: int, *, stacked: bool) -> int:
        share = 1.0 if stacked or name == "timeline" else WIDE if name in WIDER else 1 - WIDE
        return EDGES + self.listing(name).wanted(int(width * share) - EDGES, most)

    def _let_go(self) -> None:
        """Heights are those of the style sheet again."""
        self._given.clear()
        for placed in (self.query_one("#upper"), self.query_one("#lower"), *self.boxes.values()):
            placed.styles.height = None

    # ---- data

    def show(self, names: set[str]) -> None:
        """Write the panels of those names anew from the store."""
        for name in self.boxes:
            if name in names or (name == "timeline" and names & set(of_timeline())):
                self._show(name)
        self._share_out()

    def tick(self) -> None:
        """Time has passed: write ages."""
        for name, box in self.boxes.items():
            box.tick(self.moment(name))

    def _show(self, name: str) -> None:
        moment, box = self.moment(name), self.boxes[name]
        if name == CAUSES:
            if self.zoomed == name:
                sources = [readings.source_of(found, moment.now) for found in readings.judged(self._store)]
                box.show(moment, sources)
                self.listing(name).apply(self.causes(), moment)
            return
        if name == "timeline":
            since = ago(self.since.total_seconds())
            window = self.past.window if self.past else (moment.now - self.since, moment.now)
            dated = self.past.store if self.past else self._store
            events = readings.timeline(self._store, dated, window, moment.zone)
            self.listing("timeline").apply(events, moment)
            sources = [readings.source_of(found, moment.now) for part in of_timeline()
                       for found in self._store.snapshots(part)]  # fmt: skip
            unread = empty_words("", sources, moment.now) if unread_names(sources) else ""
            blind = sorted({source.name for source in sources if source.incomplete})
            unseen = f"Unknown: nothing is seen, but not all could be read: {', '.join(blind)}" if blind else ""
            quiet = f"Nothing failed, fired or was switched in the {since} before"
            box.empty = unseen or self._card or unread or quiet
            not_read = [Cell(f"{len(blind)} not read", "unknown")] if blind else []
            box.show(moment, (), extra=[*self._time_words(), *not_read, Cell(f"since {since}", "muted")])
            return
        reading = reading_of(name)
        past = self.past if reading is not None and reading.past else None
        store = past.store if past else self._store
        sources = [readings.source_of(snapshot, moment.now) for snapshot in store.snapshots(name)]
        if box.body is self.logs:
            if self.counts is None and not past:
                self.logs.apply(readings.log_entries(store.snapshots(name)), moment)
            box.show(moment, sources, extra=self.log_words())
            return
        box.show(moment, sources, extra=self._time_words() if past else ())
        self.listing(name).apply(readings.standing(store, name, past.at if past else None), moment)

    def log_words(self) -> list[Cell]:
        """What is said of the logs: filter, search, following."""
        words = []
        if self.logs.wrap:
            words.append(Cell("wrapped", "muted"))
        if self.logs.filter:
            shown, known = self.logs.amounts
            words.append(Cell(f"&{self.logs.filter}  {shown} of {known}", "strong"))
        if self.logs.search:
            words.append(Cell(f"/{self.logs.search}", "strong"))
        if self.past:
            return [*words, *self._time_words()]
        late, gaps, missing = self.counts() if self.counts else (0, 0, 0)
        words += [Cell(f"{late:,} late", "warning")] if late else []
        words += [Cell(f"{counted(gaps, 'gap')}, {missing:,}+ lines missing", "warning")] if gaps else []
        if self.logs.follow:
            return [*words, Cell("following", "muted")]
        new = f"{self.logs.new:,} new, " if self.logs.new else ""
        return [*words, Cell(f"paused ({new}f follows)", "strong")]

    def _time_words(self) -> list[Cell]:
        """At which time of the past a panel stands; nothing at now."""
        return [Cell(f"at {clock(self.past.at, self.moment('').zone)}", "strong")] if self.past else []

    # ---- places

    def listing(self, name: str) -> Listing[Any]:
        """The list of a panel; not of the logs, which have a view of their own."""
        return cast(Listing[Any], self.boxes[name].body)

    @property
    def focused(self) -> str:
        """The name of the panel that has focus; empty for none."""
        return next((name for name, box in self.boxes.items() if box.has_focus_within), "")

    @property
    def _view(self) -> Listing[Any] | LogView | None:
        """What has focus."""
        return cast(Listing[Any] | LogView, self.boxes[name].body) if (name := self.focused) else None

    @property
    def current(self) -> Any | None:
        """The item under the cursor of the panel that has focus."""
        view = self._view
        return view.current if view is not None else None

    @property
    def amount(self) -> int:
        """How many items the row under the cursor of the panel that has focus stands for."""
        view = self._view
        return view.amount if isinstance(view, Listing) else 1

    @property
    def row_text(self) -> str:
        """What is written under the cursor of the panel that has focus."""
        view = self._view
        return view.current_text if view is not None else ""

    @property
    def narrowed(self) -> bool:
        """Whether the panel that has focus shows less than there is, or marks what was searched."""
        view = self._view
        return view is not None and view.narrowed

    def widen(self) -> None:
        """Take filter and search away from the panel that has focus."""
        if (view := self._view) is not None:
            view.widen()

    def zoom(self, name: str) -> None:
        """Give one panel the whole place; an empty name gives it back."""
        if name and not self.zoomed:
            self._left = self.focused
        was, self.zoomed = self.zoomed, name
        if name and not self.boxes[name].is_attached:
            self.mount(self.boxes[name])
        self._let_go()
        self.set_class(bool(name), "-zoomed")
        for other, box in self.boxes.items():
            box.set_class(bool(name) and other != name, "-hidden")
        for row in ("upper", "lower"):
            self.query_one(f"#{row}").set_class(bool(name) and name not in self._in_row(row), "-hidden")
        if name:
            self.screen.set_focus(self.boxes[name].body)
        self.show(set(self.boxes))
        self.tick()  # what is written by the room that there is follows at once
        if was and not name and not self._is_among_others(was):
            self._focus_again()
        self.screen.refresh_bindings()  # what has the focus may have had it before

    def _is_among_others(self, name: str) -> bool:
        """Whether a panel is seen where none is alone: the timeline wants a tall screen, the logs some rows left."""
        seen = {"timeline": self._is_tall, "logs": not self.has_class("-no-logs")}
        return name not in self.alone and seen.get(name, True)

    def _focus_again(self) -> None:
        """The panel that is seen no more had the cursor: it goes back to where it was before."""
        if self._left and self._is_among_others(self._left):
            self.screen.set_focus(self.boxes[self._left].body)
        else:
            self.focus_worst()

    def zoom_next(self, step: int) -> None:
        """The panel behind the one that has the whole place; those without a key only from one of them."""
        names = [name for name in self.boxes if name not in self.alone or name == self.zoomed]
        self.zoom(names[(names.index(self.zoomed) + step) % len(names)])

    @property
    def worst(self) -> tuple[int, Any] | None:
        """The worst thing of all panels and its rank (0 is critical), of what is as bad first what users have most of:
        services, then alerts; None where nothing is wrong."""
        found = [
            (severity_rank(listing.rows.worst()), _FIRST.get(listing.kind.name, len(_FIRST)), listing.kind.item(row))
            for listing in self.listings() if (row := listing.rows.first) is not None
        ]  # fmt: skip
        wrong = [each for each in found if each[0] < severity_rank("ok")]
        worst = min(wrong, key=lambda each: each[:2], default=None)
        return None if worst is None else (worst[0], worst[2])

    def focus_worst(self) -> None:
        """Put focus on the panel whose first row is worst; pipelines where nothing is wrong."""
        if self.zoomed:
            return
        order = (*self._in_row("upper"), *self._in_row("lower"))
        worst = min(order, key=lambda name: (severity_rank(self.listing(name).rows.worst()), order.index(name)))
        self.listing(worst).focus()
