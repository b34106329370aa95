"""What Prometheus' `/rules` and `/alerts` send. Source: https://prometheus.io/docs/prometheus/latest/querying/api/#rules.

States and health are open words. Thanos, Mimir and vmalert speak the same, with fields of their own that are ignored.
"""

from datetime import datetime

from msgspec import Raw, Struct

from backends.errors import BackendError
from backends.http import decode_json
from backends.models import AlertState
from backends.records import Odd, each_record
from backends.text import clean

# Of Grafana, `nodata` and `error` are what nobody knows.
_STATES: dict[str, AlertState] = {
    "firing": "firing", "pending": "pending", "alerting": "firing",
}  # fmt: skip
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
    """An alerting rule or a recording one; both can fail. `uid` and `is_paused` are of Grafana's own."""

    name: str
    query: str = ""
    type: str = "alerting"
    health: str = ""
    last_error: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    alerts: list[WireAlert] | None = None
    uid: str = ""
    is_paused: bool = False
    last_evaluation: datetime | None = None


class WireGroup(Struct, frozen=True, rename="camel"):
    """The rules of a group, which are evaluated one after the other. Of Grafana `file` is its folder, by title."""

    name: str = ""
    file: str = ""
    rules: list[WireRule] = []
    folder_uid: str = ""


class LooseGroup(Struct, frozen=True, rename="camel"):
    """A group whose rules are not read yet."""

    name: str = ""
    file: str = ""
    rules: Raw = Raw(b"[]")
    folder_uid: str = ""


class LooseRules(Struct, frozen=True):
    """`data` of `/rules` whose groups are not read yet."""

    groups: Raw = Raw(b"[]")


class WireRules(Struct, frozen=True):
    """`data` of `/rules`."""

    groups: list[WireGroup] = []


class LooseAlerts(Struct, frozen=True):
    """`data` of `/alerts`, whose alerts are not read yet."""

    alerts: Raw = Raw(b"[]")


def state_of(word: str) -> AlertState | None:
    """What `word` means: those of Prometheus, or of Grafana's ruler, which writes `Alerting (NoData)` as well. None: it
    lists those that do not fire, too."""
    first = first_of(word)
    return None if first in ("normal", "inactive") else _STATES.get(first, "unknown")


def first_of(word: str) -> str:
    """The state of `Alerting (NoData)` without its reason, in small letters."""
    return word.partition(" ")[0].casefold()


def decode_rules(data: bytes, where: str) -> tuple[WireRules, list[Odd]]:
    """The rules, and the rules and groups that cannot be read. Raises BackendError(malformed)."""
    try:
        return decode_json(data, WireRules, where=where), []
    except BackendError as error:
        refused = error
    loose, odd = each_record(bytes(decode_json(data, LooseRules, where=where).groups), LooseGroup, where=where)
    groups: list[WireGroup] = []
    for group in loose:
        try:
            rules, strange = each_record(bytes(group.rules), WireRule, where=f"{where}: {clean(group.name, 100)}")
        except BackendError as error:
            rules, strange = [], [Odd(0, error, None)]
        groups.append(WireGroup(group.name, group.file, rules, group.folder_uid))
        odd += strange
    if not any(group.rules for group in groups):
        raise refused
    return WireRules(groups), odd


def fingerprint_of(labels: dict[str, str]) -> str:
    """16 hex digits of a label set: the FNV-1a that Prometheus and Alertmanager use.

    Alertmanager names the alert the same where `external_labels` and relabeling add nothing on the way to it.
    """
    total = _OFFSET
    for name in sorted(labels, key=lambda each: each.encode()):
        for byte in (*name.encode(), _SEPARATOR, *labels[name].encode(), _SEPARATOR):
            total = ((total ^ byte) * _PRIME) & _MASK
    return f"{total:016x}"
