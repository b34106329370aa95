"""Grafana's alerting: rules that it evaluates itself, those of its data sources, and silences.

```toml
[[contexts.production.alerts]]
type = "grafana"
url = "https://grafana.internal"
token = { env = "GRAFANA_TOKEN" }   # of a service account
folders = ["Data Platform"]         # UIDs or titles; default: all that the token may read
datasources = ["prom-eu"]           # UIDs of data sources whose own rules are read, too
annotations = true                  # those of others are events of the timeline
```
An alert without data or in error is of state `unknown`, also where its rule takes that as normal. Rules are only read,
provisioned or not; what is written are silences. One of a row names its rule (`__alert_rule_uid__`), so that rights on
the rule's folder suffice.
API: https://grafana.com/docs/grafana/latest/developers/http_api/ (the rules' as Grafana's own pages ask for them).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote

from backends.alerts.alertmanager.merge import made_up
from backends.alerts.alertmanager.peers import Peer
from backends.alerts.alertmanager.silences import Silences
from backends.alerts.alertmanager.wire import WireSilence, silence_model, under
from backends.alerts.grafana.annotations import annotations_between
from backends.alerts.grafana.rules import RULE_UID, GrafanaRows
from backends.alerts.matchers import exact_matchers, refuse_all_embracing
from backends.alerts.naming import GROUP_BY
from backends.alerts.prometheus.reading import RuleRows, watched
from backends.alerts.prometheus.rules import fingerprint_of
from backends.alerts.wildcards import matches
from backends.errors import BackendError
from backends.grafana import GrafanaAccess
from backends.http import decode_json
from backends.metrics.prometheus.wire import Envelope
from backends.missing import missing
from backends.models import Alert, Matcher, Silence, TimelineEvent
from backends.ports import SilenceEffects, SilenceResult
from backends.redaction import quoted, redact_url
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.together import together

LOST = "GrafanaDataSource"
T = TypeVar("T")

Labels = Mapping[str, Mapping[str, str]]
"""Of alerts as they were sent, by fingerprint."""


class GrafanaConfig(GrafanaAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rules of one Grafana.

    folders: only rules in these, and in what is below them: UIDs, or titles with those above (`Data/Quality`).
    annotations: whether those that others made are events of the timeline; it needs `annotations:read`.
    datasources: UIDs of Prometheus, Mimir or Loki data sources, whose own rules are read, too.
    group_by: the labels that, with the name, make a group on the screen.
    watchdog: the alert that always fires; by default the context's.
    visible_within: a silence that was made is shown within this time.
    """

    folders: tuple[str, ...] = ()
    datasources: tuple[str, ...] = ()
    annotations: bool = True
    group_by: tuple[str, ...] = GROUP_BY
    watchdog: str | None = None
    visible_within: Duration = Duration(10)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("folders", "datasources"):
            if not all(each.strip() for each in getattr(self, name)):
                raise ValueError(f"{name}: none of them empty")
        if self.visible_within <= 0:
            raise ValueError("visible_within: more than 0s")


