"""Open incidents of PagerDuty as alerts: who has them, until when, and what opened them.

```toml
[[contexts.production.alerts]]
type = "pagerduty"
token = { env = "PAGERDUTY_TOKEN" }      # a user's own: orders are given in that user's name
# url = "https://api.eu.pagerduty.com"   # the EU region
# from = { env = "PAGERDUTY_EMAIL" }     # with a general key, which is nobody's: who orders
services = ["Analytics"]                 # by name or id; default: all that the token sees
```
API: https://developer.pagerduty.com/api-reference/9d0b4b12e36f9-list-incidents
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import field

from backends.alerts.alertmanager.merge import made_up
from backends.alerts.pagerduty.history import entries_between, events_of, incidents_in
from backends.alerts.pagerduty.orders import One, Orders
from backends.alerts.pagerduty.wire import (
    Incident,
    IncidentAlert,
    Reference,
    fingerprint_of,
    name_of,
    worst,
)
from backends.errors import BackendError
from backends.models import Acknowledgement, Alert, AlertState, TimelineEvent
from backends.models import Incident as IncidentModel
from backends.pagerduty.api import PagerDutyAccess, PagerDutyApi, ids_of, page_of, path_of
from backends.ports.incidents import Escalation, IncidentNow, IncidentOrder, IncidentResult, Person
from backends.registry import AdapterContext
from backends.settings import Secret
from backends.text import clean
from backends.together import few_at_a_time

MAX_INCIDENTS = 1000
MAX_LOOKS = 100
"""So many incidents are asked for their alerts in one read, newest first; the others in the next ones."""
SIDE_BY_SIDE = 4
MAX_KNOWN = 2000
MAX_KEYS = 100
_STATES: dict[str, AlertState] = {"triggered": "firing", "acknowledged": "acknowledged"}


class PagerDutyAlertsConfig(PagerDutyAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which incidents, and in whose name they are ordered.

    from: the email of who orders, where the token is a general key; a reference, since each operator has another.
    services: only incidents of these, by name or id.
    teams: only incidents of services of these, by name or id.
    ack_links: an acknowledgement of an incident is one of the alerts that opened it, each in its system; and back.
    """

    from_: str | Secret | None = field(default=None, name="from")
    services: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    ack_links: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all((*self.services, *self.teams)):
            raise ValueError("services, teams: none of them empty")

    def doubts(self) -> list[tuple[str, str, str]]:
        """Key, what speaks against it, and what to do: one email for all is nobody's."""
        if not isinstance(self.from_, str):
            return []
        words = "from: a literal is shared: whoever orders does it in that name"
        return [("from", words, 'a reference that each operator sets: { env = "PAGERDUTY_EMAIL" }')]


class _Service(Reference, frozen=True):
    teams: tuple[Reference, ...] = ()


