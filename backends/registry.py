"""Which adapter serves (port, type). Modules are named as text and imported when a config names them.

A third party adds its own by the entry point group `tealdeck.backends`, say `quality.acme = "acme.teal:AcmeQuality"`,
whose class has `api = 1`, `Config` and the methods of its port.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from backends.errors import BackendError
from backends.http import Http
from backends.ports import Metrics, Pipelines
from backends.settings import decode_hook
from backends.text import clean

API = 1
ENTRY_POINT_GROUP = "tealdeck.backends"

ADAPTERS: dict[str, str] = {
    "metrics.cloudwatch": "backends.metrics.cloudwatch.metrics:CloudWatchMetrics",
    "metrics.prometheus": "backends.metrics.prometheus.metrics:PrometheusMetrics",
    "pipelines.airflow": "backends.pipelines.airflow.pipelines:AirflowPipelines",
    "pipelines.github-actions": "backends.pipelines.github.pipelines:GitHubActionsPipelines",
    "pipelines.local": "backends.pipelines.local.pipelines:LocalPipelines",
    "quality.dbt": "backends.quality.dbt.quality:DbtQuality",
    "quality.great-expectations": "backends.quality.great_expectations.quality:GreatExpectationsQuality",
    "quality.prometheus": "backends.quality.prometheus:PrometheusQuality",
    "quality.sql": "backends.quality.sql:SqlQuality",
    "alerts.alertmanager": "backends.alerts.alertmanager.alerts:Alertmanager",
    "alerts.prometheus": "backends.alerts.prometheus.alerts:PrometheusAlerts",
    "alerts.rules": "backends.alerts.rules:RuleAlerts",
    "deployments.file-switch": "backends.deployments.file_switch:FileSwitch",
    "deployments.haproxy": "backends.deployments.haproxy.switch:HaproxySwitch",
    "deployments.kubernetes": "backends.deployments.kubernetes.switch:KubernetesSwitch",
    "deployments.nginx": "backends.deployments.nginx.switch:NginxSwitch",
    "logs.elasticsearch": "backends.logs.elasticsearch.logs:ElasticsearchLogs",
    "logs.files": "backends.logs.files:FileLogs",
    "logs.journald": "backends.logs.journald:JournaldLogs",
    "logs.kubernetes": "backends.logs.kubernetes.logs:KubernetesLogs",
    "logs.loki": "backends.logs.loki.logs:LokiLogs",
    "logs.opensearch": "backends.logs.elasticsearch.logs:OpenSearchLogs",
    "logs.runs": "backends.logs.runs:RunLogs",
    "checks.http": "backends.checks.http:HttpCheck",
    "checks.airflow": "backends.checks.airflow:AirflowCheck",
    "checks.tcp": "backends.checks.tcp:TcpCheck",
    "checks.postgres": "backends.checks.postgres.check:PostgresCheck",
    "checks.redis": "backends.checks.redis:RedisCheck",
    "checks.blackbox": "backends.checks.blackbox:BlackboxCheck",
    "checks.freshness": "backends.checks.freshness:FreshnessCheck",
    "checks.backup": "backends.checks.backup:BackupCheck",
    "notify.slack": "backends.notify.slack:SlackNotifier",
    "notify.webhook": "backends.notify.webhook:WebhookNotifier",
    "notify.email": "backends.notify.email:EmailNotifier",
    "notify.pagerduty": "backends.notify.pagerduty:PagerDutyNotifier",
}


def no_pipelines(name: str) -> Pipelines:
    """Stands where no context is: Raises BackendError(not_found)."""
    raise BackendError("not_found", f'no pipelines backend "{name}" here')


def no_metrics(name: str) -> Metrics:
    """Stands where no context is: Raises BackendError(not_found)."""
    raise BackendError("not_found", f'no metrics source "{name}" here')


class AdapterContext(msgspec.Struct, frozen=True):
    """What an adapter is given besides its config: its name, where relative paths start, the shared HTTP client.

    `state_dir` is a private directory for what the adapter itself must remember between two processes; `watchdog` names
    the alert of this context that always fires. `metrics` and `pipelines` hand out the source of that name of the
    context, which closes it; they raise BackendError for an unknown or broken one: they are called where it is needed.
    """

    name: str
    base_dir: Path
    state_dir: Path
    http: Http
    watchdog: str = ""
    metrics: Callable[[str], Metrics] = no_metrics
    pipelines: Callable[[str], Pipelines] = no_pipelines


def adapter_types(port: str) -> list[str]:
    """The types that `port` knows, without importing any of them."""
    found = {key.partition(".")[2] for key in ADAPTERS if key.partition(".")[0] == port}
    return sorted(found | {name.partition(".")[2] for name in _third_party() if name.partition(".")[0] == port})


def _third_party() -> dict[str, Any]:
    from importlib.metadata import entry_points  # 12 ms: only asked for a type that is not ours

    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def adapter_class(port: str, kind: str) -> Any:
    """The class for (port, kind). Raises BackendError(config) for an unknown type or another API version."""
    key = f"{port}.{kind}"
    if key in ADAPTERS:
        module, _, name = ADAPTERS[key].partition(":")
        return getattr(import_module(module), name)
    point = _third_party().get(key)
    if point is None:
        known = ", ".join(adapter_types(port))
        raise BackendError("config", f'no adapter "{kind}" for {port}', fix=f"use one of: {known}")
    try:
        found = point.load()
    except ImportError as error:
        raise BackendError("config", f"adapter {key}: {clean(str(error), 200)}", fix="install its package") from None
    if getattr(found, "api", None) != API:
        raise BackendError("config", f"adapter {key} speaks api {getattr(found, 'api', None)}, this is api {API}")
    return found


def build(port: str, kind: str, config: Any, context: AdapterContext) -> Any:
    """An adapter from its decoded config Struct, or from plain data that is decoded here.

    Raises BackendError(config) where the data does not fit.
    """
    found = adapter_class(port, kind)
    if not isinstance(config, msgspec.Struct):
        try:
            config = msgspec.convert(config, found.Config, dec_hook=decode_hook)
        except msgspec.ValidationError as error:
            raise BackendError("config", f"{port}.{context.name}: {error}") from None
    return found(config, context)
