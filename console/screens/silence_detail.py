"""One silence in full: what it matches, what it hides now, whose it is, until when."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from backends.errors import BackendError
from backends.models import Alert, Silence
from console.ports.alerts import silencer
from console.ports.store import Snapshot
from console.screens.choices import choices
from console.screens.how_long import HowLong
from console.screens.item_detail import heading
from console.screens.page import Page
from console.screens.parts import KEY_ORDER, Frame, Paragraphs, Row, mark, row, style_of
from console.screens.working import lost_words, work
from console.silences import silences_of
from panels.keybar import KeyBar
from panels.kinds.silences import hidden_words, matchers_of, standing, when_words
from panels.words import ago, clock, zone_name

if TYPE_CHECKING:
    from console.session import Session

READ_TIMEOUT_S = 10.0
LEAD = 12
MOST_SHOWN = 100


class SilenceDetail(Page):
    """Read again with each new reading of the alerts of its source."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "menu", "actions", id="menu", tooltip="what can be done with this silence"),
        Binding("e", "order('alert.extend')", "extend it", id="silences.extend", tooltip="let it last longer"),
        Binding("u", "order('alert.unsilence')", "end", id="silences.end", tooltip="end it"),
        Binding("y", "copy", "copy what this page says", id="copy.row", show=False),
    ]

    def __init__(self, session: Session, silence: Silence) -> None:
        super().__init__(session)
        self.silence = silence
        self._hidden: list[Alert] = []
        self._lost = ""

    def compose(self) -> ComposeResult:
        with Frame(title=self._title, id="item", fitted=True), VerticalScroll():
            yield Paragraphs(LEAD, id="lines")
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        self.listen(self._heard)
        self.redraw()
        self._look()

    def on_unmount(self) -> None:
        self.stop_listening()

    @property
    def _title(self) -> str:
        return "Acknowledgement" if self.silence.is_ack else "Silence"

    def _heard(self, snapshot: Snapshot) -> None:
        if (snapshot.key.panel, snapshot.key.name) == ("alerts", self.silence.backend):
            self._look()

    def _unknown(self, error: BackendError | TimeoutError) -> None:
        self._lost = lost_words(error)
        self.redraw()

    @work(exclusive=True, lost=_unknown)
    async def _look(self) -> None:
        backend = self.silence.backend
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                found = await silences_of(self.session, backend)
                hidden = await silencer(self.session.adapters, backend).matching(self.silence.matchers)
        except (BackendError, TimeoutError) as error:
            self._unknown(error)
            return
        self._hidden = hidden
        self._lost = found.error.message if found.error else ""
        self.silence = next((each for each in found.items if each.ref == self.silence.ref), self.silence)
        self.redraw()

    def redraw(self) -> None:
        stands = standing(self.silence, self.app.now())
        self.query_one(Frame).titles(self._title, self.place())
        rows = [row("state", stands, style_of({"ends soon": "warning"}.get(stands, stands)))]
        rows.append(row("time", when_words(self.silence, self.app.now())))
        rows += [row(name, self._when(at)) for name, at in self._times() if at is not None]
        rows.append(row("by", self.silence.created_by or "nobody named"))
        rows += [row("comment", self.silence.comment)] if self.silence.comment else []
        rows += [row("source", self.silence.backend), row("id", self.silence.id)]
        rows += [*heading("Matches"), *(row("", str(matcher)) for matcher in self.silence.matchers)]
        self.query_one("#lines", Paragraphs).show([*rows, *self._hides(stands)])

    def _times(self) -> tuple[tuple[str, datetime | None], ...]:
        return ("begins", self.silence.starts_at), ("ends", self.silence.ends_at)

    def _hides(self, stands: str) -> list[Row]:
        if self._lost:
            return [*heading("Hides"), row(mark("unknown", self.of), f"not known: {self._lost}", style_of("unknown"))]
        if stands in ("ended", "pending"):
            title = "It would hide now" if stands == "pending" else "What it hid, if it is still there"
        else:
            title = hidden_words(self.silence).capitalize()
        return [*heading(title), *(self._alert(alert) for alert in self._hidden[:MOST_SHOWN])]

    def _alert(self, alert: Alert) -> Row:
        others = " ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()) if name != "alertname")
        return row(mark(alert.health, self.of), f"{alert.name}  {others}")

    def _when(self, at: datetime) -> str:
        zone = self.session.context.zone
        age = (self.app.now() - at).total_seconds()
        words = f"{ago(age)} ago" if age >= 0 else f"in {ago(-age)}"
        return f"{at.astimezone(zone):%Y-%m-%d} {clock(at, zone)} {zone_name(at, zone)}, {words}"

    # ---- keys

    def action_menu(self) -> None:
        """What can be ordered of it."""
        self.app.open_menu(self.silence)

    def action_order(self, choice_id: str) -> None:
        """Plan to extend or to end it, or say why not."""
        choice = next(choice for choice in choices(self.silence, self.session) if choice.id == choice_id)
        if choice.reason or choice.request is None:
            self.app.say(choice.reason)
        elif choice_id == "alert.extend":
            asked = choice.request
            self.app.push_screen(
                HowLong("It lasts, from now:", lambda for_s: self.app.open_plan(replace(asked, for_s=for_s)))
            )
        else:
            self.app.open_plan(choice.request)

    def action_copy(self) -> None:
        self.app.copy(f"{matchers_of(self.silence)}\n{self.query_one('#lines', Paragraphs).text}")
