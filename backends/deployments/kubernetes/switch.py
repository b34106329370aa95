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

from pathlib import Path
from typing import Any

from backends.deployments.kubernetes.cluster_switch import ClusterSwitch
from backends.deployments.kubernetes.config import ClusterConfig
from backends.deployments.kubernetes.control import ControlObject
from backends.deployments.kubernetes.selector import ServiceSelector
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import Service


class KubernetesConfig(ClusterConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Service, and a Deployment for each color.

    service: the Service whose selector names the live color.
    color_label: the key in the selector that names the color.
    """

    service: str
    color_label: str = "color"

    def __post_init__(self) -> None:
        if not self.service or not self.color_label:
            raise ValueError("service and color_label: neither may be empty")
        super().__post_init__()

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The Service, as the entry names its cluster."""
        return frozenset({self.in_cluster("Service", self.service, base_dir)})


class KubernetesSwitch(ClusterSwitch[Service]):
    """The `Switch` of one Service whose selector names a color."""

    Config = KubernetesConfig

    @property
    def object_id(self) -> str:
        """As the port says."""
        return self._config.object_id(self._of.name)

    def _made(self, config: Any, api: KubernetesApi) -> ControlObject[Service]:
        return ServiceSelector(api, config.service, config.color_label, config.colors)
