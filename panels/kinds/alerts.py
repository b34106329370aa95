"""Alerts as rows: those of one name, group and state are one row, or each its own; who asks for nobody is counted."""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from msgspec import Struct

from backends.models import Alert, Health, severity_rank
from backends.times import local_words
from panels.columns import Cell, Column, Counted, Kind, Moment, Tone
from panels.words import ago, dated

_QUIET = ("silenced", "inhibited")
_SAID = ("alertname", "severity")
_SUBJECT = ("dataset", "pipeline", "service", "instance", "job")
_COUNTED = ("critical", "unknown", "warning", "pending", "acked", "silenced", "inhibited")


class AlertGroup(Struct, frozen=True):
    """Alerts of one name, state and severity, shown as one row, oldest first; the first one stands for all. Of an
    incident and the alerts that opened it, that is the incident."""

    alerts: tuple[Alert, ...]

    @property
    def first(self) -> Alert:
        """The alert that has been there longest."""
        return self.alerts[0]

    @property
    def since(self) -> datetime | None:
        """When the first one began."""
        return self.first.since

    @property
    def health(self) -> Health:
        """That of each of them: it follows from state and severity, which all of one row share."""
        return self.first.health


def fold(alerts: Sequence[Alert], *, by_name: bool = True) -> list[AlertGroup]:
    """One row for alerts of the same name, group, severity and state; those without a group are of their source, or,
    where not `by_name`, each by itself."""
    groups: dict[tuple[str, ...], list[Alert]] = {}
    for alert in alerts:
        alone = () if alert.group or by_name else (alert.ref,)
        one = ("incident", alert.incident.ref) if alert.incident else (*alone, *_of_one_row(alert))
        groups.setdefault(one, []).append(alert)
    return [AlertGroup(tuple(sorted(group, key=_stands))) for group in groups.values()]


def _stands(alert: Alert) -> tuple[bool, float]:
    return alert.incident is None or alert.incident.ref != alert.ref, _began(alert)


def _of_one_row(alert: Alert) -> tuple[str, ...]:
    own = ("group", alert.group) if alert.group else ("source", alert.backend)
    return (*own, alert.name, alert.state, alert.severity)


def is_alike(alert: Alert, other: Alert) -> bool:
    """Whether both are in one row."""
    if alert.incident or other.incident:
        return bool(alert.incident and other.incident and alert.incident.ref == other.incident.ref)
    return alert.name == other.name and _of_one_row(alert) == _of_one_row(other)


def apart(alerts: Sequence[Alert]) -> list[AlertGroup]:
    """One row for each alert."""
    return [AlertGroup((alert,)) for alert in alerts]


def _began(alert: Alert) -> float:
    return alert.since.timestamp() if alert.since else 0.0


def subject(group: AlertGroup) -> str:
    """What it is about: the dataset, pipeline or service that its labels name; of one alert by itself all its labels,
    where it is about nothing of that kind."""
    for label in _SUBJECT:
        named = list(dict.fromkeys(alert.labels[label] for alert in group.alerts if label in alert.labels))
        if named:
            return ", ".join(named)
    if len(group.alerts) > 1:
        return ""
    labels = group.first.told_labels.items()
    return " ".join(f"{name}={value}" for name, value in labels if name not in _SAID)


def _tone(group: AlertGroup) -> Tone:
    return "muted" if group.health == "ok" else group.health


def _symbol(group: AlertGroup, moment: Moment) -> Cell:
    state = group.first.state
    word = group.health if state in ("firing", "unknown") else state
    return Cell(moment.symbols.of(word), _tone(group))


def _name(group: AlertGroup, moment: Moment) -> Cell:
    times = "x" if moment.symbols.arrow.isascii() else "×"
    more = f" {times}{len(group.alerts):,}" if len(group.alerts) > 1 else ""
    tone: Tone = "strong" if group.health == "critical" else "" if group.health != "ok" else "muted"
    return Cell(group.first.name + more, tone)


