"""What keeps alerts quiet, as a list: what ends soon, what hides nothing, what has ended; one or many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual.actions import SkipAction
from textual.binding import Binding, BindingType

from actions.models import Request
from backends.models import Alert, Silence
from console.ports.store import Snapshot, SourceError, SourceKey, Store
from console.screens import readings
from console.screens.choice import Choice
from console.screens.choices import choices
from console.screens.how_long import HowLong
from console.screens.lists import ListScreen
from console.screens.working import Work
from console.silences import silencers, silences_of
from panels.columns import Cell, Moment
from panels.kinds.silences import SILENCES, SilenceRow, standing
from panels.sources import Source
from panels.words import clock

if TYPE_CHECKING:
    from console.screens.host import Host
    from console.screens.working import Lost

READ_S = 10.0
MOST_TOGETHER = 20
NONE = "Nothing is silenced"
NO_SOURCE = "Nothing can be silenced from here: an `alertmanager` entry of `alerts` in the config can"


class SilencesScreen(ListScreen):
    """Silences and acknowledgements of all sources, or those that hide `alert` now. Enter opens one; Space ticks
    several, and `e` and `u` are for all that are ticked, else for the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "extend", "extend", id="silences.extend", tooltip="let it, or all that are ticked, last longer"),
        Binding("u", "end", "end", id="silences.end", tooltip="end it, or all that are ticked"),
        Binding("space", "tick", "tick", id="silences.tick", tooltip="tick it: e and u are for all that are ticked"),
        Binding("asterisk", "tick_all", "tick all", id="silences.tick_all", tooltip="tick all that are shown, or none"),
        Binding("x", "menu", "actions", id="menu", tooltip="what can be ordered of this silence"),
        Binding("y", "copy", "copy this row", id="copy.row", show=False),
    ]

    def __init__(self, app: Host, alert: Alert | None = None) -> None:
        title = "Silences" if alert is None else f"Silences of {alert.name}"
        super().__init__(title, SILENCES, self._rows, opened=self._open)
        self._alert = alert
        self._known = Store()
        self._some_ended = False
        self._ticked: set[str] = set()
        self._names = [name for name in silencers(app.session) if alert is None or name == alert.backend]
        for name in self._names:
            self._known.expect(Snapshot(key=SourceKey("alerts", name), type="", interval_s=READ_S))
        self.box.needs_source = bool(self._names)
        self.awaited = bool(self._names)
        self.box.none = "nothing silenced"
        self.box.empty = NONE if self._names else NO_SOURCE

    def on_mount(self) -> None:
        self._ask()
        self.set_interval(READ_S, self._ask)
        self._forget = self.app.session.store.listen(self._heard)

    def on_unmount(self) -> None:
        self._forget()

    def on_screen_resume(self) -> None:
        self._ask()

    # ---- reading

    def _heard(self, snapshot: Snapshot) -> None:
        """Alerts were read anew: after an order, after `r`, or as time went on."""
        if snapshot.key.panel == "alerts" and snapshot.key.name in self._names and self.is_running:
            self._ask()

    def _ask(self) -> None:
        for name in self._names:
            self._fetch(name)

    def _fetch(self, name: str) -> None:
        if not any(worker.group == f"silences {name}" and not worker.is_finished for worker in self.workers):
            Work(
                node=self, name=name, asked=partial(self._read_one, name), group=f"silences {name}",
                lost=self._lost(name),
            ).begin()  # fmt: skip

    async def _read_one(self, name: str) -> None:
        session = self.app.session
        self._put(await silences_of(session, name, hiding=self._alert.fingerprint if self._alert else None))

    def _lost(self, name: str) -> Lost:
        key = SourceKey("alerts", name)
        return lambda _, error: self._put(Snapshot(key=key, type="", error=SourceError.of(error)))

    def _put(self, found: Snapshot) -> None:
        before = self._known.get(found.key)
        if found.error is not None and before is not None:
            found = replace(before, error=found.error)
        self._known.put(replace(found, interval_s=READ_S))
        self.awaited = any(snapshot.unread for snapshot in self._known.snapshots())
        if self.is_running:
            self.show()

    def _rows(self) -> list[SilenceRow]:
        """Those that stand now, and those that have ended since the time that all panels look back to."""
        now = self.app.now()
        earliest = now - self.app.session.since
        rows = [
            SilenceRow(silence=silence, standing=standing(silence, now), ticked=silence.ref in self._ticked)
            for silence in self._known.items("alerts")
        ]
        found = [
            row for row in rows
            if row.standing != "ended" or row.silence.ends_at is None or row.silence.ends_at >= earliest
        ]  # fmt: skip
        self._some_ended = any(row.standing == "ended" for row in found)
        return found

    def sources(self, moment: Moment) -> Sequence[Source]:
        return [readings.source_of(snapshot, moment.now) for snapshot in self._known.snapshots()]

    def extra(self) -> Sequence[Cell]:
        since = clock(self.app.now() - self.app.session.since, self.app.session.context.zone)[:5]
        ended = [Cell(f"ended since {since}", "muted")] if self._some_ended else []
        return [Cell(f"{len(self._ticked)} ticked", "strong"), *ended] if self._ticked else ended

    # ---- keys

    def _open(self, silence: Silence) -> None:
        from console.screens.silence_detail import SilenceDetail

        self.app.push_screen(SilenceDetail(self.app.session, silence))

    def action_tick(self) -> None:
        """Order about this one together with others."""
        current = self.list.current
        if current is None:
            raise SkipAction
        if standing(current, self.app.now()) == "ended":
            self.app.say("it has ended: there is nothing to extend or end")
            return
        self._ticked ^= {current.ref}
        self.show()
        self.list.move_to(self.list.cursor + 1)

    def action_tick_all(self) -> None:
        """All that the filter shows and that have not ended; where all are ticked, none."""
        shown = {row.silence.ref for row in self.list.items if row.standing != "ended"}
        self._ticked = set() if shown <= self._ticked else self._ticked | shown
        self.show()

    def action_extend(self) -> None:
        """Ask until when, then plan it."""
        if chosen := self._chosen("alert.extend"):
            what = "It lasts" if len(chosen) == 1 else f"These {len(chosen)} silences last"
            self.app.push_screen(HowLong(f"{what}, from now:", partial(self._plan, chosen)))

    def action_end(self) -> None:
        if chosen := self._chosen("alert.unsilence"):
            self._plan(chosen, None)

    def action_menu(self) -> None:
        """What can be ordered of the silence under the cursor."""
        if self.list.current is None:
            raise SkipAction
        self.app.open_menu(self.list.current)

    def action_copy(self) -> None:
        """What the row under the cursor says."""
        if self.list.current is None:
            raise SkipAction
        self.app.copy(self.list.current_text)

    def _chosen(self, choice_id: str) -> list[Request]:
        """The orders for what is ticked, else for the one under the cursor; says why there are none."""
        rows = {row.silence.ref: row.silence for row in self.list.rows.everything()}
        ticked = [rows[ref] for ref in sorted(self._ticked) if ref in rows]
        silences = ticked or ([self.list.current] if self.list.current is not None else [])
        if not silences:
            self.app.say("there is no silence here to extend or end")
        if len(silences) > MOST_TOGETHER:
            self.app.say(f"{len(silences)} are ticked: at most {MOST_TOGETHER} go together; / narrows the list")
            return []
        found = [self._choice(silence, choice_id) for silence in silences]
        if refused := next((choice for choice in found if choice.reason), None):
            self.app.say(refused.reason)
            return []
        return [choice.request for choice in found if choice.request is not None]

    def _choice(self, silence: Silence, choice_id: str) -> Choice:
        return next(choice for choice in choices(silence, self.app.session) if choice.id == choice_id)

    def _plan(self, requests: Sequence[Request], for_s: float | None) -> None:
        self._ticked.clear()
        asked = [replace(request, for_s=for_s) for request in requests]
        if len(asked) == 1:
            self.app.open_plan(asked[0])
        else:
            self.app.open_plans(asked, "End" if for_s is None else "Extend", "silence")