class PagerDutyAlerts:
    """`Incidents`: the open ones of an account."""

    api = 1
    Config = PagerDutyAlertsConfig

    def __init__(self, config: PagerDutyAlertsConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._api = PagerDutyApi(config, context)
        self._orders = Orders(self._api, config.from_, context.base_dir)
        self._chosen: dict[str, list[str]] | None = None
        self._looked: dict[str, tuple[Any, list[IncidentAlert]]] = {}
        self._over: dict[str, datetime] = {}
        self._known: dict[str, Alert] = {}

    async def alerts(self) -> list[Alert]:
        """Those triggered and acknowledged, newest first, and one of state `unknown` where there are more than are
        read. Raises BackendError."""
        asked = {
            "statuses[]": ["triggered", "acknowledged"], "date_range": "all", "sort_by": "created_at:desc",
            **await self._filters(),
        }  # fmt: skip
        found, is_all = await self._api.pages("/incidents", "incidents", Incident, asked, most=MAX_INCIDENTS)
        incidents = list({incident.id: incident for incident in found}.values())
        await self._look(incidents)
        alerts = {}
        for incident in incidents:
            alert = self._alert(incident, self._looked.get(incident.id, (None, []))[1])
            alerts[alert.ref if alert.ref not in alerts else incident.id] = alert
            self._known[incident.id] = alert
        if is_all:
            return list(alerts.values())
        words = f"more than {MAX_INCIDENTS:,} incidents are open, older ones are not read: choose `services` or `teams`"
        return [*alerts.values(), made_up(self._name, "PagerDutyIncidents", words)]

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """As the port says, by the log entries of incidents: also who acknowledged, escalated or noted what."""
        entries, is_all = await entries_between(self._api, since, until, await self._filters())
        unknown = [id_ for id_ in incidents_in(entries) if id_ not in self._known]
        await few_at_a_time(SIDE_BY_SIDE, (partial(self._learn, id_) for id_ in unknown[-MAX_LOOKS:]))
        found = events_of(entries, self._name, self._known.get)
        if is_all or not entries:
            return found
        words = f"{self._api.where}: more than {len(entries):,} log entries: nothing before is read"
        gap = TimelineEvent(at=since, kind="unwatched", ref=self._name, text=words, until=entries[0].at)
        return [gap, *found]

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._api.aclose()

    # ---- orders

    @property
    def links_acks(self) -> bool:
        """As `ack_links` of the config says."""
        return self._config.ack_links

    async def incident(self, fingerprint: str) -> IncidentNow:
        """As the port says."""
        found = next((each for each in await self.alerts() if each.fingerprint == fingerprint), None)
        if found is None or found.incident is None:
            words = f"{self._name} has no open incident {clean(fingerprint, 60)}"
            raise BackendError("not_found", words, fix="`teal alert list`")
        return await self._orders.read(found.incident.id)

    async def orders_as(self) -> Person:
        """The token's own user, or the one whose email `from` is."""
        return await self._orders.orders_as()

    async def person(self, wanted: str) -> Person:
        """As the port says."""
        return await self._orders.person(wanted)

    async def escalation(self, incident: IncidentNow) -> Escalation:
        """By who is on call on each level of the incident's policy now."""
        return await self._orders.escalation(incident)

    async def order_incident(self, order: IncidentOrder) -> IncidentResult:
        """As the port says; a look before stands in for compare-and-swap, which PagerDuty has not."""
        return await self._orders.order(order)

    # ---- inside

    async def _filters(self) -> dict[str, list[str]]:
        """The ids of the services and teams of the config. PagerDuty answers for an unknown one as if it were well, so
        they are looked for once. Raises BackendError(config)."""
        if not self._config.services and not self._config.teams:
            return {}
        if self._chosen is None:
            services, _ = await self._api.pages("/services", "services", _Service)
            teams = {team.id: team for service in services for team in service.teams}
            self._chosen = {
                "service_ids[]": ids_of("services", self._config.services, {each.id: each.name for each in services}),
                "team_ids[]": ids_of("teams", self._config.teams, {each.id: each.name for each in teams.values()}),
            }
        return {name: ids for name, ids in self._chosen.items() if ids}

    async def _look(self, incidents: Sequence[Incident]) -> None:
        """Ask those that changed since for their alerts."""
        there = {incident.id for incident in incidents}
        # PagerDuty does not say when an alert ended: it was when the incident changed last before it was seen so.
        self._over = {
            each.id: self._over.get(each.id, each.updated_at or each.created_at)
            for each in incidents
            if each.alert_counts.all and not each.alert_counts.triggered
        }
        self._looked = {key: known for key, known in self._looked.items() if key in there}
        changed = [each for each in incidents if self._looked.get(each.id, (None,))[0] != each.version]
        await few_at_a_time(SIDE_BY_SIDE, (partial(self._look_at, incident) for incident in changed[:MAX_LOOKS]))

    async def _learn(self, id_: str) -> None:
        """What an incident that is over was about."""
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        try:
            incident = (await self._api.get(path_of("incidents", id_), One)).incident
        except BackendError as error:
            if error.kind not in ("not_found", "rate_limited"):
                raise
            return
        await self._look_at(incident)
        self._known[id_] = self._alert(incident, self._looked.pop(id_, (None, []))[1])

    async def _look_at(self, incident: Incident) -> None:
        path = path_of("incidents", incident.id, "alerts")
        try:
            found, _ = await self._api.pages(path, "alerts", IncidentAlert, most=100)
        except BackendError as error:
            if error.kind not in ("not_found", "rate_limited"):
                raise
            return  # it was merged meanwhile, or waits for the next read
        found.sort(key=lambda alert: (alert.created_at is None, alert.created_at and alert.created_at.timestamp()))
        self._looked[incident.id] = incident.version, found

    def _alert(self, incident: Incident, alerts: Sequence[IncidentAlert]) -> Alert:
        opened = alerts[0] if alerts else None
        said = opened.labels() if opened else {}
        name = name_of(said, incident.title or incident.summary)
        severity = worst(alerts, incident.urgency)
        fingerprint = fingerprint_of(incident.service.id, (opened and opened.key) or incident.id)
        labels = {"service": incident.service.name, **said, "alertname": name, "severity": severity}
        state = _STATES.get(incident.status, "unknown")
        acks = incident.acknowledgements if state == "acknowledged" else ()
        assigned = tuple(dict.fromkeys(each.assignee.name for each in incident.assignments))
        return Alert(
            ref=f"{self._name}/{fingerprint}",
            backend=self._name,
            fingerprint=fingerprint,
            name=name,
            severity=severity,
            state=state,
            raw_state=clean(incident.status, 40),
            since=incident.created_at,
            labels=labels,
            summary=clean(incident.title or incident.summary, 500),
            group=f"{name} {incident.service.name}",
            ack=Acknowledgement(
                by=", ".join(dict.fromkeys(each.acknowledger.name for each in acks)), until=incident.ack_until
            ) if acks else None,
            hidden_since=max((each.at for each in acks), default=None),
            hidden_until=incident.ack_until if acks else None,
            targets=assigned,
            runbook_url=next((url for alert in alerts for url in alert.links), None),
            source_url=page_of(incident.html_url),
            incident=IncidentModel(
                id=incident.id, ref=f"{self._name}/{fingerprint}", number=incident.incident_number,
                urgency=clean(incident.urgency, 40),
                service=incident.service.name, policy=incident.escalation_policy.name, assigned=assigned,
                alerts=incident.alert_counts.all, alerts_firing=incident.alert_counts.triggered,
                over_since=self._over.get(incident.id),
                keys=tuple(key for alert in alerts for key in (clean(alert.key, 300), *alert.links) if key)[:MAX_KEYS],
            ),
        )  # fmt: skip
