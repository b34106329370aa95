"""The objects of the Kubernetes API, with the fields that are read of them.

Source: https://kubernetes.io/docs/reference/kubernetes-api/
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

from backends.images import image_repository as image_repository
from backends.images import image_version as image_version

T = TypeVar("T")


class ManagedFields(Struct, rename="camel"):
    """Who wrote which fields last (`fieldsV1`: a tree of `f:name`)."""

    manager: str = ""
    operation: str = ""
    time: datetime | None = None
    fields_v1: dict[str, Any] | None = None
    subresource: str = ""

    def owns(self, *path: str) -> bool:
        """Whether the field at that path is in the tree."""
        tree: Any = self.fields_v1
        for part in path:
            if not isinstance(tree, dict) or f"f:{part}" not in tree:
                return False
            tree = tree[f"f:{part}"]
        return True


class OwnerReference(Struct):
    """Whose object it is."""

    uid: str = ""
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class Metadata(Struct, rename="camel"):
    """Of any object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    managed_fields: list[ManagedFields] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: list[OwnerReference] | None = None

    def label(self, key: str) -> str:
        """Its value; empty where there is none."""
        return (self.labels or {}).get(key, "")

    def annotation(self, key: str) -> str:
        """Its value; empty where there is none."""
        return (self.annotations or {}).get(key, "")


class NamespaceStatus(Struct):
    """Of a namespace."""

    phase: str = ""


class Namespace(Struct):
    """v1."""

    metadata: Metadata
    status: NamespaceStatus


class Items(Struct, Generic[T]):
    """A list of objects."""

    listed: list[T] | None = field(name="items")

    @property
    def items(self) -> list[T]:
        """They; a server in Go may say null for none."""
        return self.listed or []


class ServiceSpec(Struct, rename="camel"):
    """A Service; without a selector somebody else keeps its endpoints."""

    selector: dict[str, str] | None = None
    type: str = ""


class Service(Struct):
    """v1."""

    metadata: Metadata
    spec: ServiceSpec


class CustomObject(Struct):
    """Of a kind that was added to the cluster; what is in it is for who knows the kind."""

    metadata: Metadata
    spec: dict[str, Any] = {}
    status: dict[str, Any] | None = None


class ServedVersion(Struct):
    """Of a group."""

    version: str


class ServedGroup(Struct):
    """`/apis/GROUP`."""

    versions: list[ServedVersion] | None = None


class ServedResource(Struct):
    """One kind of a version of a group."""

    name: str


class ServedResources(Struct):
    """`/apis/GROUP/VERSION`."""

    resources: list[ServedResource] | None = None


class Condition(Struct, rename="camel"):
    """Of a pod, a Deployment or a route."""

    type: str
    status: str = ""
    reason: str = ""
    message: str = ""
    last_update_time: datetime | None = None
    observed_generation: int = 0


class StateReason(Struct, rename="camel"):
    """Why a container waits or has ended."""

    reason: str = ""
    message: str = ""
    exit_code: int | None = None


class ContainerState(Struct):
    """One of them is set."""

    waiting: StateReason | None = None
    terminated: StateReason | None = None


class ContainerStatus(Struct, rename="camel"):
    """A container as it is."""

    name: str
    image: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState | None = None


class Resources(Struct):
    """What a container asks for, as quantities (`250m`, `512Mi`) by resource."""

    requests: dict[str, Any] | None = None


class Container(Struct):
    """A container as it is wanted."""

    name: str
    image: str = ""
    resources: Resources | None = None
    restart_policy: str = field(name="restartPolicy", default="")


class PodSpec(Struct, rename="camel"):
    """The same of a pod and of a template for pods."""

    containers: list[Container] = []
    init_containers: list[Container] | None = None
    ephemeral_containers: list[Container] | None = None
    node_name: str = ""


class PodStatus(Struct, rename="camel"):
    """A pod as it is."""

    phase: str = ""
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None


class Pod(Struct):
    """v1."""

    metadata: Metadata
    spec: PodSpec
    status: PodStatus

    @property
    def is_ready(self) -> bool:
        """It takes traffic of a Service that selects it."""
        conditions = {one.type: one.status for one in self.status.conditions or ()}
        return conditions.get("Ready") == "True" and not self.is_leaving

    @property
    def is_leaving(self) -> bool:
        """It is being deleted, or its work has ended."""
        return self.metadata.deletion_timestamp is not None or self.status.phase in ("Succeeded", "Failed")


class Template(Struct):
    """What pods of a Deployment are made from."""

    metadata: Metadata
    spec: PodSpec


class LabelRequirement(Struct):
    """One of a selector; `operator`: In, NotIn, Exists, DoesNotExist."""

    key: str
    operator: str = ""
    values: list[str] | None = None

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Of these labels; an operator that is not known holds of none."""
        found, values = labels.get(self.key), self.values or []
        return {
            "In": found in values, "NotIn": found not in values, "Exists": found is not None,
            "DoesNotExist": found is None,
        }.get(self.operator, False)  # fmt: skip


class LabelSelector(Struct, rename="camel"):
    """Which pods are its own."""

    match_labels: dict[str, str] | None = None
    match_expressions: list[LabelRequirement] | None = None

    def chooses(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels is one of them; an empty selector chooses all."""
        wanted = (self.match_labels or {}).items()
        return wanted <= labels.items() and all(each.holds(labels) for each in self.match_expressions or ())


class DeploymentSpec(Struct, rename="camel"):
    """A Deployment as it is wanted."""

    template: Template
    selector: LabelSelector
    replicas: int = 1
    paused: bool = False


class DeploymentStatus(Struct, rename="camel"):
    """A Deployment as it is."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: list[Condition] | None = None


class Workload(Struct):
    """apps/v1 Deployment."""

    metadata: Metadata
    spec: DeploymentSpec
    status: DeploymentStatus


class ObjectReference(Struct):
    """The pod behind an endpoint."""

    kind: str = ""
    name: str = ""


class EndpointAddress(Struct, rename="camel"):
    """One address of an Endpoints."""

    target_ref: ObjectReference | None = None
    ip: str = ""


class EndpointSubset(Struct, rename="camel"):
    """Addresses that share ports."""

    addresses: list[EndpointAddress] | None = None
    not_ready_addresses: list[EndpointAddress] | None = None


class Endpoints(Struct):
    """v1."""

    subsets: list[EndpointSubset] | None = None


class EndpointConditions(Struct):
    """Null means true, and `serving` null means `ready`."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(Struct, rename="camel"):
    """One of an EndpointSlice; without a `target_ref` where somebody else than Kubernetes wrote it."""

    conditions: EndpointConditions | None = None
    target_ref: ObjectReference | None = None
    addresses: list[str] | None = None


class EndpointSlice(Struct):
    """discovery.k8s.io, v1 and v1beta1."""

    endpoints: list[Endpoint] | None = None
