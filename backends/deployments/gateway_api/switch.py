"""Two Services behind an HTTPRoute of the Gateway API: traffic moves by the weights of its backendRefs.

```toml
[[contexts.production.deployments]]
name = "analytics"
type = "gateway-api"
kube_context = "prod"                  # kubeconfig, kube_context, namespace: as of `kubernetes`
namespace = "analytics"
route = "analytics"                    # an HTTPRoute
rule = "api"                           # where several rules send to these Services: its name, or a list of names
# match = { host = "api.example.com", path = "/" }   # where rules have no names
services = { blue = "analytics-blue", green = "analytics-green" }
deployments = { blue = "analytics-blue", green = "analytics-green" }
container = "analytics"                # container, image: as of `kubernetes`
```
Rights, limits and a first ten minutes: docs/kubernetes.md.
"""

from pathlib import Path
from typing import Any

from msgspec import field

from backends.deployments.gateway_api.route import HttpRoute, RuleMatch
from backends.deployments.kubernetes.cluster_switch import ClusterSwitch
from backends.deployments.kubernetes.config import ClusterConfig, sides_problem
from backends.deployments.kubernetes.control import ControlObject
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import CustomObject


class GatewayApiConfig(ClusterConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An HTTPRoute, and a Service for each color.

    route: the name of the HTTPRoute.
    rule: the name of the rule that is moved, or of several; by default the only one that sends to `services`.
    match: the same by host and path, where the installed version has no names of rules.
    services: the Service of each color, which gives the colors their names: `NAME`, or `NAMESPACE/NAME`.
    """

    route: str
    rule: str | tuple[str, ...] = ()
    match: RuleMatch | tuple[RuleMatch, ...] = ()
    services: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.route:
            raise ValueError("route: the name of the HTTPRoute")
        if self.rules and self.matches:
            raise ValueError("rule and match: one of them, not both")
        if len(set(self.rules)) != len(self.rules) or not all(self.rules):
            raise ValueError("rule: names, each once")
        if problem := sides_problem(self.services, "services", self):
            raise ValueError(problem)

    @property
    def rules(self) -> tuple[str, ...]:
        """By name."""
        return (self.rule,) if isinstance(self.rule, str) else self.rule

    @property
    def matches(self) -> tuple[RuleMatch, ...]:
        """By what they match."""
        return (self.match,) if isinstance(self.match, RuleMatch) else self.match

    @property
    def colors(self) -> tuple[str, ...]:
        """As the Services are called."""
        return tuple(self.services)

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The HTTPRoute, as the entry names its cluster: it has one mark, whatever rules are moved."""
        return frozenset({self.in_cluster("HTTPRoute", self.route, base_dir)})


class GatewayApiSwitch(ClusterSwitch[CustomObject]):
    """The `Switch` of rules of an HTTPRoute."""

    Config = GatewayApiConfig

    def _made(self, config: Any, api: KubernetesApi) -> ControlObject[CustomObject]:
        return HttpRoute(api, config.route, config.colors, config.services, rules=config.rules, matches=config.matches)
