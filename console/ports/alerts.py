"""Alerts, one that two sources have shown once, and who can keep them quiet."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from backends.errors import BackendError
from backends.models import Alert, Silence
from console import moment
from console.ports.asking import warning
from console.ports.entry import Entry
from console.ports.incidents import acked_with, remembering, tied
from console.ports.record import Adapters, Desk, Noun, Place, Port, Problem, Reading
from console.ports.store import Snapshot, SourceKey, Store
from panels.kinds.alerts import fold

if TYPE_CHECKING:
    from backends.ports import Alerts, Silencer

ONE_BY_ONE = 20
"""So many alerts of one name and group are kept one by one."""
_QUIET = ("silenced", "inhibited")


async def _fetch(desk: Desk, name: str) -> tuple[Alert, ...]:
    found = await desk.adapters.of(ALERTS, name).alerts()
    if not any(alert.incident for alert in found):
        return tuple(found)
    return remembering(found, await desk.before(SourceKey("alerts", name)))


def _then(desk: Desk, _: Snapshot) -> None:
    """Of an alert that a Prometheus fires and its Alertmanager has, show the Alertmanager's; tie incidents to the
    alerts that opened them."""
    snapshots = desk.store.snapshots("alerts")
    if any(alert.incident for snapshot in snapshots for alert in snapshot.items):
        together = tied(snapshots)
        for snapshot in snapshots:
            if together[snapshot.key.name] != snapshot.items:
                desk.store.put(replace(snapshot, items=together[snapshot.key.name]))
                return  # which comes here again, with what is known now
    managers = [found for found in snapshots if found.type == "alertmanager" and found.trust() == "ok"]
    if not managers:
        return
    arrived = [alert for manager in managers for alert in manager.items]
    from console.ports.same_alerts import without_arrived

    for snapshot in snapshots:
        if snapshot.type == "prometheus":
            items = without_arrived(snapshot.items, arrived, moment.utc_now())
            if items != snapshot.items:
                desk.store.put(replace(snapshot, items=items))


def _problems(alerts: Sequence[Alert]) -> list[Problem]:
    """Each alert that fires, also once it is acknowledged; those of a large group as one."""
    found = []
    for group in fold([alert for alert in alerts if alert.state != "pending" and alert.severity != "none"]):
        several = len(group.alerts) > ONE_BY_ONE
        for alert in group.alerts[:1] if several else group.alerts:
            fires = replace(alert, state="firing") if alert.state == "acknowledged" else alert
            state = fires.state if fires.state in _QUIET else fires.health
            subject = alert.named
            words = f"{alert.name} ×{len(group.alerts)}" if several else subject
            found.append(
                Problem(
                    kind="alert", ref=alert.ref, state=state, subject=subject,
                    text=f"{words} {fires.state}" + (f": {alert.summary}" if alert.summary else ""),
                    since=alert.hidden_since if state in _QUIET else alert.since,
                )
            )  # fmt: skip
    return found


def _quiet(alert: Alert) -> str:
    """What an acknowledgement hides that whoever gave it has not seen."""
    by = f" by {alert.ack.by}" if alert.ack is not None and alert.ack.by else ""
    return f"{alert.named} was acknowledged{by} before it fired again" if alert.fired_again else ""


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    adapter = adapters.of(ALERTS, entry.name)
    found = await adapter.alerts()
    fix = "look at what it watches, in its own system"
    blind = [warning("blind", _words(alert), fix) for alert in found if alert.state == "unknown"]
    if not hasattr(adapter, "orders_as"):
        return blind
    try:
        await adapter.orders_as()
    except BackendError as error:  # its incidents have been read
        return [*blind, warning("nobody", f"nothing can be ordered there: {error.message}", error.fix)]
    return blind


def _words(alert: Alert) -> str:
    return f"{alert.name}: {alert.summary}" if alert.summary else alert.name


def silencer(adapters: Adapters, name: str) -> Silencer:
    """The source of alerts of that name. Raises BackendError: as `Adapters.of`, and config where it cannot silence."""
    found = adapters.of(ALERTS, name)
    if not hasattr(found, "silence"):
        words = f"alerts.{name} only reads: nothing is acknowledged or silenced there"
        fix = "do it in the system that its alerts come from"
        if hasattr(found, "order_incident"):
            words, fix = f"alerts.{name} has incidents, which are not silenced", "`teal alert snooze`, or `ack`"
        raise BackendError("config", words, fix=fix)
    return cast("Silencer", found)


def ordered_by(adapters: Adapters, name: str) -> str:
    """The method by which alerts of that source are ordered: of incidents, or of silences."""
    try:
        found = adapters.of(ALERTS, name)
    except BackendError:
        return "silence"  # which says what is wrong with it
    return "order_incident" if hasattr(found, "order_incident") else "silence"


def linked_params(alert: Alert, adapters: Adapters, store: Store) -> dict[str, Any]:
    """The `params` of an acknowledgement: what is acknowledged with it (`ack_links`); one that can not be is not."""

    def links(source: str) -> bool:
        with contextlib.suppress(BackendError):  # whoever reads it says what is wrong with it
            return bool(getattr(adapters.of(ALERTS, source), "links_acks", False))
        return False

    there = [other.ref for other in store.items("alerts")]
    also = [
        ref for ref in acked_with(alert, links, there)
        if ordered_by(adapters, ref.partition("/")[0]) == "order_incident"
        or not why_not_silenced(adapters, ref.partition("/")[0])
    ]  # fmt: skip
    return {"also": also} if also else {}


def why_not_silenced(adapters: Adapters, name: str) -> str:
    """Why alerts of that source cannot be acknowledged or silenced from here; empty where they can."""
    try:
        silencer(adapters, name)
    except BackendError as error:
        return f"{error.message}; {error.fix}" if error.fix else error.message
    return ""


ALERTS: Port[Alerts, Alert] = Port(
    name="alerts",
    about="where alerts come from.",
    protocol="backends.ports:Silencer",
    ask=_ask,
    writes=("silence", "silence"),
    reading=Reading(
        item=Alert,
        fetch=_fetch,
        interval_s=10.0,
        then=_then,
        single="alert",
        title=lambda alert: alert.named,
        says=lambda alert: f"{alert.named}: {alert.summary}".removesuffix(": "),
        at=lambda alert: alert.since,
        problems=_problems,
        quiet=_quiet,
        empty="No alerts firing",
    ),
    noun=Noun(name="alert", help="Alerts:", command="console.cli.alert:alert"),
    documents={"alert.list": Alert, "alert.show": Alert, "alert.silences": Silence},
    show="console.cli.alert:shown_alert",
    screen="console.screens.alert_detail:AlertDetail",
    place=Place(kind="panels.kinds.alerts:ALERTS", title="Alerts", key="3", row="lower"),
)
