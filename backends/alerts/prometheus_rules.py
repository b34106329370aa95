"""What Prometheus' `/rules` and `/alerts` send. Source: https://prometheus.io/docs/prometheus/latest/querying/api/#rules.

States and health are open words. Thanos, Mimir and vmalert speak the same, with fields of their own that are ignored.
"""

from datetime import datetime

from msgspec import Struct

_OFFSET, _PRIME, _SEPARATOR = 14695981039346656037, 1099511628211, 255
_MASK = 2**64 - 1


class WireAlert(Struct, frozen=True, rename="camel"):
    """One alert of a rule. `value` is a number as text: `1e+00`. `active_at` is absent in some servers' answers."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    state: str = ""
    active_at: datetime | None = None
    value: str | float = ""


class WireRule(Struct, frozen=True, rename="camel"):
    """An alerting rule or a recording one; both can fail."""

    name: str
    query: str = ""
    type: str = "alerting"
    health: str = ""
    last_error: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    alerts: list[WireAlert] | None = None


class WireGroup(Struct, frozen=True):
    """The rules of a group, which are evaluated one after the other."""

    name: str = ""
    file: str = ""
    rules: list[WireRule] = []


class WireRules(Struct, frozen=True):
    """`data` of `/rules`."""

    groups: list[WireGroup] = []


class WireAlerts(Struct, frozen=True):
    """`data` of `/alerts`."""

    alerts: list[WireAlert] = []


def fingerprint_of(labels: dict[str, str]) -> str:
    """16 hex digits of a label set: the FNV-1a that Prometheus and Alertmanager use.

    Alertmanager names the alert the same where `external_labels` and relabeling add nothing on the way to it.
    """
    total = _OFFSET
    for name in sorted(labels, key=lambda each: each.encode()):
        for byte in (*name.encode(), _SEPARATOR, *labels[name].encode(), _SEPARATOR):
            total = ((total ^ byte) * _PRIME) & _MASK
    return f"{total:016x}"
