"""One score, alert, check or log line in full: every field, what failed, how it went, who is downstream."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content

from backends.models import Alert, CheckResult, LogEntry, Panel, QualityScore
from console.screens.about import url_of
from console.screens.parts import KEY_ORDER, STRONG, Frame, Page, Paragraphs, Row, mark, row, style_of
from panels.keybar import KeyBar
from panels.kinds.quality import score_words, trend
from panels.words import ago, amount, clock, zone_name

if TYPE_CHECKING:
    from console.app import TealApp
    from console.session import Session

Detailed = QualityScore | Alert | CheckResult | LogEntry
TREND_WIDTH = 48
LEAD = 14
_PANELS: dict[type, Panel] = {QualityScore: "quality", Alert: "alerts", CheckResult: "checks"}


class ItemDetail(Page):
    """Keeps up with the store: the item is looked up again by its ref with each snapshot."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "menu", "actions", id="menu"),
        Binding("y", "copy", "copy", id="copy.row", show=False),
        Binding("o", "url", "show the URL", id="url", show=False),
    ]

    app: TealApp

    def __init__(self, session: Session, item: Detailed) -> None:
        super().__init__(session)
        self._item = item

    def compose(self) -> ComposeResult:
        with Frame(title=title_of(self._item), id="item"), VerticalScroll():
            yield Paragraphs(LEAD, id="lines")
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        self.listen(lambda _: self.show())
        self.show()

    def on_unmount(self) -> None:
        self.stop_listening()

    def show(self) -> None:
        """Write everything anew."""
        gone = False
        if panel := _PANELS.get(type(self._item)):
            ref = getattr(self._item, "ref", "")
            found = next((item for item in self.session.store.items(panel) if item.ref == ref), None)
            gone, self._item = found is None, found or self._item
        self.query_one(Frame).titles(title_of(self._item), self._heading(gone))
        self.query_one("#lines", Paragraphs).show(self.rows())

    def _heading(self, gone: bool) -> Content:
        health = self._item.health
        words = "no longer there" if gone else health
        return Content.assemble(mark(health, self.of), " ", Content.styled(words, style_of(health)), "  ", self.place())

    def rows(self) -> list[Row]:
        """All that is known, one row a field."""
        item = self._item
        match item:
            case QualityScore():
                return [*self._score(item), *self._impact()]
            case Alert():
                return [*self._alert(item), *self._impact()]
            case CheckResult():
                return self._check(item)
            case LogEntry():
                return self._entry(item)

    def _score(self, score: QualityScore) -> list[Row]:
        rows = [row("score", score_words(score), style_of(score.state))]
        rows += [row("why", score.reason)] if score.reason else []
        rows.append(row("limits", f"warning below {score.warn:.2f}, critical below {score.crit:.2f}"))
        if score.total is not None:
            rows.append(row("checks", f"{score.passed} of {score.total} passed"))
        rows.append(row("measured", self._when(score.evaluated_at)))
        if score.trend:
            values = [point.score for point in score.trend]
            bars = trend(score, TREND_WIDTH, self.of.bars)
            rows.append(row("trend", f"{bars}  {min(values):.2f} to {max(values):.2f} over {len(values)} measurements"))
        rows += [row("source", score.backend)]
        rows += [row("run", score.run_ref)] if score.run_ref else []
        if score.failures:
            rows += [_SPACE, row(Content.styled("Failed checks", STRONG), "")]
            rows += [row(mark("critical", self.of), f"{failure.check}: {failure.detail}") for failure in score.failures]
        return rows

    def _alert(self, alert: Alert) -> list[Row]:
        rows = [row("summary", alert.summary or "none given")]
        rows.append(row("state", f"{alert.state}, severity {alert.severity}", style_of(alert.health)))
        rows.append(row("since", self._when(alert.since)))
        if alert.ack is not None:
            until = f" until {clock(alert.ack.until, self.session.context.zone)}" if alert.ack.until else ""
            rows.append(row("acknowledged", f"by {alert.ack.by}{until}: {alert.ack.reason}".rstrip(": ")))
        pairs = (
            ("group", alert.group),
            ("source", alert.backend),
            ("runbook", alert.runbook_url),
            ("url", alert.source_url),
        )
        rows += [row(name, value) for name, value in pairs if value]
        rows += [row("told", ", ".join(alert.targets))] if alert.targets else []
        rows += [_SPACE, row(Content.styled("Labels", STRONG), "")]
        return rows + [row(name, value) for name, value in sorted(alert.labels.items())]

    def _check(self, check: CheckResult) -> list[Row]:
        rows = [row("says", check.message, style_of(check.state)), row("took", amount(check.latency_ms, " ms"))]
        for datum in check.perfdata:
            limits = (
                f"  warning {datum.warn or 'none'}, critical {datum.crit or 'none'}" if datum.warn or datum.crit else ""
            )
            rows.append(row(datum.label, f"{amount(datum.value, datum.unit, 2)}{limits}"))
        return rows

    def _entry(self, entry: LogEntry) -> list[Row]:
        rows = [row("at", self._when(entry.at)), row("level", entry.level, style_of(entry.health))]
        rows += [row("source", entry.source), row("message", entry.message)]
        return rows + [row(name, value) for name, value in sorted(entry.labels.items())]

    def _impact(self) -> list[Row]:
        lines = self.session.impact(getattr(self._item, "ref", ""))
        if not lines:
            return []
        return [_SPACE, row(Content.styled("Downstream", STRONG), ""), *(row("", line) for line in lines)]

    def _when(self, at: datetime | None) -> str:
        if at is None:
            return "not known"
        zone = self.session.context.zone
        age = (self.app.now() - at).total_seconds()
        return f"{at.astimezone(zone):%Y-%m-%d} {clock(at, zone)} {zone_name(at, zone)}, {ago(age)} ago"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "menu":
            return isinstance(self._item, Alert)
        return bool(url_of(self._item)) if action == "url" else True

    def action_menu(self) -> None:
        self.app.open_menu(self._item)

    def action_copy(self) -> None:
        self.app.copy(self.query_one("#lines", Paragraphs).text)

    def action_url(self) -> None:
        self.app.say(url_of(self._item))


_SPACE = row(" ", "")


def title_of(item: Detailed) -> str:
    """What the frame is called."""
    match item:
        case QualityScore():
            return f"Quality of {item.dataset}"
        case Alert():
            return f"Alert {item.name}"
        case CheckResult():
            return f"Check {item.name}"
        case LogEntry():
            return f"Log line of {item.source}"
