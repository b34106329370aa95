"""Screens that are one list: the keys that work here, the sources and how they answer, the actions that are or were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from actions.models import Action, OpenConsole
from actions.orphans import orphan_words
from actions.telling import Standing, doing, move, over_at, standing, title
from backends.errors import BackendError
from backends.models import severity_rank
from backends.text import short_id
from console.ports.store import Snapshot
from console.printing.tables import on_words
from console.screens import everywhere
from console.screens.host import leave
from console.screens.prompt import Prompt
from console.screens.working import work
from console.session import who_acts
from panels.columns import EXTRA, Cell, Column, Kind, Moment, Tone
from panels.frame import PanelBox
from panels.keybar import KeyBar
from panels.listing import Listing
from panels.sources import Source
from panels.words import NOTHING, ago, amount, took

if TYPE_CHECKING:
    from console.screens.host import Host

REREAD_S = 1.0


class ListScreen(Screen[None], inherit_bindings=False):
    """One list over the whole screen. `read` gives its items and is asked again while the screen is open. As long as it
    is `awaited` nothing is known of them: Enter opens what is under the cursor once they are there."""

    AUTO_FOCUS = "Listing"
    ESCAPE_TO_MINIMIZE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "back", "back", id="back", key_display="q"),
        Binding("slash", "filter", "filter", id="filter"),
        Binding("enter", "open_once_read", "open", id="list.open", show=False),
    ]

    app: Host
    awaited = False

    def __init__(
        self,
        title: str,
        kind: Kind[Any],
        read: Callable[[], Sequence[Any]],
        *,
        opened: Callable[[Any], None] | None = None,
    ) -> None:
        super().__init__()
        self._open_once_read = False
        self._read = read
        self.list = Listing(kind)
        if opened is not None:
            self.list.opened = opened
        self.box = PanelBox(self.list, key="", title=title, id="list", needs_source=False)

    def compose(self) -> ComposeResult:
        self.prompt = Prompt()
        yield self.box
        yield self.prompt
        yield KeyBar(("back", "list.open", "menu", "filter"))

    def on_mount(self) -> None:
        self.show()
        self.set_interval(REREAD_S, self.show)

    def show(self) -> None:
        """Read and write the list anew."""
        moment = Moment(self.app.now(), self.app.session.context.zone, self.app.symbols)
        self.list.apply(self._read(), moment)
        self.box.show(moment, self.sources(moment), extra=self.extra())
        if self._open_once_read and not self.awaited:
            self._open_once_read = False
            if self.is_current and not self.list.open_current():
                self.app.say(everywhere.why_not("list.open", self))

    def on_listing_highlighted(self, event: Listing.Highlighted) -> None:
        """What can be done with a row is shown once there is one."""
        self.refresh_bindings()

    def sources(self, moment: Moment) -> Sequence[Source]:
        """Where the items come from, if they are read from anywhere."""
        return ()

    @property
    def subject(self) -> Any:
        """The row under the cursor."""
        return self.list.current

    def extra(self) -> Sequence[Cell]:
        """What the upper edge says more."""
        return ()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "open_once_read" or self.awaited

    def action_open_once_read(self) -> None:
        """Typed before there is anything to open."""
        self._open_once_read = True

    def action_filter(self) -> None:
        self.prompt.ask("/", self.list.filter, self.list.set_filter, back=self.list)

    def action_back(self) -> None:
        if self.list.filter:
            self.list.set_filter("")
        else:
            leave(self)


# ---- keys


class KeyHelp(Struct, frozen=True):
    """A key, what it does, and where that is so."""

    CALLED: ClassVar[str] = "a key"
    order: int
    keys: str
    does: str
    where: str
    id: str


KEYS: Kind[KeyHelp] = Kind(
    name="keys",
    columns=(
        Column(title="KEY", cell=lambda key, _: Cell(key.keys, "strong"), min_width=8, max_width=16),
        Column(title="DOES", cell=lambda key, _: Cell(key.does), min_width=20, max_width=48, flex=True),
        Column(title="WHERE", cell=lambda key, _: Cell(key.where, "muted"), max_width=16, priority=1),
        Column(title="ID FOR keymap", cell=lambda key, _: Cell(key.id, "muted"), max_width=20, priority=2),
    ),
    key=lambda key: f"{key.order}",
    health=lambda _: "ok",
    sort_key=lambda key: key.order,
    text=lambda key: f"{key.keys} {key.does} {key.where} {key.id}",
    fields=lambda key: {"id": key.id, "where": key.where},
    empty="No keys",
)


_WHERE = ("this screen", "everywhere", "this list")


def keys_of(screen: Screen[Any]) -> list[KeyHelp]:
    """The keys that work on `screen` for what has focus there, the nearest first."""
    found: dict[tuple[str, str], list[str]] = {}
    place: dict[tuple[str, str], tuple[str, str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not (binding.description and binding.id):  # what Textual's widgets do by themselves has no id of ours
            continue
        name = binding.id or binding.action, binding.tooltip or binding.description
        shown = screen.app.get_key_display(Binding(binding.key, ""))
        found.setdefault(name, []).append(shown)
        where = "everywhere" if active.node is screen.app else "this screen" if active.node is screen else "this list"
        place.setdefault(name, (where, binding.id or ""))
    nearest = sorted(found, key=lambda name: _WHERE.index(place[name][0]))
    return [KeyHelp(order, " ".join(found[name]), name[1], *place[name]) for order, name in enumerate(nearest)]


def help_screen(app: Host) -> ListScreen:
    """The keys of the screen that is open, then what the symbols say."""
    keys = keys_of(app.screen)
    keys += [KeyHelp(len(keys) + n, sign, says, "symbol", "") for n, (sign, says) in enumerate(app.symbols.legend())]
    return ListScreen("Keys that work here", KEYS, lambda: keys)


# ---- sources


class SourceRow(Struct, frozen=True):
    """A source and how it answers; one that answers no more is unknown, as in its panel."""

    CALLED: ClassVar[str] = "a source"
    snapshot: Snapshot
    now: datetime

    @property
    def health(self) -> str:
        """Unknown where it was never read or answers no more."""
        if self.snapshot.error is not None:
            return "unknown"
        return self.snapshot.trust(self.now) if self.snapshot.fetched_at is not None else "running"


def _says(row: SourceRow, _: Moment) -> Cell:
    error = row.snapshot.error
    if error is not None:
        return Cell("no answer", "unknown")
    return Cell("ok" if row.snapshot.fetched_at is not None else "not read yet", "muted")


def _source_tone(row: SourceRow, moment: Moment) -> Cell:
    health = row.health
    return Cell(
        moment.symbols.of(health), "unknown" if health == "unknown" else "warning" if health == "warning" else ""
    )


SOURCES: Kind[SourceRow] = Kind(
    name="sources",
    columns=(
        Column(title="", cell=_source_tone, max_width=1),
        Column(title="PANEL", cell=lambda row, _: Cell(row.snapshot.key.panel), max_width=12),
        Column(title="SOURCE", cell=lambda row, _: Cell(row.snapshot.key.name, "strong"), min_width=8, max_width=24),
        Column(title="TYPE", cell=lambda row, _: Cell(row.snapshot.type, "muted"), max_width=16, priority=2),
        Column(title="SAYS", cell=_says, min_width=12, max_width=120, flex=True),
        Column(
            title="ITEMS",
            cell=lambda row, _: Cell(str(len(row.snapshot.items)), "muted"),
            max_width=6,
            align="right",
            priority=3,
        ),
        Column(
            title="TOOK",
            cell=lambda row, _: Cell(amount(row.snapshot.latency_ms, "ms"), "muted"),
            min_width=7,
            max_width=8,
            align="right",
            priority=1,
        ),
        Column(
            title="AGE",
            cell=lambda row, moment: Cell(ago(moment.since(row.snapshot.fetched_at))),
            min_width=4,
            max_width=5,
            align="right",
        ),
    ),
    key=lambda row: f"{row.snapshot.key.panel}/{row.snapshot.key.name}",
    health=lambda row: row.health,
    sort_key=lambda row: (severity_rank(row.health), row.snapshot.key),
    reason=lambda row: (
        ": ".join(filter(None, (row.snapshot.error.message, row.snapshot.error.fix))) if row.snapshot.error else ""
    ),
    text=lambda row: f"{row.snapshot.key.panel} {row.snapshot.key.name} {row.snapshot.type}",
    fields=lambda row: {"panel": row.snapshot.key.panel, "state": row.health},
    empty="No sources are configured; `teal config init` writes an example",
)


def sources_screen(app: Host) -> ListScreen:
    """Every source, the worst first; Enter opens one."""

    def read() -> list[SourceRow]:
        return [SourceRow(snapshot, app.now()) for snapshot in app.session.sources()]

    def opened(row: SourceRow) -> None:
        from console.screens.source_detail import SourceDetail

        app.push_screen(SourceDetail(app.session, row.snapshot))

    return ListScreen("Sources", SOURCES, read, opened=opened)


# ---- actions


def _came_of_it(action: Action, moment: Moment) -> Cell:
    if action.orphaned_since is not None:
        return Cell(orphan_words(action, moment.zone), "critical")
    until = over_at(action)
    left_s = (until - moment.now).total_seconds() if until is not None else 0.0
    left = f", {took(left_s)} left" if left_s > 0 else ""
    return Cell(doing(action) + left, _tone(action))


def _tone(action: Action) -> Tone:
    tones: dict[Standing, Tone] = {"ok": "", "running": "strong"}
    found = standing(action)
    return tones.get(found, found)


def _action_symbol(action: Action, moment: Moment) -> Cell:
    return Cell(moment.symbols.of(standing(action)), _tone(action))


def _action_took(action: Action, moment: Moment) -> Cell:
    if action.ended_at is None or action.started_at is None:
        return Cell(took(moment.since(action.started_at)), "muted")
    return Cell(took((action.ended_at - action.started_at).total_seconds()), "muted")


# What came of it stands first: it is what is looked for, and so what is cut last.
ACTIONS: Kind[Action] = Kind(
    name="actions",
    columns=(
        Column(title="", cell=_action_symbol, max_width=1),
        Column(title="OUTCOME", cell=_came_of_it, min_width=20, max_width=44, flex=True),
        Column(
            title="ACTION",
            cell=lambda action, moment: Cell(move(action, moment.symbols.arrow), "strong" if action.open else ""),
            min_width=27,
            max_width=60,
            flex=True,
        ),
        Column(
            title="BY",
            cell=lambda action, _: Cell(action.actor.person if action.actor else NOTHING),
            max_width=12,
            priority=2,
        ),
        Column(
            title="REASON",
            cell=lambda action, _: Cell(action.reason or NOTHING, "muted"),
            min_width=8,
            max_width=48,
            flex=True,
            priority=EXTRA,
        ),
        Column(
            title="ID",
            cell=lambda action, _: Cell(short_id(action.id or "") or NOTHING, "muted"),
            max_width=6,
            priority=4,
        ),
        Column(title="TOOK", cell=_action_took, min_width=5, max_width=7, align="right", priority=3),
        Column(
            title="AGO",
            cell=lambda action, moment: Cell(ago(moment.since(action.started_at)), "muted"),
            min_width=4,
            max_width=4,
            align="right",
        ),
    ),
    key=lambda action: action.id or action.plan_hash,
    health=standing,
    sort_key=lambda action: not action.open,  # then as the journal has them, which the screen knows
    text=lambda action: f"{title(action)} {action.service} {action.status} {action.reason} {action.id}",
    fields=lambda action: {"state": action.status, "service": action.service, "kind": action.kind},
    empty="No actions yet: x on a run or a service shows what can be done",
)


class ActionsScreen(ListScreen):
    """The journal's actions, open ones first; Enter opens one, `x` lists what can be ordered of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "menu", "actions", id="menu", tooltip="what can be ordered of this action"),
        Binding("b", "app.way_back", "roll back", id="rollback", tooltip="plan the way back of this action"),
    ]

    def __init__(self, app: Host) -> None:
        self.awaited = True
        self._known: list[Action] = []
        self._places: dict[str | None, int] = {}
        self._on: list[OpenConsole] = []
        self._unknown = ""
        kind = replace(ACTIONS, sort_key=lambda action: (not action.open, -self._places.get(action.id, 0)))
        super().__init__("Actions", kind, lambda: self._known, opened=lambda action: app.open_action(action.id))
        self.box.empty = "Reading the journal: nothing is known of it yet"

    def on_mount(self) -> None:
        self._ask()
        self.set_interval(REREAD_S, self._ask)

    def _ask(self) -> None:
        self._fetch()

    def _lost(self, error: BackendError) -> None:
        self.awaited, self._unknown = False, who_acts(error)
        self.box.empty = "Unknown: the journal can not be read"
        self.show()

    @work(exclusive=True, lost=_lost)
    async def _fetch(self) -> None:
        try:
            self._known = await self.app.session.actions()
            for action in reversed(self._known):  # their times do not say which is newer: a clock may have been set
                self._places.setdefault(action.id, len(self._places))
            self._on = await self.app.session.orders.who_is_on()
        except BackendError as error:
            self._lost(error)
            return
        self.awaited, self._unknown, self.box.empty = False, "", ACTIONS.empty
        self.show()

    def extra(self) -> Sequence[Cell]:
        """Who else is on."""
        zone = self.app.session.context.zone
        if self._unknown:
            return [Cell(self._unknown, "unknown")]
        return [Cell(f"on: {on_words(self._on, zone)}", "muted")] if self._on else []

    def action_menu(self) -> None:
        """What can be ordered of the action under the cursor."""
        if self.list.current is None:
            raise SkipAction
        self.app.open_menu(self.list.current)


def actions_screen(app: Host) -> ListScreen:
    """What runs, and what was done."""
    return ActionsScreen(app)
