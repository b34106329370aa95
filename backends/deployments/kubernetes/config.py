"""What every entry has whose objects are in a cluster, and what those have whose colors are pods of it."""

from pathlib import Path

from msgspec import field

from backends.deployments.common import DeploymentConfig, colors_problem
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.kubeconfig import at_cluster
from backends.paths import path_of


class InCluster(DeploymentConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cluster, and how it is reached.

    kubeconfig: its path; by default as kubectl looks for it, then the service account of the pod.
    kube_context: by default the current one, with a warning.
    namespace: by default that of the kube_context.
    """

    kubeconfig: str = ""
    kube_context: str = ""
    namespace: str = ""

    def api(self, base_dir: Path) -> KubernetesApi:
        """Requests to it; nothing is read yet."""
        return KubernetesApi(
            kubeconfig=self.kubeconfig, context=self.kube_context, namespace=self.namespace, base_dir=base_dir
        )

    def object_id(self, name: str, kind: str = "") -> str:
        """An object with its kind, its namespace and its cluster, as far as the entry names them."""
        return at_cluster(" ".join(filter(None, (kind, f"{self.namespace}/{name}"))), self.kube_context)

    def words(self, kind: str, name: str) -> str:
        """An object as a plan calls it: what the entry does not name is left out."""
        return at_cluster(f"{kind} {self.namespace}/{name}" if self.namespace else f"{kind} {name}", self.kube_context)

    def in_cluster(self, kind: str, name: str, base_dir: Path) -> str:
        """An object as the entry names its cluster: two names of one cluster are not told from two clusters."""
        file = path_of(self.kubeconfig, base_dir).resolve() if self.kubeconfig else "the default kubeconfig"
        namespace, of = self.namespace or "(its namespace)", self.kube_context or "(current)"
        return f"{kind} {namespace}/{name} of context {of} in {file}"


class ClusterConfig(InCluster, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cluster, and a Deployment for each color.

    deployments: the Deployment of each color, which gives the colors their names; without it no version can be put on a
        side.
    container: whose image is set; by default the first.
    image: the repository of the image; by default that of the image that runs.
    """

    deployments: dict[str, str] = field(default_factory=dict)
    container: str = ""
    image: str = ""

    def __post_init__(self) -> None:
        if self.deployments and (problem := colors_problem(self.health, self.deployments, "deployments")):
            raise ValueError(problem)

    @property
    def colors(self) -> tuple[str, ...]:
        """As the Deployments are called."""
        return tuple(self.deployments) or super().colors


def sides_problem(sides: dict[str, str], of: str, config: ClusterConfig) -> str:
    """Why the field `of` does not name two sides that fit the rest of the entry; empty where it does."""
    if len(sides) != 2:
        return f"{of}: two, one for each color (there are {len(sides)})"
    if not all(sides.values()) or len(set(sides.values())) != 2:
        return f"{of}: another one for each color"
    if config.deployments and set(config.deployments) != set(sides):
        return colors_problem(config.deployments, sides, of).replace("health", "deployments")
    return colors_problem(config.health, sides, of)
