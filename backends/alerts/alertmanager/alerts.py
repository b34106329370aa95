"""Alertmanager: the alerts of all its peers as one list, and silences. Also Grafana's and Mimir's, by their prefix.

```toml
[[contexts.production.alerts]]
type = "alertmanager"
urls = ["http://am-0:9093", "http://am-1:9093"]   # peers of one cluster; a path prefix is kept
# urls = ["https://grafana.internal/api/alertmanager/grafana"]   urls = ["https://mimir.internal/alertmanager"]
identity = ["alertname", "pipeline", "dataset", "service"]   # an acknowledgement matches on these; default: all labels
group_by = ["cluster", "service"]   # what is shown as one group, with the name
watchdog = "Watchdog"               # default: the context's
watchdog_age = "5m"                 # older: unknown
auth = { username = "oncall", password = { env = "AM_PASSWORD" } }   # or { token = … }
headers = { X-Scope-OrgID = "team-a" }
timeout = "5s"
visible_within = "10s"              # what one peer was told, the others show within this
```
"""

import asyncio
from collections import Counter
from datetime import datetime

from msgspec import Struct, field

from backends.alerts.alertmanager.merge import (
    PeerRead,
    Watch,
    alert_models,
    lost_peer,
    merge_alerts,
    merge_silences,
    odd_alerts,
    watched,
)
from backends.alerts.alertmanager.peers import Peer, answered, ask_all, tell_lost
from backends.alerts.alertmanager.silences import Silences
from backends.alerts.alertmanager.wire import WireAlert, WireSilence, silence_model
from backends.alerts.matchers import exact_matchers, identity_matchers, may_match, refuse_all_embracing
from backends.alerts.naming import GROUP_BY
from backends.credentials import Authentication, refuse_bad_url, refuse_literal_secrets
from backends.entered import EnteredHttp
from backends.errors import BackendError
from backends.models import Alert, Matcher, Silence
from backends.ports import SilenceEffects, SilenceResult
from backends.registry import AdapterContext
from backends.settings import Duration, Secret
from backends.together import together


class AlertmanagerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The peers of one cluster, and how they are read.

    urls: the peers of one cluster; a path prefix is kept (Grafana, Mimir).
    identity: the labels that an acknowledgement matches on, of those present; by default all, so that it hides no other
        alert. For alerts with a label that changes while they fire.
    group_by: the labels that, with the name, make a group on the screen.
    watchdog: the alert that always fires; by default the context's.
    watchdog_age: a watchdog that is older is unknown.
    headers: sent with every request; a value may be a reference.
    auth: a user with a password, or a token.
    timeout: of one request to one peer.
    visible_within: what one peer was told, the others show within this time.
    """

    urls: tuple[str, ...]
    identity: tuple[str, ...] | None = None
    group_by: tuple[str, ...] = GROUP_BY
    watchdog: str | None = None
    watchdog_age: Duration = Duration(300)
    headers: dict[str, str | Secret] = field(default_factory=dict)
    auth: Authentication | None = None
    timeout: Duration = Duration(5)
    visible_within: Duration = Duration(10)

    def __post_init__(self) -> None:
        if not self.urls:
            raise ValueError("urls: at least one is needed")
        for url in self.urls:
            refuse_bad_url("urls", url)
        if len({url.rstrip("/") for url in self.urls}) < len(self.urls):
            raise ValueError("urls: each peer once")
        if self.identity is not None and not any(name.strip() for name in self.identity):
            raise ValueError('identity: at least one label, e.g. "alertname"')
        refuse_literal_secrets(self.headers)
        for name in ("timeout", "visible_within", "watchdog_age"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: more than 0s")


class Alertmanager:
    """`Silencer` over one cluster. A peer that is lost is an alert of state `unknown`; the others go on."""

    api = 1
    Config = AlertmanagerConfig

    def __init__(self, config: AlertmanagerConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._watch = Watch(context.watchdog if config.watchdog is None else config.watchdog, config.watchdog_age)
        client = EnteredHttp(context.http, config.headers, config.auth, context.base_dir, config.timeout)
        self._peers = [Peer(url, client) for url in config.urls]
        self._silences = Silences(self._peers, config.visible_within)
        # The labels of alerts by fingerprint: they are shown cleaned, and a matcher has to have what was sent.
        self._as_sent: dict[str, dict[str, str]] = {}

    async def alerts(self) -> list[Alert]:
        """All peers, merged. Raises BackendError where none answers."""
        outcomes = await ask_all(self._peers, Peer.alerts)
        reads = answered(outcomes)
        silences = await self._silences_for(list(reads.values()))
        started = await self._started(reads)
        alerts = await asyncio.to_thread(self._models, list(reads.values()), silences, started)
        lost = [
            lost_peer(self._name, peer.name, outcome)
            for peer, outcome in outcomes.items()
            if isinstance(outcome, BackendError)
        ]
        odd = {spot.ref: spot for read in reads.values() for spot in odd_alerts(self._name, read)}
        tell_lost(outcomes)
        return [*alerts, *odd.values(), *lost]

    async def aclose(self) -> None:
        """The HTTP client is shared; nothing of its own is open."""

    # ---- silences

    def ack_matchers(self, alert: Alert) -> tuple[Matcher, ...]:
        """As the port says."""
        known = self._as_sent
        labels = known.get(alert.fingerprint, alert.labels)
        if self._config.identity is not None:
            return identity_matchers(alert.ref, labels, self._config.identity)
        return exact_matchers(labels, (other for key, other in known.items() if key != alert.fingerprint))

    async def matching(self, matchers: tuple[Matcher, ...]) -> list[Alert]:
        """As the port says. The peers do the matching: they know their regular expressions."""
        refuse_all_embracing(matchers)
        reads = list(answered(await ask_all(self._peers, lambda peer: peer.alerts(matchers))).values())
        found = [wire for wire in merge_alerts(reads) if may_match(matchers, wire.labels)]
        silences = await self._silences_for(reads)
        return alert_models(self._name, found, silences, self._config.group_by)

    async def silences(self, *, hiding: str | None = None) -> list[Silence]:
        """As the port says."""
        alerts, known = await together(
            ask_all(self._peers, Peer.alerts), ask_all(self._peers, Peer.silences)
        )  # fmt: skip
        tell_lost(alerts)
        tell_lost(known)
        merged = merge_alerts(answered(alerts).values())
        hides = Counter(silence_id for wire in merged for silence_id in wire.status.silenced_by)
        found = list(merge_silences(answered(known).values()).values())
        if hiding is not None:
            wanted = next((wire.status.silenced_by for wire in merged if wire.fingerprint == hiding), ())
            found = [silence for silence in found if silence.id in wanted]
        found.sort(key=lambda silence: silence.ends_at)
        return [silence_model(self._name, silence, hides[silence.id]) for silence in found]

    async def effects(self, matchers: tuple[Matcher, ...], *, ack: bool) -> SilenceEffects:
        """None: a silence hides alerts, and that is all."""
        return SilenceEffects()

    async def silence(
        self, matchers: tuple[Matcher, ...], *, until: datetime, by: str, comment: str, ack: bool, order: str = ""
    ) -> SilenceResult:
        """As the port says."""
        return await self._silences.silence(matchers, until=until, by=by, comment=comment, ack=ack)

    async def extend(self, silence_id: str, until: datetime, *, exactly: bool = False) -> SilenceResult:
        """As the port says."""
        return await self._silences.extend(silence_id, until, exactly=exactly)

    async def expire(self, silence_id: str) -> SilenceResult:
        """As the port says."""
        return await self._silences.expire(silence_id)

    # ---- inside

    async def _started(self, reads: dict[Peer, PeerRead]) -> datetime | None:
        """When the last of the peers came up; asked for only where none has the watchdog."""
        if not self._watch.name or any(
            wire.is_called(self._watch.name) for read in reads.values() for wire in read.alerts
        ):
            return None
        try:
            said = answered(await ask_all(list(reads), Peer.started))
        except BackendError:
            return None
        times = [at for at in said.values() if at is not None]
        return max(times, default=None)

    def _models(self, reads: list[PeerRead], silences: dict[str, WireSilence], started: datetime | None) -> list[Alert]:
        merged = merge_alerts(reads)
        alerts = alert_models(self._name, merged, silences, self._config.group_by)
        self._as_sent = {alert.fingerprint: wire.labels for alert, wire in zip(alerts, merged, strict=True)}
        return watched(self._name, alerts, reads, self._watch, started)

    async def _silences_for(self, reads: list[PeerRead]) -> dict[str, WireSilence]:
        """Those that say who acknowledged an alert; asked for only where something is silenced."""
        if not any(_is_silenced(wire) for read in reads for wire in read.alerts):
            return {}
        there = {read.peer for read in reads}
        try:
            known = await ask_all([peer for peer in self._peers if peer.name in there], Peer.silences)
        except BackendError:
            return {}  # silenced is what they are; by whom can wait
        return merge_silences(answered(known).values())


def _is_silenced(wire: WireAlert) -> bool:
    return bool(wire.status.silenced_by)
