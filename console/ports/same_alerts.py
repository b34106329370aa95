"""One alert, two sources: the rules of a Prometheus and the Alertmanager that it sends to. Pure functions over models.

The Alertmanager knows who is told and what is silenced, so its alert stays; of the rules there stay those that are
pending, those that are blind, and those that fire and have not arrived, since nobody is told of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from backends.models import Alert

# Prometheus sends at each evaluation, at most a minute apart (its default), and again until it is taken.
ARRIVES_WITHIN = timedelta(minutes=2)
NOT_ARRIVED = "fires, but is not in Alertmanager"


def without_arrived(rules: Iterable[Alert], arrived: Sequence[Alert], now: datetime) -> tuple[Alert, ...]:
    """The alerts of `rules` that `arrived` does not have, those overdue there marked in their summary.

    The Alertmanager's labels are those of the rule and, where configured, external ones; relabeling that takes labels
    away makes them two alerts here.
    """
    by_name: dict[str, list[Alert]] = {}
    for alert in arrived:
        by_name.setdefault(alert.name, []).append(alert)
    known: dict[tuple[str, frozenset[str]], set[frozenset[tuple[str, str]]]] = {}

    def has_arrived(alert: Alert) -> bool:
        labels = frozenset(alert.labels)
        kind = (alert.name, labels)
        if kind not in known:
            known[kind] = {
                frozenset((label, value) for label, value in other.labels.items() if label in labels)
                for other in by_name.get(alert.name, ())
            }
        return frozenset(alert.labels.items()) in known[kind]

    return tuple(
        _overdue(alert, now) if alert.state == "firing" else alert
        for alert in rules
        if alert.state != "firing" or not has_arrived(alert)
    )


def _overdue(alert: Alert, now: datetime) -> Alert:
    waiting = alert.since is None or now - alert.since < ARRIVES_WITHIN
    if waiting or alert.severity == "none" or alert.summary.startswith(NOT_ARRIVED):
        return alert
    return replace(alert, summary=f"{NOT_ARRIVED}: {alert.summary}" if alert.summary else NOT_ARRIVED)
