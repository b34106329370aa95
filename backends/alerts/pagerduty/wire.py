"""Incidents and their alerts as PagerDuty's REST API v2 tells them, only the fields that are read.

API: https://developer.pagerduty.com/api-reference/9d0b4b12e36f9-list-incidents
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field

from backends.text import clean, clean_labels, link

MAX_LABELS = 60
SEVERITIES = ("critical", "error", "warning", "info")
_LABEL = re.compile(r"^ ?- ([A-Za-z_][\w.:/-]*) = (.*)$", re.MULTILINE)
_NAMES = ("alertname", "alert_name", "AlarmName")


class Reference(Struct, frozen=True):
    """Another record: a user, a service, an escalation policy."""

    id: str
    type: str = ""
    summary: str = ""
    html_url: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return clean(self.summary or self.id, 200)


class Assignment(Struct, frozen=True):
    """Who it is assigned to."""

    assignee: Reference


class AckBy(Struct, frozen=True):
    """Who acknowledged it, when."""

    at: datetime
    acknowledger: Reference


class Pending(Struct, frozen=True):
    """What PagerDuty does by itself, and when: `unacknowledge`, `escalate`, `resolve`, `urgency_change`."""

    type: str
    at: datetime


class Counts(Struct, frozen=True):
    """Of the alerts of one incident."""

    all: int = 0
    triggered: int = 0
    resolved: int = 0


class Incident(Struct, frozen=True):
    """One incident."""

    id: str
    status: str
    created_at: datetime
    incident_number: int = 0
    title: str = ""
    summary: str = ""
    html_url: str = ""
    urgency: str = ""
    incident_key: str = ""
    service: Reference = Reference("")
    escalation_policy: Reference = Reference("")
    priority: Reference | None = None
    assignments: tuple[Assignment, ...] = ()
    acknowledgements: tuple[AckBy, ...] = ()
    pending_actions: tuple[Pending, ...] = ()
    alert_counts: Counts = Counts()
    updated_at: datetime | None = None
    last_status_change_at: datetime | None = None

    @property
    def version(self) -> tuple[Any, ...]:
        """What changes where one of its alerts does."""
        return self.updated_at, self.alert_counts

    @property
    def ack_until(self) -> datetime | None:
        """When its acknowledgement, or its snooze, runs out; None where it does not."""
        ends = [each.at for each in self.pending_actions if each.type == "unacknowledge"]
        return min(ends).astimezone(UTC) if ends else None


class _Body(Struct, frozen=True):
    details: Any = None
    contexts: tuple[dict[str, Any], ...] = ()


class IncidentAlert(Struct, frozen=True):
    """One alert of an incident: what opened it, or came to it later. `key`: by which its sender knows it."""

    id: str
    status: str = ""
    created_at: datetime | None = None
    key: str = field(default="", name="alert_key")
    severity: str = ""
    summary: str = ""
    body: _Body = _Body()

    @property
    def links(self) -> list[str]:
        """Where it says more of itself."""
        found = (link(str(each.get("href") or ""), 500) for each in self.body.contexts)
        return [each for each in found if each]

    def labels(self) -> dict[str, str]:
        """Of its details: what is text or a number, or the labels that an Alertmanager wrote into a text."""
        details = self.body.details if isinstance(self.body.details, Mapping) else {}
        texts = [value for value in details.values() if isinstance(value, str) and value.lstrip().startswith("Labels:")]
        found = _common([dict(_LABEL.findall(block)) for text in texts for block in _blocks(text)]) if texts else {
            str(name): value if isinstance(value, str) else f"{value:g}"
            for name, value in details.items()
            if isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
        }  # fmt: skip
        return clean_labels(dict(list(found.items())[:MAX_LABELS]))


def _blocks(text: str) -> list[str]:
    """Of each alert of a group its labels, as the template `pagerduty.default.instances` writes them."""
    return [part.partition("Annotations:")[0] for part in text.split("Labels:")[1:]]


def _common(found: Sequence[dict[str, str]]) -> dict[str, str]:
    """The labels that all of them have alike."""
    first, *others = found or [{}]
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in others)}


def name_of(labels: Mapping[str, str], title: str) -> str:
    """What the alert is called: by its labels, else its title."""
    return next((labels[name] for name in _NAMES if labels.get(name)), "") or clean(title, 200) or "(no title)"


def worst(alerts: Sequence[IncidentAlert], urgency: str) -> str:
    """The severity of those that are not over; by the incident's urgency where none says one."""
    said = {alert.severity for alert in alerts if alert.status != "resolved"} or {alert.severity for alert in alerts}
    found = next((severity for severity in SEVERITIES if severity in said), "")
    return found or ("warning" if urgency == "low" else "critical")


def fingerprint_of(service: str, key: str) -> str:
    """16 hex digits, the same each time that a service opens an incident by the same key."""
    return hashlib.sha256(f"{service}\n{key}".encode()).hexdigest()[:16]
