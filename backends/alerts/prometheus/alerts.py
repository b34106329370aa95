"""Alerts as Prometheus' rules have them, before any routing: pending and firing, and rules that cannot be evaluated.

```toml
[[contexts.production.alerts]]
type = "prometheus"
metrics = "prom"                    # a metrics entry; or: url = "http://prometheus:9090"
group_by = ["cluster", "service"]   # what is shown as one group, with the name
watchdog = "Watchdog"               # default: the context's
```
A rule in error is an alert of state `unknown` that names the error: what it watches, nobody watches. So are rules that
were not evaluated yet, and a server without any. Who has an Alertmanager reads that as well: it knows who silenced
what, and what does not arrive there pages nobody.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC
from urllib.parse import quote

from msgspec import Raw
from msgspec.structs import replace

from backends.alerts.alertmanager.merge import made_up
from backends.alerts.naming import runbook_of
from backends.alerts.prometheus.rules import (
    LooseAlerts,
    WireAlert,
    WireRule,
    decode_rules,
    fingerprint_of,
    is_quiet,
    state_of,
)
from backends.errors import BackendError
from backends.metrics.prometheus.api import PrometheusApi
from backends.metrics.prometheus.source import Source, SourceMetrics
from backends.models import Alert
from backends.records import Odd, decode_records, text_at
from backends.registry import AdapterContext
from backends.text import clean, clean_labels

GROUP_BY = ("cluster", "environment", "namespace", "service", "app")
NO_RULES = "PrometheusRules"
NAMES_SHOWN = 5


class PrometheusAlertsConfig(Source, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which server, and how its alerts are grouped.

    group_by: the labels that, with the name, make a group on the screen.
    watchdog: the alert that always fires; by default the context's.
    """

    group_by: tuple[str, ...] = GROUP_BY
    watchdog: str | None = None


