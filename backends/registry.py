"""Which adapter serves (port, type): an offer names its class as text, which is imported when a config names the type.

Offers are the table below, and the entry points in the group `tealdeck.backends` of what else is installed, say
`quality.acme = "acme.teal:AcmeQuality"`. Either way the class has `api = 1`, `Config` and the methods of its port.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from backends.errors import BackendError
from backends.misfits import in_words, without_misfits
from backends.redaction import quoted
from backends.settings import decode_hook

if TYPE_CHECKING:
    # To know what there is, and for the first paint, nobody has to be able to ask.
    from backends.http import Http
    from backends.ports import Metrics, Pipelines

API = 1
ENTRY_POINT_GROUP = "tealdeck.backends"

ADAPTERS: dict[str, str] = {
    "metrics.cloudwatch": "backends.metrics.cloudwatch.metrics:CloudWatchMetrics",
    "metrics.prometheus": "backends.metrics.prometheus.metrics:PrometheusMetrics",
    "pipelines.airflow": "backends.pipelines.airflow.pipelines:AirflowPipelines",
    "pipelines.github-actions": "backends.pipelines.github.pipelines:GitHubActionsPipelines",
    "pipelines.glue": "backends.pipelines.glue.pipelines:GluePipelines",
    "pipelines.local": "backends.pipelines.local.pipelines:LocalPipelines",
    "pipelines.step-functions": "backends.pipelines.stepfunctions.pipelines:StepFunctionsPipelines",
    "quality.dbt": "backends.quality.dbt.quality:DbtQuality",
    "quality.glue": "backends.quality.glue:GlueQuality",
    "quality.great-expectations": "backends.quality.great_expectations.quality:GreatExpectationsQuality",
    "quality.metric": "backends.quality.metric:MetricQuality",
    "quality.prometheus": "backends.quality.metric:MetricQuality",
    "quality.sql": "backends.quality.sql:SqlQuality",
    "alerts.alertmanager": "backends.alerts.alertmanager.alerts:Alertmanager",
    "alerts.cloudwatch": "backends.alerts.cloudwatch.alarms:CloudWatchAlarms",
    "alerts.grafana": "backends.alerts.grafana.alerts:GrafanaAlerts",
    "alerts.pagerduty": "backends.alerts.pagerduty.incidents:PagerDutyAlerts",
    "alerts.prometheus": "backends.alerts.prometheus.alerts:PrometheusAlerts",
    "alerts.rules": "backends.alerts.rules:RuleAlerts",
    "deployments.alb": "backends.deployments.alb.switch:AlbSwitch",
    "deployments.argo-cd": "backends.deployments.argo_cd.controller:ArgoCdController",
    "deployments.argo-rollouts": "backends.deployments.argo_rollouts.controller:RolloutsController",
    "deployments.codedeploy": "backends.deployments.codedeploy.controller:CodeDeployController",
    "deployments.ecs": "backends.deployments.ecs.switch:EcsSwitch",
    "deployments.ecs-native": "backends.deployments.ecs.native:NativeController",
    "deployments.file-switch": "backends.deployments.file_switch:FileSwitch",
    "deployments.gateway-api": "backends.deployments.gateway_api.switch:GatewayApiSwitch",
    "deployments.haproxy": "backends.deployments.haproxy.switch:HaproxySwitch",
    "deployments.helm": "backends.deployments.helm.controller:HelmController",
    "deployments.istio": "backends.deployments.istio.switch:IstioSwitch",
    "deployments.kubernetes": "backends.deployments.kubernetes.switch:KubernetesSwitch",
    "deployments.nginx": "backends.deployments.nginx.switch:NginxSwitch",
    "logs.cloudwatch": "backends.logs.cloudwatch.logs:CloudWatchLogs",
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
    "checks.backup": "backends.checks.backup.check:BackupCheck",
    "checks.command": "backends.checks.command:CommandCheck",
    "checks.report": "backends.checks.report.check:ReportCheck",
    "checks.kinesis": "backends.checks.kinesis:KinesisCheck",
    "checks.lambda": "backends.checks.lambda_function:LambdaCheck",
    "checks.sqs": "backends.checks.sqs:SqsCheck",
    "errors.sentry": "backends.issues.sentry:SentryErrors",
    "oncall.ical": "backends.oncall.ical:IcalSchedule",
    "oncall.pagerduty": "backends.oncall.pagerduty:PagerDutySchedules",
    "traces.jaeger": "backends.traces.jaeger:JaegerTraces",
    "traces.tempo": "backends.traces.tempo:TempoTraces",
    "notify.slack": "backends.notify.slack:SlackNotifier",
    "notify.webhook": "backends.notify.webhook:WebhookNotifier",
    "notify.email": "backends.notify.email:EmailNotifier",
    "notify.sns": "backends.notify.sns:SnsNotifier",
    "notify.teams": "backends.notify.teams:TeamsNotifier",
    "notify.grafana": "backends.notify.grafana:GrafanaNotifier",
    "notify.sentry": "backends.notify.sentry:SentryNotifier",
    "notify.pagerduty": "backends.notify.pagerduty:PagerDutyNotifier",
}

REMEMBERING = frozenset(
    {
        "alerts.cloudwatch", "alerts.grafana", "alerts.pagerduty", "deployments.argo-rollouts",
        "deployments.gateway-api", "deployments.istio", "deployments.kubernetes",
    }
)  # fmt: skip
"""Those of them that tell `events` of what was, known before any of them is imported: the first paint waits for it."""


def no_pipelines(name: str) -> Pipelines:
    """Stands where no context is: Raises BackendError(not_found)."""
    raise BackendError("not_found", f'no pipelines backend "{name}" here')


def no_metrics(name: str) -> Metrics:
    """Stands where no context is: Raises BackendError(not_found)."""
    raise BackendError("not_found", f'no metrics source "{name}" here')


class AdapterContext(msgspec.Struct, frozen=True):
    """What an adapter is given besides its config: its name, where relative paths start, the shared HTTP client.

    `state_dir` is a private directory for what the adapter itself must remember between two processes; `watchdog` names
    the alert of this context that always fires; `zone` is the one that it shows, None that of the host. `metrics` and
    `pipelines` hand out the source of that name of the context, which closes it; they raise BackendError for an unknown
    or broken one: they are called where it is needed.
    """

    name: str
    base_dir: Path
    state_dir: Path
    http: Http
    watchdog: str = ""
    metrics: Callable[[str], Metrics] = no_metrics
    pipelines: Callable[[str], Pipelines] = no_pipelines
    zone: tzinfo | None = None


class Offer(msgspec.Struct, frozen=True):
    """A class that serves `key` (`port.type`): where it is (`module:Class`), and the installed package that brought it;
    both empty for this program's own."""

    key: str
    target: str
    package: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"adapter {self.key}" + (f" of {self.package} {self.version}" if self.package else "")

    def load(self) -> Any:
        """The class, whatever it is. Raises BackendError(config) where it cannot be imported."""
        module, _, name = self.target.partition("[")[0].strip().partition(":")
        try:
            return reduce(getattr, name.split("."), import_module(module))
        except (Exception, SystemExit) as error:  # what stands in a module of somebody else's may do anything
            words = quoted(f"{type(error).__name__}: {error}")
            fix = f"update {self.package or 'tealdeck'} or what it needs, or uninstall it"
            raise BackendError("config", f"{self} can not be imported: {words}", fix=fix) from None

    def adapter(self) -> Any:
        """The class, which is one of this api. Raises BackendError(config)."""
        found = self.load()
        if (api := getattr(found, "api", None)) != API:
            fix = f"install a version of {self.package or 'it'} for api {API}"
            raise BackendError("config", quoted(f"{self} speaks api {api}, this is api {API}"), fix=fix)
        config = getattr(found, "Config", None)
        if not (isinstance(config, type) and issubclass(config, msgspec.Struct)):
            raise BackendError("config", f"{self} has no Config that is a msgspec.Struct", fix="see docs/adapters.md")
        if not config.__struct_config__.forbid_unknown_fields:
            words = f"{self} lets misspelt keys pass: its Config lacks forbid_unknown_fields"
            raise BackendError("config", words, fix="see docs/adapters.md")
        return found


