"""An incident and the alerts that opened it are one thing. Pure functions over models.

Which they are: the key that their sender gave the incident, or a link of it, names the alert; or all labels that both
have are alike. What was seen together stays so while the incident is open: when none of its alerts is left in sources
that answer, the alert is over and the incident is not, as where a silence kept the end from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from backends.models import Alert, Incident

if TYPE_CHECKING:
    from console.ports.store import Snapshot

_NO_IDENTITY = frozenset({"severity", "alertname"})


def is_own(alert: Alert) -> bool:
    """Whether it is the incident's own alert, and not one that opened it."""
    return alert.incident is not None and alert.incident.ref == alert.ref


def remembering(fresh: Iterable[Alert], before: Snapshot | None) -> tuple[Alert, ...]:
    """What is read of incidents, with the alerts that they were seen with."""
    known = {alert.ref: alert.incident for alert in before.items if alert.incident} if before is not None else {}
    return tuple(_as_seen(alert, known.get(alert.ref)) for alert in fresh)


def _as_seen(alert: Alert, before: Incident | None) -> Alert:
    now = alert.incident
    if now is None or before is None or now.id != before.id:
        return alert
    return replace(
        alert, incident=replace(now, opened_by=before.opened_by, over_since=now.over_since or before.over_since)
    )


def tied(snapshots: Sequence[Snapshot]) -> dict[str, tuple[Alert, ...]]:
    """The alerts of each source by its name, with the incidents that they opened and the alerts that opened those."""
    own = [alert for snapshot in snapshots for alert in snapshot.items if is_own(alert)]
    others = [alert for snapshot in snapshots for alert in snapshot.items if not is_own(alert)]
    if not own:
        return {snapshot.key.name: tuple(_freed(alert) for alert in snapshot.items) for snapshot in snapshots}
    matched = _matched(own, others)
    opened_by: dict[str, list[str]] = {}
    for ref, incident in matched.items():
        opened_by.setdefault(incident.ref, []).append(ref)
    read = {snapshot.key.name: snapshot.fetched_at for snapshot in snapshots if _is_read(snapshot)}
    there = {alert.ref for alert in others}
    incidents = {alert.ref: _with(alert, opened_by.get(alert.ref, []), there, read) for alert in own}
    return {
        snapshot.key.name: tuple(
            replace(alert, incident=incidents[alert.ref]) if alert.ref in incidents
            else replace(alert, incident=incidents[matched[alert.ref].ref]) if alert.ref in matched
            else _freed(alert)
            for alert in snapshot.items
        )
        for snapshot in snapshots
    }  # fmt: skip


def _freed(alert: Alert) -> Alert:
    return alert if alert.incident is None or is_own(alert) else replace(alert, incident=None)


def _is_read(snapshot: Snapshot) -> bool:
    return snapshot.error is None and not snapshot.missing and snapshot.trust() == "ok"


def _with(alert: Alert, found: list[str], there: set[str], read: dict[str, datetime | None]) -> Incident:
    """The incident with the alerts that opened it; over where all of them have gone from sources that answer."""
    incident = alert.incident
    assert incident is not None
    opened_by = tuple(sorted({*incident.opened_by, *found}))
    over = incident.over_since
    if incident.alerts_firing or not incident.alerts:  # else its own system has said it
        sources = {ref.partition("/")[0] for ref in opened_by}
        if not opened_by or any(ref in there for ref in opened_by):
            over = None
        elif over is None and all(source in read for source in sources):
            over = max((at for source in sources if (at := read[source])), default=None)
    return replace(incident, opened_by=opened_by, over_since=over)


def _matched(own: Sequence[Alert], others: Sequence[Alert]) -> dict[str, Incident]:
    """The incident of each alert that has one, by the alert's ref."""
    by_key: dict[str, Incident] = {}
    by_name: dict[str, list[tuple[Alert, Incident]]] = {}
    for alert in own:
        if alert.incident is not None:
            by_key |= dict.fromkeys(alert.incident.keys, alert.incident)
            by_name.setdefault(alert.name, []).append((alert, alert.incident))
    found: dict[str, Incident] = {}
    for alert in others:
        keys = (alert.fingerprint, alert.ref, alert.source_url or "", alert.labels.get("alarm", ""))
        named = next((by_key[key] for key in keys if key and key in by_key), None)
        alike = (incident for one, incident in by_name.get(alert.name, ()) if _is_alike(one, incident, alert))
        if incident := named or next(alike, None):
            found[alert.ref] = incident
    return found


def _is_alike(one: Alert, incident: Incident, alert: Alert) -> bool:
    """Whether what the incident says of its alert is true of `alert`, and says which one it is."""
    said = {
        name: value for name, value in one.labels.items()
        if name not in _NO_IDENTITY and not (name == "service" and value == incident.service)
    }  # fmt: skip
    shared = said.keys() & alert.labels.keys()
    if any(said[name] != alert.labels[name] for name in shared):
        return False
    return bool(shared) or not alert.labels.keys() - _NO_IDENTITY


def acked_with(alert: Alert, links: Callable[[str], bool], there: Iterable[str]) -> list[str]:
    """The refs that an acknowledgement of `alert` is one of, too: of an incident the alerts that opened it and are
    still there, of such an alert its incident; where the entry of the incident's source `links` them."""
    incident = alert.incident
    if incident is None or not links(incident.ref.partition("/")[0]):
        return []
    return sorted(set(incident.opened_by) & set(there)) if is_own(alert) else [incident.ref]