class PrometheusAlerts:
    """`Alerts` by `/api/v1/rules`, or by `/api/v1/alerts` of a server that has no rules to show."""

    api = 1
    Config = PrometheusAlertsConfig

    def __init__(self, config: PrometheusAlertsConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._watchdog = context.watchdog if config.watchdog is None else config.watchdog
        self._metrics = SourceMetrics(config, context)

    async def alerts(self) -> list[Alert]:
        """All that is not inactive, by name, since the server has no order of its own. Raises BackendError."""
        server = self._metrics.prometheus().server
        try:
            data, _ = await server.read("rules", Raw)
        except BackendError as error:
            if error.kind != "not_found":
                raise
            found, _ = await server.read("alerts", LooseAlerts)
            wires, odd = decode_records(bytes(found.alerts), WireAlert, where=f"{server.where}: alerts")
            alerts = [self._alert(wire, server.where) for wire in wires if not is_quiet(wire.state)]
            alerts += [self._odd(each, text_at(each.plain, "labels", "alertname")) for each in odd]
        else:
            alerts = await asyncio.to_thread(
                self._of_rules, bytes(data), server
            )  # thousands take longer than a frame may
        return sorted(self._watched(alerts), key=lambda alert: (alert.name, alert.ref))

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._metrics.aclose()

    def _of_rules(self, data: bytes, server: PrometheusApi) -> list[Alert]:
        found, odd = decode_rules(data, f"{server.where}: rules")
        alerts = {spot.ref: spot for spot in (self._odd(each, text_at(each.plain, "name")) for each in odd)}
        alerting = len(odd)
        for group in found.groups:
            unseen: list[str] = []
            for rule in group.rules:
                alerting += rule.type == "alerting"
                for wire in rule.alerts or ():
                    if is_quiet(wire.state):
                        continue
                    alert = self._alert(wire, server.where, rule)
                    alerts[alert.ref] = alert
                if rule.health == "err":
                    spot = self._blind_spot(rule, group.file, group.name, server.where)
                    alerts[spot.ref] = spot
                elif rule.health not in ("ok", ""):
                    unseen.append(rule.name)
            if unseen:
                spot = self._unseen(unseen, len(group.rules), group.file, group.name)
                alerts[spot.ref] = spot
        if not alerting:
            spot = made_up(self._name, NO_RULES, f"{server.where}: it has no alerting rules, so that nothing can fire")
            alerts[spot.ref] = spot
        return list(alerts.values())

    def _alert(self, wire: WireAlert, where: str, rule: WireRule | None = None) -> Alert:
        raw = {"alertname": rule.name, **wire.labels} if rule else wire.labels
        labels, fingerprint = clean_labels(raw), fingerprint_of(raw)
        name = labels.get("alertname", "(no alertname)")
        return Alert(
            ref=f"{self._name}/{fingerprint}",
            backend=self._name,
            fingerprint=fingerprint,
            name=name,
            severity=clean(labels.get("severity", ""), 40),
            state=state_of(wire.state),
            raw_state=clean(wire.state, 40),
            since=wire.active_at.astimezone(UTC) if wire.active_at and wire.active_at.year > 1 else None,
            labels=labels,
            summary=_summary(wire.annotations, wire.value),
            group=self._group(name, labels),
            runbook_url=runbook_of(wire.annotations),
            source_url=_graph(where, rule.query) if rule else None,
        )

    def _odd(self, odd: Odd, name: str) -> Alert:
        """What is not as Prometheus documents it: nobody knows whether it fires."""
        return made_up(self._name, clean(name, 200) or NO_RULES, f"cannot be read: {odd.error.message}")

    def _blind_spot(self, rule: WireRule, file: str, group: str, where: str) -> Alert:
        """What a rule in error would tell about, nobody knows."""
        kind = "rule" if rule.type == "alerting" else "recording rule"
        words = clean(f"{kind} cannot be evaluated: {rule.last_error or 'it does not say why'}", 500)
        raw = {**rule.labels, "alertname": rule.name, "rule_group": group, "rule_file": file}
        labels, fingerprint = clean_labels(raw), fingerprint_of(raw)
        return Alert(
            ref=f"{self._name}/{fingerprint}",
            backend=self._name,
            fingerprint=fingerprint,
            name=labels["alertname"],
            severity=clean(labels.get("severity", "critical"), 40),
            state="unknown",
            raw_state="err",
            labels=labels,
            summary=words,
            group=self._group(labels["alertname"], labels),
            runbook_url=runbook_of(rule.annotations),
            source_url=_graph(where, rule.query),
        )

    def _unseen(self, names: list[str], total: int, file: str, group: str) -> Alert:
        shown = clean(", ".join(names[:NAMES_SHOWN]), 300) + (", …" if len(names) > NAMES_SHOWN else "")
        words = f"{len(names)} of {total} rules of {clean(group, 100)} were not evaluated yet: {shown}"
        return made_up(self._name, NO_RULES, words, rule_group=clean(group, 200), rule_file=clean(file, 300))

    def _group(self, name: str, labels: dict[str, str]) -> str:
        keys = (key for key in self._config.group_by if key != "alertname" and key in labels)
        return " ".join([name, *(f"{key}={labels[key]}" for key in keys)])

    def _where(self) -> str:
        return self._metrics.prometheus().server.where

    def _watched(self, alerts: Iterable[Alert]) -> list[Alert]:
        """That the watchdog fires is good; that it does not means that rules do not do what they say."""
        found = list(alerts)
        if not self._watchdog:
            return found
        if not any(alert.name == self._watchdog and alert.state == "firing" for alert in found):
            words = f"watchdog does not fire in Prometheus ({self._where()}): alerts may not reach us"
            return [*found, made_up(self._name, self._watchdog, words)]
        return [
            replace(alert, severity="none") if (alert.name, alert.state) == (self._watchdog, "firing") else alert
            for alert in found
        ]


def _summary(texts: dict[str, str], value: str | float) -> str:
    words = texts.get("summary") or texts.get("message") or texts.get("description") or texts.get("title")
    if words:
        return clean(words, 500)
    try:
        return f"value {float(value):.6g}" if value != "" else ""
    except ValueError:
        return clean(f"value {value}", 100)


def _graph(where: str, query: str) -> str | None:
    return f"{where}/graph?g0.expr={quote(query, safe='')}&g0.tab=1" if query else None
