"""What stands above the panels: how all of it is, what is wrong, and what of that is the worst."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backends.models import Health, severity_rank
from backends.text import counted
from console.ports.oncall import called
from console.screens import readings
from console.screens.folding import shared
from panels.columns import Moment
from panels.header import Header, Strip, Trouble
from panels.kinds.oncall import duty

if TYPE_CHECKING:
    from console.screens.board import Board
    from console.screens.clock import Clock
    from console.screens.host import Host
    from console.screens.open_actions import OpenActions

TROUBLE_HEALTH: dict[str, Health] = {"critical": "critical", "unknown": "unknown", "strong": "ok"}


class Top:
    """The header and the strip. `edited`: the file of the config that was edited since it was read; empty for none."""

    def __init__(self, app: Host, board: Board, clock: Clock, actions: OpenActions) -> None:
        self._app = app
        self._board = board
        self._clock = clock
        self._actions = actions
        self._health: Health = "unknown"
        self.header = Header(app.place)
        self.strip = Strip()
        self.edited = ""

    def show(self, moment: Moment) -> None:
        """As it is now."""
        store, actions, notes = self._app.session.store, self._actions, self._app.session.orders.notes
        self._health = readings.health(store, actions.found, moment.now, notes, actions.blind)
        lost = {
            found.key.name for found in store.snapshots("deployments") if readings.source_of(found, moment.now).lost
        }
        schedules = readings.on_call(store, moment.now)
        session = self._app.session
        me = called(session.adapters, schedules, session.context.identity) if schedules else ()
        on_call = duty(schedules, me, moment)
        self.header.show(self._app.place, self._health, store.items("deployments"), moment, lost, on_call)
        found = readings.troubles(
            store, actions.found, notes, moment.now, moment.symbols, over=actions.over, blind=actions.blind
        )
        if causes := shared(self._board.causes(), moment.symbols):  # what they say is not said once more
            told = {id(member.item) for each in causes for member in each.item.members}
            found = sorted([*causes, *(each for each in found if id(each.item) not in told)], key=readings.urgency)
        edited = f"{self.edited} was edited since this console read it: q, then start it again"
        said = [Trouble("warning", moment.symbols.warning, edited)] if self.edited else []
        on_call = [] if self.header.tells_duty(self._app.size.width) else on_call
        self.strip.show([*self._clock.said(moment), *found, *said], on_call)

    @property
    def worst(self) -> Any:
        """The worst thing of all; of what is as bad first what fails users, then what the strip says, then alerts."""
        told, there = self.strip.first, self._board.worst
        if told is None or there is None:
            return told.item if told is not None else there[1] if there is not None else None
        strip = severity_rank(TROUBLE_HEALTH.get(told.tone, "warning"))
        return there[1] if (there[0], not readings.fails_users(there[1])) < (strip, True) else told.item

    @property
    def why_no_worst(self) -> str:
        """What is said where nothing opens: that all is well only where the header says so."""
        if self._health == "ok":
            return "nothing is wrong now"
        if self.strip.text:
            return self.strip.text
        unread = sum(each.fetched_at is None for each in self._app.session.store.snapshots())
        return f"{self._health}, and nothing to open: " + (
            f"{counted(unread, 'source')} not read yet" if unread else "no source has been read yet"
        )
