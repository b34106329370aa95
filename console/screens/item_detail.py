"""One score, check or log line in full: every field, what failed, how it went, who is downstream."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import to_builtins
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from backends.models import Alert, CheckResult, ErrorIssue, LogEntry, OnCall, QualityScore
from backends.text import counted
from console.ports.table import port_of
from console.screens import readings
from console.screens.detail import Detail
from console.screens.linked import Linked
from console.screens.moving import Scroll
from console.screens.parts import KEY_ORDER, MUTED, STRONG, Frame, Paragraphs, Row, mark, row, style_of
from console.screens.traces import TracesAround, can_show
from panels.chart import LONGEST, chart
from panels.columns import Moment
from panels.keybar import KeyBar
from panels.kinds.errors import facts
from panels.kinds.oncall import people, shift_words
from panels.kinds.quality import freshness_words, score_words, trend
from panels.rows import source_name
from panels.words import ago, amount, clock, zone_name

if TYPE_CHECKING:
    from console.screens.host import Host
    from console.session import Session

_NOTHING: tuple[Any, ...] = (None, "", [], {})
TREND_WIDTH = 48
LEAD = 14
CHART_WIDTH = 60
MARGIN = 6  # what the frame and its scroll bar take


class ItemDetail(Detail):
    """Keeps up with the store: the item is looked up again by its ref with each snapshot."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", id="list.open", key_display="⏎", tooltip="open what is linked"),
        Binding("down", "choose(1)", "next linked", id="linked.down", show=False),
        Binding("up", "choose(-1)", "previous linked", id="linked.up", show=False),
        Binding("T", "traces", "traces around this", id="traces.here", show=False),
    ]
    app: Host

    def __init__(self, session: Session, item: Any) -> None:
        super().__init__(session)
        self.item = item
        self.gone = False

    @property
    def subject(self) -> Any:
        return self.item

    def compose(self) -> ComposeResult:
        with Frame(title=title_of(self.item), id="item", fitted=True):
            with Scroll():
                yield Paragraphs(LEAD, id="lines")
            yield Linked()
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        self.listen(lambda _: self.show())
        self.show()

    def on_unmount(self) -> None:
        self.stop_listening()

    def show(self) -> None:
        """Write everything anew."""
        self.gone = False
        port, ref = port_of(self.item), getattr(self.item, "ref", "")
        if port is not None and ref:
            found = next((item for item in self.session.store.items(port.name) if item.ref == ref), None)
            self.gone, self.item = found is None, found or self.item
        self.query_one(Frame).titles(title_of(self.item), self._heading())
        self.query_one("#lines", Paragraphs).show(self.rows())
        self.query_one(Linked).show(self.session.linked(self.item) if port is not None and ref else [])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("open", "choose"):
            return self.is_mounted and self.query_one(Linked).display
        if action == "traces":
            return isinstance(self.item, Alert | LogEntry) and can_show(self.session)
        return super().check_action(action, parameters)

    def action_open(self) -> None:
        """What is chosen of the linked things, from wherever the focus is."""
        self.query_one(Linked).action_select()

    def action_choose(self, step: int) -> None:
        """Another one of them, where the text has no further to go."""
        chosen = self.query_one(Linked)
        chosen.action_cursor_down() if step > 0 else chosen.action_cursor_up()

    def action_traces(self) -> None:
        """The trace that it names, or those around its time."""
        self.app.push_screen(TracesAround(self.session, self.item))

    def _heading(self) -> Content:
        health = self.item.health
        words = "no longer there" if self.gone else health
        port, now = port_of(self.item), self.app.now()
        lost = readings.lost_source(self.session.store, port.name, source_name(self.item), now) if port else None
        if lost is not None:
            words, health = readings.unknown_words(lost, health, now), health if health == "critical" else "unknown"
        return Content.assemble(mark(health, self.of), " ", Content.styled(words, style_of(health)), "  ", self.place())

    def rows(self) -> list[Row]:
        """All that is known, one row a field."""
        item = self.item
        match item:
            case QualityScore():
                return [*self._score(item), *self.impact()]
            case CheckResult():
                return self._check(item)
            case LogEntry():
                return self._entry(item)
            case Alert():
                return []
            case OnCall():
                return self._on_call(item)
            case ErrorIssue():
                return [*(row(name, value) for name, value in facts(item, self.when)), *self.impact()]
            case _:
                fields = to_builtins(item).items()
                return [*(row(name, str(value)) for name, value in fields if value not in _NOTHING), *self.impact()]

    def _score(self, score: QualityScore) -> list[Row]:
        rows = [row("score", score_words(score), style_of(score.state))]
        rows += [row("why", score.reason)] if score.reason else []
        side = "above" if score.better == "lower" else "below"
        limits = f"warning {side} {score.told(score.warn)}, critical {side} {score.told(score.crit)}"
        rows.append(row("limits", limits))
        if score.total is not None:
            rows.append(row("checks", f"{score.passed} of {score.total} passed"))
        rows.append(row("measured", self.when(score.evaluated_at)))
        if score.trend:
            values = [point.score for point in score.trend]
            bars = trend(score, TREND_WIDTH, self.of.bars)
            low, high = score.told(min(values)), score.told(max(values))
            span = low if low == high else f"between {low} and {high}"
            rows.append(row("trend", f"{bars}  {span} in {counted(len(values), 'measurement')}"))
        if score.freshness is not None:
            words = freshness_words(score.freshness, self.session.context.zone)
            rows.append(row("freshness", words, style_of(score.freshness.state)))
        rows += [row("suite", score.suite)] if score.suite else []
        rows += [row("source", score.backend)]
        rows += [row("run", score.run_ref)] if score.run_ref else []
        if score.failures:
            rows += heading("Failed checks")
            rows += [row(mark("critical", self.of), f"{failure.check}: {failure.detail}") for failure in score.failures]
        if score.errors:
            rows += heading("Checks without a verdict")
            rows += [row(mark("unknown", self.of), f"{error.check}: {error.detail}") for error in score.errors]
        return rows + self._chart(score)

    def _chart(self, score: QualityScore) -> list[Row]:
        """How it went in the last 24 hours, in the hue of what it meant then."""
        points = [(point.at, point.score) for point in score.trend]
        room = min(CHART_WIDTH, self.app.size.width - LEAD - MARGIN)
        lines = chart(points, self.app.now(), self.session.context.zone, room, (score.warn, score.crit))
        return (
            [
                *heading(f"The last {_span(points, self.app.now())}"),
                *(row("", line.text, _of_value(line.value, score)) for line in lines),
            ]
            if lines
            else []
        )

    def _check(self, check: CheckResult) -> list[Row]:
        rows = [row("says", check.message, style_of(check.state)), row("took", amount(check.latency_ms, " ms"))]
        for datum in check.perfdata:
            limits = (
                f"  warning {datum.warn or 'none'}, critical {datum.crit or 'none'}" if datum.warn or datum.crit else ""
            )
            rows.append(row(datum.label, f"{amount(datum.value, datum.unit, 2)}{limits}"))
        return rows

    def _on_call(self, item: OnCall) -> list[Row]:
        moment = Moment(self.app.now(), self.session.context.zone, self.of)
        seen = item.seen(moment.now)
        now = people(seen.now) if seen.now is not None else "unknown"
        rows = [row("on call", now, style_of(seen.state))]
        rows += [row("why", seen.reason, style_of(seen.state))] if seen.reason else []
        rows += [row("source", item.backend)] + ([row("page", item.url)] if item.url else [])
        return rows + heading("Shifts") + [row("", shift_words(shift, moment)) for shift in seen.shifts]

    def _entry(self, entry: LogEntry) -> list[Row]:
        rows = [row("at", self.when(entry.at)), row("level", entry.level, style_of(entry.health))]
        rows += [row("source", entry.source), row("message", entry.message)]
        return rows + [row(name, value) for name, value in sorted(entry.labels.items())]

    def impact(self) -> list[Row]:
        """Who is downstream, under a heading; nothing where nobody is."""
        lines = self.session.impact(getattr(self.item, "ref", ""))
        if not lines:
            return []
        return [*heading("Linked"), *(row("", line) for line in lines)]

    def when(self, at: datetime | None) -> str:
        """A time with its date, its zone and how long ago it was."""
        if at is None:
            return "not known"
        zone = self.session.context.zone
        age = (self.app.now() - at).total_seconds()
        return f"{at.astimezone(zone):%Y-%m-%d} {clock(at, zone)} {zone_name(at, zone)}, {ago(age)} ago"


def _span(points: Sequence[tuple[datetime, float]], now: datetime) -> str:
    recent = (at for at, _ in points if at >= now - LONGEST)
    return ago(min((now - next(recent, now)).total_seconds(), LONGEST.total_seconds()))


def _of_value(value: float | None, score: QualityScore) -> str:
    if value is None:
        return MUTED
    return style_of(score.judged(value))


def heading(text: str) -> list[Row]:
    """A free line and a title."""
    return [row(" ", ""), row(Content.styled(text, STRONG), "")]


def title_of(item: Any) -> str:
    """What the frame is called."""
    match item:
        case QualityScore():
            return f"Quality of {item.named}"
        case Alert():
            return f"Alert {item.name}"
        case CheckResult():
            return f"Check {item.name}"
        case LogEntry():
            return f"Log line of {item.source}"
        case _:
            port = port_of(item)
            reading = port.reading if port is not None else None
            return f"{reading.single.capitalize()} {reading.title(item)}" if reading is not None else ""