def _when(group: AlertGroup, moment: Moment) -> Cell:
    return Cell(ago(moment.since(group.since)), "muted")


def _about(group: AlertGroup, moment: Moment) -> Cell:
    ack = group.first.ack
    if group.first.is_over:  # since when stands below, where there is room
        return Cell("alert over, still open", "warning")
    if ack is None:
        assigned = group.first.incident.assigned if group.first.incident else ()
        return Cell(", ".join([*filter(None, [subject(group)]), *assigned]), "muted")
    back_at = group.first.back_at
    until = f" until {dated(back_at, moment.zone, moment.now)[:-3]}" if back_at else ""
    if any(alert.fired_again for alert in group.alerts):
        return Cell(f"fired again since {ack.by}{until}", "warning")
    return Cell(ack.by + until, "muted")


def over_words(alert: Alert, zone: tzinfo) -> str:
    """That an incident is still open; empty where its alert is not over."""
    if not alert.is_over or alert.incident is None or alert.incident.over_since is None:
        return ""
    return f"alert over, incident still open since {local_words(alert.incident.over_since, zone)}"


def reason(group: AlertGroup) -> str:
    """The summary, for what fires; where they differ, of the first one. Of an incident whose alert is over, that."""
    if group.first.is_over:
        return over_words(group.first, UTC)
    if group.first.state not in ("firing", "unknown"):
        return ""
    summary, others = group.first.summary, len(group.alerts) - 1
    if not summary or all(alert.summary == summary for alert in group.alerts):
        return summary
    return f"{summary}; {others:,} more: v shows each"


def counted(group: AlertGroup) -> tuple[Counted, ...]:
    """Each alert by its severity while it fires, else by its state: `acked`, `silenced`; an incident and its alerts are
    one."""
    return tuple(_word(alert) for alert in (group.alerts[:1] if group.first.incident else group.alerts))


def _word(alert: Alert) -> Counted:
    if alert.state == "firing":
        return alert.health, alert.health
    if alert.is_over:
        return "over", "warning"
    if alert.fired_again:
        return "fired again", "warning"
    if alert.state == "unknown":
        return "unknown", "unknown"
    return "acked" if alert.state == "acknowledged" else alert.state, "muted"


ALERTS: Kind[AlertGroup] = Kind(
    name="alerts",
    columns=(
        Column(title="", cell=_symbol, max_width=1),
        Column(title="ALERT", cell=_name, min_width=22, max_width=48, flex=True),
        Column(title="ABOUT", cell=_about, min_width=9, max_width=24, flex=True, priority=4),
        Column(title="SEVERITY", cell=lambda group, _: Cell(group.first.severity, "muted"), max_width=10, priority=6),
        Column(title="STATE", cell=lambda group, _: Cell(group.first.state, _tone(group)), max_width=12, priority=5),
        Column(
            title="SOURCE",
            cell=lambda group, _: Cell(group.first.backend, "muted"),
            max_width=12,
            priority=7,
            when=lambda groups: len({group.first.backend for group in groups}) > 1,
        ),
        Column(title="FOR", cell=_when, min_width=4, max_width=4, align="right", priority=1),
    ),
    key=lambda group: group.first.ref,
    health=lambda group: group.health,
    sort_key=lambda group: (
        severity_rank(group.health),
        group.first.state in _QUIET,
        group.first.state != "acknowledged",
        -_began(group.first),
        group.first.ref,
    ),
    counted=counted,
    count_order=_COUNTED,
    reason=reason,
    text=lambda group: " ".join(
        f"{alert.name} {alert.summary} {' '.join(alert.labels.values())}" for alert in group.alerts
    ),
    fields=lambda group: {
        **group.first.labels,
        "state": group.first.state,
        "severity": group.first.severity,
        "name": group.first.name,
        "source": group.first.backend,
    },
    fold=fold,
    apart=apart,
    item=lambda group: group.first,
    amount=lambda group: len(group.alerts),
    empty="No alerts firing",
    none="none firing",
)
