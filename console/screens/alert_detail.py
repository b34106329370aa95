"""One alert in full: since when, who has acknowledged it until when and why, what silences it, where to read on."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from backends.errors import BackendError
from backends.models import Alert, Silence
from console.ports.alerts import silencer, why_not_silenced
from console.ports.dashboards import dashboard_of
from console.screens.item_detail import ItemDetail, heading
from console.screens.parts import MUTED, Row, mark, row, style_of
from console.screens.working import lost_words, work
from panels.kinds.alerts import is_alike, over_words
from panels.words import ago, clock, zone_name

if TYPE_CHECKING:
    from console.session import Session

READ_TIMEOUT_S = 10.0


class AlertDetail(ItemDetail):
    """Reads what silences the alert when it is opened, and again whenever its state or its acknowledgement changes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "menu", "actions", id="menu", tooltip="what can be done with this alert"),
        Binding("a", "acknowledge", "ack", id="acknowledge", tooltip="acknowledge this alert"),
        Binding("S", "silences", "silences", id="silences.here", tooltip="what silences this alert, as a list"),
    ]

    def __init__(self, session: Session, alert: Alert) -> None:
        super().__init__(session, alert)
        self._silences: list[Row] = []
        self._looked_at: Alert | None = None

    @property
    def alert(self) -> Alert:
        """As it was last seen."""
        assert isinstance(self.item, Alert)
        return self.item

    def show(self) -> None:
        super().show()
        before, now = self._looked_at, self.alert
        if before is None or (before.state, before.ack) != (now.state, now.ack):
            self._looked_at = now
            self._look()

    def _lost(self, error: BackendError | TimeoutError) -> None:
        words = f"not known: {lost_words(error)}"
        self._silences = [row(mark("unknown", self.of), words, style_of("unknown"))]
        super().show()

    @work(exclusive=True, lost=_lost)
    async def _look(self) -> None:
        if why_not_silenced(self.session.adapters, self.alert.backend):
            return
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                silences = await silencer(self.session.adapters, self.alert.backend).silences(
                    hiding=self.alert.fingerprint
                )
        except (BackendError, TimeoutError) as error:
            self._lost(error)
            self.again(self._look, error)
            return
        self._silences = [line for silence in silences for line in self._silence(silence)]
        super().show()

    def rows(self) -> list[Row]:
        alert = self.alert
        rows = [row("summary", alert.summary or "none given")]
        rows.append(self._state_row(alert))
        rows.append(row("since", self.when(alert.since)))
        if others := sum(is_alike(other, alert) for other in self.session.store.items("alerts")) - 1:
            rows.append(row("one of", f"{others + 1:,} in one row: v in the list shows each"))
        if incident := alert.incident:
            who = ", ".join(incident.assigned) or "nobody"
            rows.append(row("incident", f"#{incident.number} of {incident.service}, urgency {incident.urgency}"))
            rows.append(row("assigned", f"{who}, by {incident.policy or 'no policy'}"))
            rows += (
                [row("", over, style_of("warning"))] if (over := over_words(alert, self.session.context.zone)) else []
            )
            rows += [row("opened by", ref) for ref in incident.opened_by]
        if ack := alert.ack:
            rows.append(row("acknowledged", f"by {ack.by}{self._until(ack.until)}"))
            rows += [row("", ack.reason)] if ack.reason else []
            rows += [
                row("", "before it fired again: nobody has taken this one on", style_of("warning"))
            ] * alert.fired_again
        pairs = (
            ("group", alert.group),
            ("source", alert.backend),
            ("told", ", ".join(alert.targets)),
            ("runbook", alert.runbook_url),
            ("dashboard", dashboard_of(alert, self.session.links)),
            ("url", alert.source_url),
        )
        rows += [row(name, value) for name, value in pairs if value]
        rows += [*heading("Labels"), *(row(name, value) for name, value in sorted(alert.labels.items()))]
        if self._silences:
            rows += [*heading("Silenced by"), *self._silences]
        return rows + self.impact()

    def _state_row(self, alert: Alert) -> Row:
        if self.gone:
            return row("state", f"no longer there; last seen {self._state(alert)}", MUTED)
        return row("state", self._state(alert), style_of(alert.health))

    @staticmethod
    def _state(alert: Alert) -> str:
        raw = f" ({alert.raw_state})" if alert.raw_state and alert.state == "unknown" else ""
        return f"{alert.state}{raw}, severity {alert.severity or 'none given'}"

    def _silence(self, silence: Silence) -> list[Row]:
        kind = "acknowledgement" if silence.is_ack else "silence"
        who = f"{kind} by {silence.created_by or 'nobody named'}{self._until(silence.ends_at)}"
        rows = [row(silence.state, f"{who}, hides {silence.matches}")]
        rows += [row("", silence.comment)] if silence.comment else []
        return [*rows, row("", " ".join(map(str, silence.matchers)), MUTED), row("", silence.id, MUTED)]

    def action_silences(self) -> None:
        self.app.open_silences(self.alert)

    def _until(self, at: datetime | None) -> str:
        if at is None:
            return ""
        zone, now = self.session.context.zone, self.app.now()
        left = (at - now).total_seconds()
        date = f"{at.astimezone(zone):%Y-%m-%d} " if at.astimezone(zone).date() != now.astimezone(zone).date() else ""
        ending = f"{ago(left)} left" if left > 0 else "over"
        return f" until {date}{clock(at, zone)} {zone_name(at, zone)} ({ending})"

    def action_menu(self) -> None:
        self.app.open_menu(self.alert)

    def action_acknowledge(self) -> None:
        self.app.acknowledge(self.alert)