def offers() -> list[Offer]:
    """All that there are, also those that others stand before, without importing any."""
    return [*(Offer(key, target) for key, target in ADAPTERS.items()), *_installed()]


def offers_of(key: str) -> list[Offer]:
    """Those that could serve `key`: nobody takes the place of this program's own."""
    if key in ADAPTERS:
        return [Offer(key, ADAPTERS[key])]
    return [offer for offer in _installed() if offer.key == key]


def _installed() -> list[Offer]:
    from importlib.metadata import entry_points  # 12 ms: only asked for a type that is not ours

    return [
        Offer(point.name, point.value, point.dist.name if point.dist else "", point.dist.version if point.dist else "")
        for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)
    ]


def adapter_types(port: str) -> list[str]:
    """The types that `port` knows, without importing any of them."""
    return sorted({offer.key.partition(".")[2] for offer in offers() if offer.key.partition(".")[0] == port})


def adapter_class(port: str, kind: str) -> Any:
    """The class for (port, kind). Raises BackendError(config) for a type that is unknown, that several packages offer,
    or whose class can not be used."""
    return _offer(port, kind).adapter()


def remembers(port: str, kind: str) -> bool:
    """Whether the adapter of (port, kind) tells of what was (`events`); that of somebody else is imported for it."""
    if (key := f"{port}.{kind}") in ADAPTERS:
        return key in REMEMBERING
    try:
        return hasattr(adapter_class(port, kind), "events")
    except BackendError:
        return False


def _offer(port: str, kind: str) -> Offer:
    found = offers_of(f"{port}.{kind}")
    if not found:
        from difflib import get_close_matches  # 6 ms, and only a mistake needs it

        known = adapter_types(port)
        near = get_close_matches(kind, known, n=1)
        fix = f'did you mean "{near[0]}"?' if near else f"use one of: {', '.join(known)}"
        raise BackendError("config", f'no adapter "{kind}" for {port}', fix=fix)
    if len(found) > 1:
        packages = ", ".join(f"{offer.package} {offer.version}" for offer in found)
        raise BackendError("config", f"several packages offer {port}.{kind}: {packages}", fix="uninstall all but one")
    return found[0]


def build(port: str, kind: str, config: Any, context: AdapterContext) -> Any:
    """An adapter from its decoded config Struct, or from plain data that is decoded here.

    Raises BackendError(config) where the data does not fit, or an adapter of somebody else's can not be made of it.
    """
    offer = _offer(port, kind)
    found = offer.adapter()
    if not isinstance(config, msgspec.Struct):
        config, _ = without_misfits(port, config, found.Config)
        try:
            config = msgspec.convert(config, found.Config, dec_hook=decode_hook)
        except msgspec.ValidationError as error:
            said = in_words(str(error)).removeprefix("Object contains ").removeprefix("Object ")
            raise BackendError(
                "config", f"{port}.{context.name}: {said}", fix="`teal config validate` names the line"
            ) from None
    try:
        return found(config, context)
    except Exception as error:
        if isinstance(error, BackendError) or not offer.package:
            raise
        words = quoted(f"{port}.{context.name}: {offer} fails to start: {type(error).__name__}: {error}")
        raise BackendError("config", words, fix=f"correct the entry, or update {offer.package}") from None
