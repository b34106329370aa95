"""Two Deployments behind one Service: traffic moves by a compare-and-swap of the color in the Service's selector.

```toml
[[contexts.production.deployments]]
name = "analytics"
type = "kubernetes"
kubeconfig = "~/.kube/config"          # default: as kubectl looks for it, then the service account of the pod
kube_context = "prod"                  # default: the current one
namespace = "analytics"                # default: that of the context
service = "analytics"
color_label = "color"
deployments = { blue = "analytics-blue", green = "analytics-green" }
container = "analytics"                # default: the first
image = "your-registry/analytics"      # default: the repository of the image that runs
```
"""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import field
from msgspec.structs import replace

from backends.deployments.common import DeploymentConfig, color_health, colors_problem, data_layer, live_color
from backends.deployments.exposition import Exposition, Traffic
from backends.deployments.kubernetes.control import ServiceControl
from backends.deployments.kubernetes.deployer import KubernetesDeployer
from backends.deployments.kubernetes.owners import ownership
from backends.deployments.kubernetes.preflight import (
    SWITCH_RIGHTS,
    autoscaling,
    capacity,
    check_rights,
    ending,
    identity_findings,
    rehearsal,
)
from backends.deployments.kubernetes.sides import Sides
from backends.deployments.switch_format import check_weights
from backends.errors import BackendError
from backends.kubernetes.api import WRITE_BOUND_S, KubernetesApi
from backends.kubernetes.wire import Service
from backends.models import ColorState, Deployment, Finding, Truth, TruthLayer
from backends.paths import path_of
from backends.ports import Deployer, ProbeTarget, SwitchState
from backends.registry import AdapterContext
from backends.text import clean
from backends.together import together


