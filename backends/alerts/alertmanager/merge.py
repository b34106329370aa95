"""One list from what several peers say. Alerts are not gossiped between peers: each has what was sent to it."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from backends.alerts.alertmanager.wire import WireAlert, WireSilence, WireStatus, alert_model
from backends.errors import BackendError
from backends.models import Alert
from backends.records import Odd, text_at
from backends.settings import Duration
from backends.text import clean

GRACE_S = 120.0  # Prometheus sends what fires again each minute, after its next evaluation
PEER_ALERT = "AlertmanagerPeer"


class PeerRead(Struct, frozen=True):
    """What one peer said, and when by its own clock; `odd` are alerts that cannot be read."""

    peer: str
    at: datetime
    alerts: Sequence[WireAlert]
    odd: Sequence[Odd] = ()


class Watch(Struct, frozen=True):
    """The alert that always fires, and how long its sender may be silent. An empty name: none is expected."""

    name: str
    max_age: Duration


def merge_alerts(reads: Iterable[PeerRead]) -> list[WireAlert]:
    """One alert a fingerprint: the earliest start, all that suppresses it, the words of whoever heard of it last. Two
    of other labels are two, though somebody gave both one fingerprint.

    It is suppressed only where all peers that have it say so: any other one notifies somebody.
    """
    merged: dict[str, WireAlert] = {}
    shared: dict[str, list[WireAlert]] = {}
    for read in reads:
        for alert in read.alerts:
            known = merged.get(alert.fingerprint)
            if known is not None and known.labels != alert.labels:
                shared.setdefault(alert.fingerprint, []).append(alert)
            else:
                merged[alert.fingerprint] = alert if known is None else _both(known, alert)
    for fingerprint, others in shared.items():
        for alert in _told_apart([merged.pop(fingerprint), *others]):
            known = merged.get(alert.fingerprint)
            merged[alert.fingerprint] = alert if known is None else _both(known, alert)
    return list(merged.values())


def _told_apart(alerts: Iterable[WireAlert]) -> Iterator[WireAlert]:
    """Each with a fingerprint of its labels, in whatever order they came."""
    for alert in alerts:
        of_labels = hashlib.sha256(repr(sorted(alert.labels.items())).encode()).hexdigest()[:16]
        yield replace(alert, fingerprint=f"{alert.fingerprint}-{of_labels}")


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


def odd_alerts(backend: str, read: PeerRead) -> list[Alert]:
    """A row for each alert of that peer which is not what Alertmanager documents: nobody knows how it is."""
    return [
        made_up(
            backend,
            clean(text_at(odd.plain, "labels", "alertname"), 200) or PEER_ALERT,
            f"an alert that cannot be read: {odd.error.message}",
            fingerprint=clean(text_at(odd.plain, "fingerprint"), 64) or f"{read.peer} {odd.index}",
        )
        for odd in read.odd
    ]


def watched(
    backend: str, alerts: list[Alert], reads: Sequence[PeerRead], watch: Watch, started: datetime | None = None
) -> list[Alert]:
    """`alerts`, with the watchdog of state `unknown` where it is missing or old: then no alert proves nothing.

    `started`: when the last peer came up. Alerts are sent to it again within a minute or two; until then it is awaited.
    """
    if not watch.name:
        return alerts
    ages: dict[str, timedelta] = {}
    for read in reads:
        for wire in read.alerts:
            if wire.is_called(watch.name):
                age = read.at - wire.updated_at
                ages[wire.fingerprint] = min(age, ages.get(wire.fingerprint, age))
    if not ages:
        where = f"watchdog missing in Alertmanager ({', '.join(read.peer for read in reads)})"
        spot = made_up(backend, watch.name, f"{where}: alerts may not reach us")
        up_s = None if started is None else min((read.at - started).total_seconds() for read in reads)
        if up_s is not None and -GRACE_S <= up_s < GRACE_S:
            words = f"{where}: it came up {Duration(max(0, round(up_s)))} ago, and waits for it"
            spot = replace(spot, state="pending", summary=words)
        return [*alerts, spot]
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
