"""Alerts, and what keeps them quiet."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct, field

from backends.models.health import Health

AlertState = Literal["firing", "pending", "silenced", "inhibited", "acknowledged", "unknown"]
AHEAD = timedelta(seconds=5)
"""So far the clock of who sends alerts may be ahead: what fires is acknowledged a little later."""
SilenceState = Literal["active", "pending", "expired", "unknown"]
_THING = ("dataset", "pipeline", "dag_id", "service", "instance")


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """Who took an alert on, until when, why, and the silence that carries it."""

    by: str
    until: datetime | None = None
    reason: str = ""
    silence_id: str | None = None


class Incident(Struct, frozen=True, kw_only=True):
    """What a system of incidents knows of an alert: `service`, `policy` (of escalation), `urgency` and `assigned` are
    names there; `ref` is that of the alert that it is itself. Of its `alerts`, `alerts_firing` are not over;
    `over_since`: since when none of them fires, while it is still open. `keys`: by which their senders know them, and
    where they say more; `opened_by`: the refs of those of them that other sources have shown."""

    id: str
    ref: str = ""
    number: int = 0
    urgency: str = ""
    service: str = ""
    policy: str = ""
    assigned: tuple[str, ...] = ()
    alerts: int = 0
    alerts_firing: int = 0
    over_since: datetime | None = None
    keys: tuple[str, ...] = ()
    opened_by: tuple[str, ...] = ()


class Alert(Struct, frozen=True, kw_only=True):
    """One alert. `fingerprint` identifies its label set; `group` is what it is shown under; `hidden_since` is when the
    acknowledgement or the silence that hides it began, where that is known, and `hidden_until` when the last one of all
    that hide it ends. `incident` is what a system of incidents knows of it."""

    ref: str
    backend: str
    fingerprint: str
    name: str
    severity: str
    state: AlertState
    raw_state: str = ""
    since: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    group: str = ""
    ack: Acknowledgement | None = None
    hidden_since: datetime | None = None
    hidden_until: datetime | None = None
    targets: tuple[str, ...] = ()
    runbook_url: str | None = None
    source_url: str | None = None
    incident: Incident | None = None

    @property
    def back_at(self) -> datetime | None:
        """When it is no longer hidden: an acknowledgement may end, and a silence beside it goes on."""
        return self.hidden_until or (self.ack.until if self.ack else None)

    @property
    def fired_again(self) -> bool:
        """Whether it began to fire after it was acknowledged: a silence hides each firing, and nobody has taken on this
        one."""
        if self.state != "acknowledged" or self.since is None or self.hidden_since is None:
            return False
        return self.since > self.hidden_since + AHEAD

    @property
    def told_labels(self) -> dict[str, str]:
        """Those for people, by name. Names that begin with two underscores are for machines: of Grafana the UIDs of
        rule and folder."""
        return {name: value for name, value in sorted(self.labels.items()) if not name.startswith("__")}

    @property
    def is_over(self) -> bool:
        """Whether it is an incident that is still open, and its alert is over."""
        return self.incident is not None and self.incident.over_since is not None and self.incident.ref == self.ref

    @property
    def named(self) -> str:
        """What people call it: its name, and what it is about."""
        return alert_subject(self.name, self.labels)

    @property
    def health(self) -> Health:
        """What it means now: acknowledged, silenced and inhibited alerts no longer ask for anybody, nor does one of
        severity `none`, as a watchdog that always fires. One that fired again after it was acknowledged does, and an
        incident that is still open when its alert is over.
        """
        if self.state == "unknown":
            return "unknown"
        if self.state == "pending" or self.fired_again or self.is_over:
            return "warning"
        if self.state != "firing" or self.severity == "none":
            return "ok"
        return firing_health(self.severity)


def firing_health(severity: str) -> Health:
    """What an alert of that severity means while it fires."""
    return "critical" if severity in ("critical", "page", "error", "emergency") else "warning"


def alert_subject(name: str, labels: Mapping[str, str]) -> str:
    """An alert as the timeline calls it: with the dataset, pipeline or service that it is about."""
    about = next((labels[label] for label in _THING if label in labels), "")
    return f"{name} {about}".rstrip()


class Matcher(Struct, frozen=True, kw_only=True):
    """One condition on a label: `name="value"`, or with `!=`, `=~`, `!~`. A label that is absent is ""."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def __str__(self) -> str:
        sign = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{sign[self.is_regex, self.is_equal]}"{value}"'


class Silence(Struct, frozen=True, kw_only=True):
    """What keeps alerts from notifying anybody until `ends_at`. `matches` counts the alerts that it hides now.

    An acknowledgement is a silence too: `is_ack`, its `comment` without the mark that says so.
    """

    ref: str
    backend: str
    id: str
    matchers: tuple[Matcher, ...]
    state: SilenceState
    raw_state: str = ""
    created_by: str = ""
    comment: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    is_ack: bool = False
    matches: int = 0
