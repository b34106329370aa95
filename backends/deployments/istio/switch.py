"""Subsets of a host, or two hosts, behind an Istio VirtualService: traffic moves by the weights of its destinations.

```toml
[[contexts.production.deployments]]
name = "analytics"
type = "istio"
kube_context = "prod"                  # kubeconfig, kube_context, namespace: as of `kubernetes`
namespace = "analytics"
virtual_service = "analytics"
http_route = "api"                     # its name, where several send to these colors
host = "analytics"                     # with the subsets of its DestinationRule
subsets = { blue = "blue", green = "green" }
# services = { blue = "analytics-blue", green = "analytics-green" }   # instead of host and subsets
deployments = { blue = "analytics-blue", green = "analytics-green" }
container = "analytics"                # container, image: as of `kubernetes`
```
Rights, limits and a first ten minutes: docs/kubernetes.md.
"""

from pathlib import Path
from typing import Any

from msgspec import field

from backends.deployments.istio.virtual_service import VirtualService
from backends.deployments.kubernetes.cluster_switch import ClusterSwitch
from backends.deployments.kubernetes.config import ClusterConfig, sides_problem
from backends.deployments.kubernetes.control import ControlObject
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import CustomObject


class IstioConfig(ClusterConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A VirtualService, and a destination for each color.

    virtual_service: its name.
    http_route: the name of the HTTP route that is moved; by default the only one that sends to these colors.
    host: the Service whose DestinationRule has the `subsets`.
    subsets: the subset of each color, which gives the colors their names.
    services: instead of `host` and `subsets`: the Service of each color, `NAME` or `NAMESPACE/NAME`.
    """

    virtual_service: str
    http_route: str = ""
    host: str = ""
    subsets: dict[str, str] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.virtual_service:
            raise ValueError("virtual_service: its name")
        if bool(self.services) == bool(self.subsets) or bool(self.host) != bool(self.subsets):
            raise ValueError("host with subsets, or services: one way to name the destinations")
        of = "subsets" if self.subsets else "services"
        if problem := sides_problem(self.subsets or self.services, of, self):
            raise ValueError(problem)

    @property
    def colors(self) -> tuple[str, ...]:
        """As the subsets or the Services are called."""
        return tuple(self.subsets or self.services)

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The VirtualService, as the entry names its cluster."""
        return frozenset({self.in_cluster("VirtualService", self.virtual_service, base_dir)})


class IstioSwitch(ClusterSwitch[CustomObject]):
    """The `Switch` of an HTTP route of a VirtualService."""

    Config = IstioConfig

    def _made(self, config: Any, api: KubernetesApi) -> ControlObject[CustomObject]:
        return VirtualService(
            api, config.virtual_service, config.colors, http_route=config.http_route, host=config.host,
            subsets=config.subsets, services=config.services,
        )  # fmt: skip
