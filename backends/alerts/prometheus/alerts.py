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
from urllib.parse import quote

from msgspec import Raw

from backends.alerts.naming import GROUP_BY
from backends.alerts.prometheus.reading import RuleRows, watched
from backends.alerts.prometheus.rules import LooseAlerts, WireAlert
from backends.errors import BackendError
from backends.metrics.prometheus.source import Source, SourceMetrics
from backends.models import Alert
from backends.records import decode_records, text_at
from backends.registry import AdapterContext


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
        rows = RuleRows(self._name, self._config.group_by, lambda rule: _graph(server.where, rule.query))
        try:
            data, _ = await server.read("rules", Raw)
        except BackendError as error:
            if error.kind != "not_found":
                raise
            found, _ = await server.read("alerts", LooseAlerts)
            wires, odd = decode_records(bytes(found.alerts), WireAlert, where=f"{server.where}: alerts")
            alerts = [alert for alert in map(rows.alert, wires) if alert is not None]
            alerts += [rows.odd(each, text_at(each.plain, "labels", "alertname")) for each in odd]
        else:
            # Thousands take longer than a frame may.
            alerts = await asyncio.to_thread(rows.of, bytes(data), server.where)
        alerts = watched(self._name, alerts, self._watchdog, f"Prometheus ({server.where})")
        return sorted(alerts, key=lambda alert: (alert.name, alert.ref))

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._metrics.aclose()


def _graph(where: str, query: str) -> str | None:
    return f"{where}/graph?g0.expr={quote(query, safe='')}&g0.tab=1" if query else None
