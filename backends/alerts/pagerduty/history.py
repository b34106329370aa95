"""Log entries of incidents as events of the timeline: when one was opened and how long it was open, who did what to it.

API: https://developer.pagerduty.com/api-reference/c661e065403b5-list-log-entries
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from backends.alerts.pagerduty.wire import Reference
from backends.models import Alert, Health, TimelineEvent
from backends.pagerduty.api import PagerDutyApi, page_of
from backends.settings import Duration
from backends.text import clean

MAX_ENTRIES = 1000
_END = "_log_entry"
_LEFT_OUT = frozenset({"notify", "assign"})
_LOUD: dict[str, Health] = {"exhaust_escalation_path": "warning", "reach_trigger_limit": "warning"}


class Entry(Struct, frozen=True):
    """One log entry: `type` is what happened, `summary` says it in PagerDuty's words, with who did it."""

    id: str
    type: str
    created_at: datetime
    summary: str = ""
    note: str = ""
    html_url: str = ""
    incident: Reference = Reference("")
    service: Reference = Reference("")

    @property
    def word(self) -> str:
        """`trigger`, `acknowledge`, `escalate`, …"""
        return clean(self.type.removesuffix(_END), 60)

    @property
    def at(self) -> datetime:
        """In UTC."""
        return self.created_at.astimezone(UTC)


async def entries_between(
    api: PagerDutyApi, since: datetime, until: datetime, filters: dict[str, list[str]]
) -> tuple[list[Entry], bool]:
    """Those of the services and teams that are looked at, oldest first, and whether that is all of them. Raises
    BackendError."""
    asked: dict[str, object] = {"since": since.isoformat(), "until": until.isoformat(), "is_overview": "true"}
    asked |= {name: ids for name, ids in filters.items() if name == "team_ids[]"}
    found, is_all = await api.pages("/log_entries", "log_entries", Entry, asked, most=MAX_ENTRIES)
    services = filters.get("service_ids[]")
    wanted = {entry.id: entry for entry in found if services is None or entry.service.id in services}
    return sorted(wanted.values(), key=lambda entry: (entry.at, entry.id)), is_all


def events_of(entries: Sequence[Entry], backend: str, known: Callable[[str], Alert | None]) -> list[TimelineEvent]:
    """Of entries oldest first; `known` has the alerts of incidents by their id."""
    ends = {entry.incident.id: entry.at for entry in entries if entry.word == "resolve"}
    return list(filter(None, (_event(entry, backend, known, ends) for entry in entries)))


def _event(
    entry: Entry, backend: str, known: Callable[[str], Alert | None], ends: dict[str, datetime]
) -> TimelineEvent | None:
    alert = known(entry.incident.id)
    ref = alert.ref if alert else f"{backend}/{entry.incident.id}"
    about, url = clean(entry.incident.name, 200), page_of(entry.html_url)
    if entry.word in _LEFT_OUT:
        return None
    if entry.word != "trigger":
        said = ": ".join(filter(None, (about, entry.summary.strip(), entry.note.strip())))
        return TimelineEvent(
            at=entry.at, kind="incident", ref=ref, text=clean(f"incident {said}", 500), url=url,
            health=_LOUD.get(entry.word, "ok"),
        )  # fmt: skip
    subject = alert.named if alert else about
    until = ends.get(entry.incident.id)
    lasted = f" for {Duration(round((until - entry.at).total_seconds()))}" if until else ""
    return TimelineEvent(
        at=entry.at, kind="alert", ref=ref, subject=subject, until=until, measured=True, going_on=until is None,
        health=_health(alert), url=url, text=clean(f"{subject} fired{lasted}: incident {about}", 500),
    )  # fmt: skip


def _health(alert: Alert | None) -> Health:
    """What it was when it was opened; PagerDuty's entry does not say."""
    return "critical" if alert is None or alert.severity in ("critical", "error") else "warning"


def incidents_in(entries: Iterable[Entry]) -> list[str]:
    """The ids of those that were opened in them."""
    return list(dict.fromkeys(entry.incident.id for entry in entries if entry.word == "trigger"))