class KubernetesConfig(DeploymentConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Service, and a Deployment for each color.

    service: the Service whose selector names the live color.
    kubeconfig: its path; by default as kubectl looks for it, then the service account of the pod.
    kube_context: by default the current one, with a warning.
    namespace: by default that of the kube_context.
    color_label: the key in the selector that names the color.
    deployments: the Deployment of each color, which gives the colors their names; without it no version can be put on a
        side.
    container: whose image is set; by default the first.
    image: the repository of the image; by default that of the image that runs.
    """

    service: str
    kubeconfig: str = ""
    kube_context: str = ""
    namespace: str = ""
    color_label: str = "color"
    deployments: dict[str, str] = field(default_factory=dict)
    container: str = ""
    image: str = ""

    def __post_init__(self) -> None:
        if not self.service or not self.color_label:
            raise ValueError("service and color_label: neither may be empty")
        if self.deployments and (problem := colors_problem(self.health, self.deployments, "deployments")):
            raise ValueError(problem)

    @property
    def colors(self) -> tuple[str, ...]:
        """As the Deployments are called."""
        return tuple(self.deployments) or super().colors

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The Service, as the entry names its cluster: two names of one cluster are not told from two clusters."""
        file = path_of(self.kubeconfig, base_dir).resolve() if self.kubeconfig else "the default kubeconfig"
        namespace, of = self.namespace or "(its namespace)", self.kube_context or "(current)"
        return frozenset({f"Service {namespace}/{self.service} of context {of} in {file}"})


class KubernetesSwitch:
    """The `Switch` of one Service whose selector names a color."""

    api = 1
    Config = KubernetesConfig

    def __init__(self, config: KubernetesConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._http = context.http
        self._api = KubernetesApi(
            kubeconfig=config.kubeconfig,
            context=config.kube_context,
            namespace=config.namespace,
            base_dir=context.base_dir,
        )
        self._control = ServiceControl(self._api, config.service, config.color_label, config.colors)
        self._sides = Sides(self._api, config.service, config.color_label, config.deployments, config.container)
        self._deployer = (
            KubernetesDeployer(
                self._api,
                self._control,
                self._sides,
                label=config.color_label,
                deployments=config.deployments,
                container=config.container,
                repository=config.image,
            )
            if config.deployments
            else None
        )
        self._expositions = {color: Exposition(self._http, url) for color, url in config.exposition.items()}

    @property
    def object_id(self) -> str:
        """As the port says."""
        return f"{self._config.namespace}/{self._config.service}"

    @property
    def can_split(self) -> bool:
        """Never: a selector names one color."""
        return False

    @property
    def deployer(self) -> Deployer | None:
        """The Deployments of the config; None where it names none."""
        return self._deployer

    @property
    def write_settles_s(self) -> float:
        """What the API server is told to give a write up after, and a little for its clock."""
        return WRITE_BOUND_S + 2.0

    async def deployment(self) -> Deployment:
        """The Service, what it reaches, the pods of each color and one fresh request, side by side.

        Raises BackendError where the Service itself cannot be read; what else cannot is said in its place.
        """
        colors = self._config.colors
        service, data = await together(self._control.read(), data_layer(self._config.probe, colors))
        at = datetime.now(UTC)
        control = self._control.state(service)
        endpoints, sides, traffic = await together(
            self._sides.endpoints(service, colors),
            together(*(self._side(service, color) for color in colors)),
            together(*(self._traffic(color) for color in colors)),
        )
        states = {
            color: replace(
                side,
                weight_pct=float(control.weights[color]) if color in control.weights else None,
                rps=seen.rps,
                error_pct=seen.error_pct,
                p95_ms=side.p95_ms if seen.p95_ms is None else seen.p95_ms,
                rates_pending=seen.pending,
            )
            for color, side, seen in zip(colors, sides, traffic, strict=True)
        }
        said = control.detail or f"selector {self._config.color_label}={control.live}"
        truth = Truth(control=TruthLayer(value=control.live, detail=said, at=at), endpoints=endpoints, data=data)
        return Deployment(
            ref=f"{self._name}/{self._name}",
            backend=self._name,
            service=self._name,
            live=live_color(truth),
            colors=states,
            truth=truth,
        )

    async def observe(self) -> SwitchState:
        """The Service's selector now. Raises BackendError."""
        return self._control.state(await self._control.read())

    async def endpoints(self) -> TruthLayer:
        """The pods that the Service reaches now, by the color that they have. Raises BackendError."""
        return await self._sides.endpoints(await self._control.read(), self._config.colors)

    async def color_health(self, color: str) -> ColorState:
        """The pods of `color`, and its health URL where there is one. Never raises."""
        if color not in self._config.colors:
            known = ", ".join(self._config.colors)
            return ColorState(healthy=None, detail=f'no color "{clean(color, 64)}" here (known: {known})')
        try:
            service = await self._control.read()
        except BackendError as error:
            return ColorState(healthy=None, detail=error.message)
        return await self._side(service, color)

    async def request_counts(self) -> dict[str, int]:
        """Not known: a Service counts nothing."""
        return {}

    async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
        """Who we are, our rights, the patch as a dry run, ready pods on both sides, other owners of the selector.

        Raises BackendError(auth) naming the verb that is missing.
        """
        to = self._target(weights)
        identity, rights, service = await together(
            identity_findings(self._api), check_rights(self._api, SWITCH_RIGHTS), self._control.read()
        )
        found = self._control.state(service)
        if not found.weights:
            unknown = Finding(level="block", code="selector", text=found.detail, fix="put it right by hand")
            return [*identity, rights, unknown]
        rehearsed, gaining, losing = await together(
            rehearsal(self._control, to), self._sides.pods(service, to), self._sides.pods(service, found.live)
        )
        namespace, strangers = await together(ending(self._api), self._sides.strangers(service, self._config.colors))
        findings = [*identity, *namespace, rights, rehearsed, *capacity(gaining, losing, found.live, to), *strangers]
        if (deployment := self._config.deployments.get(to)) is not None:
            findings += await autoscaling(self._api, deployment, sum(pod.is_ready for pod in losing), to)
        return findings + ownership(service, self._config.service, self._config.color_label)

    async def shift(
        self, expected: SwitchState, weights: dict[str, int], *, stamp: str, fence: int = 0, journal: str = ""
    ) -> SwitchState:
        """One JSON patch of the Service. Returns what was read back.

        Raises BackendError: `config` for weights that a selector cannot say, `conflict` where the Service is not
        `expected` or would be left without a ready pod, `auth`, and `timeout` or `unreachable` where nobody knows what
        came of it.
        """
        to = self._target(weights)
        # A selector that matches nothing is an outage at once, so this is looked at here too, whoever asks.
        pods = await self._sides.pods(await self._control.read(), to)
        if not any(pod.is_ready for pod in pods):
            words = f"no pod of {to.upper()} is ready: Service {self._config.service} is left as it is"
            raise BackendError("conflict", words, fix=f"scale {to.upper()} up, and wait until it is ready")
        return await self._control.write(expected, to, stamp=stamp, fence=fence, journal=journal)

    async def mark_ended(self, expected: SwitchState) -> None:
        """As `shift`: one JSON patch of the Service's annotations."""
        await self._control.mark_ended(expected)

    def describe_shift(self, before: SwitchState, weights: dict[str, int]) -> list[str]:
        """One line: the selector."""
        config = self._config
        where = f"{config.namespace}/{config.service}" if config.namespace else config.service
        to = SwitchState(weights=weights, revision="").live
        cluster = f" at {config.kube_context}" if config.kube_context else ""
        return [f"control  Service {where}{cluster}: selector {config.color_label}: {before.live} → {to}"]

    def manual_commands(self, weights: dict[str, int]) -> list[str]:
        """The same patch, by kubectl."""
        config = self._config
        to = self._target(weights)
        pointer = "/spec/selector/" + config.color_label.replace("~", "~0").replace("/", "~1")
        change: list[dict[str, Any]] = [{"op": "replace", "path": pointer, "value": to}]
        patch = msgspec.json.encode(change).decode()
        return [shlex.join([*self._kubectl(), "patch", "service", config.service, "--type=json", "-p", patch])]

    async def aclose(self) -> None:
        """Close the connections to the API server; safe to call twice."""
        await self._api.aclose()

    def _kubectl(self) -> list[str]:
        config = self._config
        words = ["kubectl"]
        words += ["--kubeconfig", config.kubeconfig] if config.kubeconfig else []
        words += ["--context", config.kube_context] if config.kube_context else []
        return [*words, "-n", config.namespace] if config.namespace else words

    def _target(self, weights: dict[str, int]) -> str:
        problem = check_weights(weights, self._config.colors)
        to = SwitchState(weights=weights, revision="").live
        if not problem and to == "mixed":
            problem = "a Service cannot split traffic"
        if problem:
            raise BackendError("config", f"Service {self._config.service}: {problem}", fix="all traffic to one color")
        return to

    async def _side(self, service: Service, color: str) -> ColorState:
        """Readiness and the color's own word together: each of them can say no, and only both say yes."""
        url = self._config.health.get(color)
        if url is None:
            return await self._sides.state(service, color)
        header = self._config.probe.header if self._config.probe else ProbeTarget(url="").header
        pods, told = await together(
            self._sides.state(service, color), color_health(self._http, color, url, header=header)
        )
        healthy = told.healthy if pods.healthy or pods.ready is None else pods.healthy
        return replace(
            pods, healthy=healthy, version=told.version or pods.version, detail=f"{told.detail}, {pods.detail}"
        )

    async def _traffic(self, color: str) -> Traffic:
        exposition = self._expositions.get(color)
        return await exposition.traffic() if exposition else Traffic()
