"""The actions that are or were, and who else is on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual.actions import SkipAction
from textual.binding import Binding, BindingType

from actions.models import Action, OpenConsole
from actions.orphans import orphan_words
from actions.telling import Standing, doing, move, over_at, standing, title
from backends.errors import BackendError
from backends.text import short_id
from console.printing.tables import on_words
from console.screens.lists import REREAD_S, ListScreen
from console.screens.working import work
from console.session import who_acts
from panels.columns import EXTRA, Cell, Column, Kind, Moment, Tone
from panels.words import NOTHING, ago, took

if TYPE_CHECKING:
    from console.screens.host import Host


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
