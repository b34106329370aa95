"""One list from what several peers say. Alerts are not gossiped between peers: each has what was sent to it."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from backends.alerts.alertmanager_wire import WireAlert, WireSilence, WireStatus, alert_model
from backends.errors import BackendError
from backends.models import Alert
from backends.settings import Duration

PEER_ALERT = "AlertmanagerPeer"


class PeerRead(Struct, frozen=True):
    """What one peer said, and when by its own clock."""

    peer: str
    at: datetime
    alerts: Sequence[WireAlert]


class Watch(Struct, frozen=True):
    """The alert that always fires, and how long its sender may be silent. An empty name: none is expected."""

    name: str
    max_age: Duration


def merge_alerts(reads: Iterable[PeerRead]) -> list[WireAlert]:
    """One alert a fingerprint: the earliest start, all that suppresses it, the words of whoever heard of it last.

    It is suppressed only where all peers that have it say so: any other one notifies somebody.
    """
    merged: dict[str, WireAlert] = {}
    for read in reads:
        for alert in read.alerts:
            known = merged.get(alert.fingerprint)
            merged[alert.fingerprint] = alert if known is None else _both(known, alert)
    return list(merged.values())


def _both(one: WireAlert, other: WireAlert) -> WireAlert:
    newest = max(one, other, key=lambda alert: alert.updated_at)
    states = {one.status.state, other.status.state}
    status = WireStatus(
        state=newest.status.state if len(states) == 1 else min(states - {"suppressed"}),
        silenced_by=_union(one.status.silenced_by, other.status.silenced_by),
        inhibited_by=_union(one.status.inhibited_by, other.status.inhibited_by),
        muted_by=_union(one.status.muted_by, other.status.muted_by),
    )
    return replace(newest, starts_at=min(one.starts_at, other.starts_at), status=status)


def _union(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return one if one == other else tuple(dict.fromkeys((*one, *other)))


def merge_silences(known: Iterable[Iterable[WireSilence]]) -> dict[str, WireSilence]:
    """By id, as the peer says that heard of it last; of equal ones, that of a peer where it hides nothing yet."""
    merged: dict[str, WireSilence] = {}
    for silences in known:
        for silence in silences:
            before = merged.get(silence.id)
            if before is None or (before.updated_at, before.state == "pending") < (
                silence.updated_at,
                silence.state == "pending",
            ):
                merged[silence.id] = silence
    return merged


def alert_models(
    backend: str, merged: Iterable[WireAlert], silences: dict[str, WireSilence], group_by: Sequence[str]
) -> list[Alert]:
    """The models, with who acknowledged them."""
    return [
        alert_model(backend, wire, [silences[each] for each in wire.status.silenced_by if each in silences], group_by)
        for wire in merged
    ]


def watched(backend: str, alerts: list[Alert], reads: Sequence[PeerRead], watch: Watch) -> list[Alert]:
    """`alerts`, with the watchdog of state `unknown` where it is missing or old: then no alert proves nothing."""
    if not watch.name:
        return alerts
    ages: dict[str, timedelta] = {}
    for read in reads:
        for wire in read.alerts:
            if wire.labels.get("alertname") == watch.name:
                age = read.at - wire.updated_at
                ages[wire.fingerprint] = min(age, ages.get(wire.fingerprint, age))
    if not ages:
        return [*alerts, made_up(backend, watch.name, "watchdog missing: alerts may not reach us")]
    return [_judged(alert, ages.get(alert.fingerprint), watch) for alert in alerts]


def _judged(alert: Alert, age: timedelta | None, watch: Watch) -> Alert:
    if age is None:
        return alert
    if age.total_seconds() <= watch.max_age:
        return replace(alert, severity="none")  # that it fires is good: it asks for nobody
    words = f"watchdog not heard of for {Duration(round(age.total_seconds()))}: alerts may not reach us"
    return replace(alert, state="unknown", summary=words)


def lost_peer(backend: str, peer: str, error: BackendError) -> Alert:
    """A blind spot: what only that peer has is not seen."""
    return made_up(backend, PEER_ALERT, f"{error.message}; what only this peer has is not seen", peer=peer)


def made_up(backend: str, name: str, summary: str, **labels: str) -> Alert:
    """An alert of state `unknown` that no system sent: it says what is not known."""
    about = "\n".join([name, *labels.values()])
    fingerprint = hashlib.sha256(about.encode()).hexdigest()[:16]
    return Alert(
        ref=f"{backend}/{fingerprint}",
        backend=backend,
        fingerprint=fingerprint,
        name=name,
        severity="critical",
        state="unknown",
        labels={"alertname": name, **labels},
        summary=summary,
        group=name,
    )