class GrafanaAlerts:
    """`Silencer` over one Grafana."""

    api = 1
    Config = GrafanaConfig

    def __init__(self, config: GrafanaConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._watchdog = context.watchdog if config.watchdog is None else config.watchdog
        self._where = redact_url(config.base)
        self._client = config.entered(context)
        self._peer = Peer(f"{config.base}/api/alertmanager/grafana", self._client)
        self._silences = Silences([self._peer], config.visible_within)
        self._as_sent: Labels = {}

    async def alerts(self) -> list[Alert]:
        """What fires, is pending or not known, of Grafana's rules and those of `datasources`, by name. Silences that
        can not be read hide nothing, and are told as missing. Raises BackendError."""
        found = await self._rows()
        try:
            silences = await self._peer.silences() if self._as_sent else []
        except BackendError as error:
            missing(error)
            silences = []
        hiding = await self._hiding(silences)
        alerts = [under(alert, hiding.get(alert.fingerprint, ())) for alert in found]
        alerts = watched(self._name, alerts, self._watchdog, f"Grafana ({self._where})")
        return sorted(alerts, key=lambda alert: (alert.name, alert.ref))

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """As the port says: annotations that people and other programs made. Raises BackendError."""
        if not self._config.annotations:
            return []
        return await annotations_between(self._client, self._config.base, self._name, since, until)

    async def aclose(self) -> None:
        """The HTTP client is shared; nothing of its own is open."""

    # ---- silences

    def ack_matchers(self, alert: Alert) -> tuple[Matcher, ...]:
        """As the port says, the rule among them. A rule of a data source is silenced where its alerts are sent."""
        known = self._as_sent
        labels = known.get(alert.fingerprint, alert.labels)
        if RULE_UID not in labels:
            words = f"{alert.ref} is of no rule that Grafana evaluates, and it can not silence it"
            raise BackendError("config", words, fix="silence it in the Alertmanager that its data source sends to")
        return exact_matchers(labels, (other for key, other in known.items() if key != alert.fingerprint))

    async def matching(self, matchers: tuple[Matcher, ...]) -> list[Alert]:
        """As the port says, of Grafana's own rules."""
        refuse_all_embracing(matchers)
        found = await self.alerts()
        matched = await self._matched(matchers)
        return [alert for alert in found if alert.fingerprint in matched]

    async def silences(self, *, hiding: str | None = None) -> list[Silence]:
        """As the port says."""
        _, known = await together(self._rows(), self._peer.silences())
        hides = await self._hiding(known)
        if hiding is not None:
            known = list(hides.get(hiding, ()))
        counts = Counter(silence.id for silences in hides.values() for silence in silences)
        known.sort(key=lambda silence: silence.ends_at)
        return [silence_model(self._name, silence, counts[silence.id]) for silence in known]

    async def effects(self, matchers: tuple[Matcher, ...], *, ack: bool) -> SilenceEffects:
        """None: a silence hides alerts, and that is all."""
        return SilenceEffects()

    async def silence(
        self, matchers: tuple[Matcher, ...], *, until: datetime, by: str, comment: str, ack: bool, order: str = ""
    ) -> SilenceResult:
        """As the port says."""
        return await _allowed(self._silences.silence(matchers, until=until, by=by, comment=comment, ack=ack))

    async def extend(self, silence_id: str, until: datetime, *, exactly: bool = False) -> SilenceResult:
        """As the port says."""
        return await _allowed(self._silences.extend(silence_id, until, exactly=exactly))

    async def expire(self, silence_id: str) -> SilenceResult:
        """As the port says."""
        return await _allowed(self._silences.expire(silence_id))

    # ---- inside

    async def _rows(self) -> list[Alert]:
        """All rows as if nothing was silenced."""
        rows = GrafanaRows(self._name, self._config.group_by, self._config.base, self._config.folders)
        own, *others = await together(
            self._read("grafana", rows, includeInternalLabels="true"), *map(self._of_source, self._config.datasources)
        )
        self._as_sent = {key: labels for key, labels in rows.as_sent.items() if RULE_UID in labels}
        return [*own, *(alert for found in others for alert in found)]

    async def _of_source(self, uid: str) -> list[Alert]:
        try:
            return await self._read(quote(uid, safe=""), RuleRows(self._name, self._config.group_by, lambda _: None))
        except BackendError as error:
            missing(error)
            words = f"{error.message}; what the rules of this data source say is not seen"
            return [made_up(self._name, LOST, words, datasource=uid)]

    async def _read(self, source: str, rows: RuleRows, **params: str) -> list[Alert]:
        url = f"{self._config.base}/api/prometheus/{source}/api/v1/rules"
        answer = await self._client.request("GET", url, params=params)

        def of_body() -> list[Alert]:
            envelope = decode_json(answer.body, Envelope, where=answer.url)
            if envelope.status != "success":
                raise BackendError("malformed", f"{answer.url}: {quoted(envelope.error or envelope.status)}")
            return rows.of(bytes(envelope.data), answer.url)

        return await asyncio.to_thread(of_body)  # thousands take longer than a frame may

    async def _hiding(self, silences: list[WireSilence]) -> dict[str, list[WireSilence]]:
        """The active ones of `silences`, by the fingerprints of what they hide."""
        found: dict[str, list[WireSilence]] = {}
        for silence in silences:
            if silence.state == "active":
                for fingerprint in await self._matched(silence.asked):
                    found.setdefault(fingerprint, []).append(silence)
        return found

    async def _matched(self, matchers: tuple[Matcher, ...]) -> set[str]:
        """The fingerprints of the alerts that `matchers` take. A regular expression that is not plain is Grafana's to
        match, for whoever may read all alerts there."""
        known = self._as_sent
        try:
            return await asyncio.to_thread(
                lambda: {fingerprint for fingerprint, labels in known.items() if matches(matchers, labels)}
            )
        except BackendError:
            pass
        try:
            return {fingerprint_of(wire.labels) for wire in (await self._peer.alerts(matchers)).alerts}
        except BackendError as error:
            missing(error)
            return set()


async def _allowed(order: Awaitable[T]) -> T:
    try:
        return await order
    except BackendError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        fix = "of one rule it needs alert.silences:create and :write on its folder, else alert.instances:create, :write"
        raise BackendError("auth", error.message, fix=fix, status=error.status) from None
