"""The fields of service deployments and service revisions that are read here.
Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html"""

from datetime import datetime
from typing import Any

from msgspec import Struct

from backends.deployments.ecs.wire import LoadBalancer, container_behind
from backends.images import image_version


class Brief(Struct, rename="camel"):
    """One of a list."""

    service_deployment_arn: str
    target_service_revision_arn: str = ""
    status: str = ""


class Weighted(Struct, rename="camel"):
    """A revision in a deployment: its tasks, and the share that ECS has asked for (a snapshot)."""

    arn: str = ""
    requested_task_count: int = 0
    running_task_count: int = 0
    pending_task_count: int = 0
    requested_production_traffic_weight: float = 0.0


class Hook(Struct, rename="camel"):
    """A lifecycle hook at work."""

    hook_id: str = ""
    target_type: str = ""
    target_arn: str = ""
    status: str = ""
    expires_at: datetime | None = None
    timeout_action: str = ""


class Alarms(Struct, rename="camel"):
    """The alarms that ECS looks at during a deployment."""

    status: str = ""
    triggered_alarm_names: list[str] = []


class Breaker(Struct, rename="camel"):
    """The circuit breaker."""

    status: str = ""
    failure_count: int = 0
    threshold: int = 0


class Return(Struct, rename="camel"):
    """Why it goes back, and to which revision."""

    reason: str = ""
    service_revision_arn: str = ""


class ServiceDeployment(Struct, rename="camel"):
    """One deployment of a service."""

    service_deployment_arn: str
    status: str = ""
    status_reason: str = ""
    lifecycle_stage: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime | None = None
    source_service_revisions: list[Weighted] = []
    target_service_revision: Weighted | None = None
    lifecycle_hook_details: list[Hook] = []
    deployment_configuration: dict[str, Any] = {}
    rollback: Return | None = None
    alarms: Alarms | None = None
    deployment_circuit_breaker: Breaker | None = None

    @property
    def source(self) -> Weighted | None:
        """What had the traffic before."""
        found = self.source_service_revisions
        return max(found, key=lambda each: each.requested_production_traffic_weight) if found else None


class Image(Struct, rename="camel"):
    """Of a container of a revision."""

    container_name: str = ""
    image: str = ""


class Group(Struct, rename="camel"):
    """A target group that a revision's tasks are in."""

    target_group_arn: str = ""


class Resolved(Struct, rename="camel"):
    """Where ECS has put them."""

    load_balancers: list[Group] = []


class ServiceRevision(Struct, rename="camel"):
    """What a deployment brings: it never changes."""

    service_revision_arn: str
    task_definition: str = ""
    container_images: list[Image] = []
    load_balancers: list[LoadBalancer] = []
    resolved_configuration: Resolved | None = None

    def version(self, container: str) -> str | None:
        """Of the image of that container; by default the one behind the load balancer, or the only one."""
        wanted = container or container_behind(self.load_balancers)
        found = [each for each in self.container_images if wanted in ("", each.container_name)]
        return image_version(found[0].image) if len(found) == 1 else None

    @property
    def group(self) -> str:
        """The ARN of the target group of its tasks; empty where that is not known."""
        resolved = self.resolved_configuration
        return resolved.load_balancers[0].target_group_arn if resolved and resolved.load_balancers else ""
