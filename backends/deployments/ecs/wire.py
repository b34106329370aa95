"""The fields of ECS that are read here. Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from backends.images import image_version
from backends.text import clean


class Tag(Struct):
    """Of a service or a task definition."""

    key: str = ""
    value: str = ""


class LoadBalancer(Struct, rename="camel"):
    """The target group that a service registers its tasks in; `advanced_configuration` is of one that ECS moves."""

    target_group_arn: str = ""
    container_name: str = ""
    container_port: int = 0
    advanced_configuration: dict[str, Any] = {}


def container_behind(balancers: Sequence[LoadBalancer]) -> str:
    """The container that they send to; empty where they name none."""
    return next((each.container_name for each in balancers if each.container_name), "")


class Rolling(Struct, rename="camel"):
    """A deployment of a service, as `describe_services` has it: `PRIMARY` is the newest."""

    id: str
    status: str = ""
    task_definition: str = ""
    desired_count: int = 0
    running_count: int = 0
    pending_count: int = 0
    failed_tasks: int = 0
    rollout_state: str = ""
    rollout_state_reason: str = ""


class Event(Struct, rename="camel"):
    """A line of the service's own log."""

    message: str = ""
    created_at: datetime | None = None


LAUNCH_FIX = "a service of the launch type FARGATE or EC2"


class Kind(Struct):
    """Of a deployment controller."""

    type: str = "ECS"


class Service(Struct, rename="camel"):
    """One service."""

    service_arn: str
    service_name: str
    status: str = ""
    desired_count: int = 0
    running_count: int = 0
    pending_count: int = 0
    launch_type: str = ""
    task_definition: str = ""
    deployment_controller: Kind = field(default_factory=Kind)
    deployment_configuration: dict[str, Any] = {}
    load_balancers: list[LoadBalancer] = []
    deployments: list[Rolling] = []
    events: list[Event] = []
    tags: list[Tag] = []

    @property
    def strategy(self) -> str:
        """How ECS replaces its tasks; ROLLING where it does not say."""
        return str(self.deployment_configuration.get("strategy") or "ROLLING")

    @property
    def primary(self) -> Rolling | None:
        """Its newest deployment."""
        return next((each for each in self.deployments if each.status == "PRIMARY"), None)

    @property
    def unreached(self) -> str:
        """Why no load balancer reaches its tasks; empty where one may."""
        if self.launch_type != "EXTERNAL":
            return ""
        return f"service {self.service_name} is of launch type EXTERNAL: no load balancer reaches its tasks"

    @property
    def has_test_listener(self) -> bool:
        """Whether one reaches the new tasks of a deployment before they get traffic."""
        return any(each.advanced_configuration.get("testListenerRule") for each in self.load_balancers)

    def chosen(self, container: str) -> str:
        """The container whose image is the version: that of the config, or the one behind the load balancer."""
        return container or container_behind(self.load_balancers)

    def tag(self, key: str) -> str:
        """Empty where there is none."""
        return next((each.value for each in self.tags if each.key == key), "")


class Container(Struct, rename="camel"):
    """Of a task definition."""

    name: str = ""
    image: str = ""
    log_configuration: dict[str, Any] = {}


class Definition(Struct):
    """A task definition: what is read of it, and `raw`, all that AWS said of it."""

    arn: str
    containers: list[Container]
    tags: dict[str, str]
    raw: dict[str, Any]

    @property
    def short(self) -> str:
        """`model:12`."""
        return short_of(self.arn)

    def container(self, name: str) -> Container | None:
        """Of that name; the only one where none is named."""
        if not name:
            return self.containers[0] if len(self.containers) == 1 else None
        return next((each for each in self.containers if each.name == name), None)

    def version(self, name: str) -> str | None:
        """Of the image of that container."""
        found = self.container(name)
        return image_version(found.image) if found is not None else None

    @property
    def names(self) -> str:
        """Of its containers, for people."""
        return ", ".join(clean(each.name, 64) for each in self.containers) or "none"


class TaskContainer(Struct, rename="camel"):
    """Of a task."""

    name: str = ""
    reason: str = ""
    exit_code: int | None = None


class Task(Struct, rename="camel"):
    """One task, also one that was stopped within the last hour."""

    task_arn: str
    last_status: str = ""
    task_definition_arn: str = ""
    stop_code: str = ""
    stopped_reason: str = ""
    stopped_at: datetime | None = None
    started_by: str = ""
    containers: list[TaskContainer] = []


def short_of(arn: str) -> str:
    """The last part of an ARN: `model:12`, the name of a service."""
    return arn.rpartition("/")[2]


def service_words(region: str, cluster: str, service: str) -> str:
    """Which service a config moves, in words."""
    return f"ECS service {short_of(service)} of {short_of(cluster)} in {region or '(its region)'}"
