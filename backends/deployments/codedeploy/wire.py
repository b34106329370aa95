"""The fields of CodeDeploy that are read here. Source: https://docs.aws.amazon.com/codedeploy/latest/APIReference/"""

from datetime import datetime

from msgspec import Struct, field


class Text(Struct):
    """An AppSpec as text."""

    content: str = ""


class Revision(Struct, rename="camel"):
    """What is deployed; `app_spec_content`, or `string` as older clients have it."""

    revision_type: str = ""
    app_spec_content: Text | None = None
    string: Text | None = None

    @property
    def text(self) -> str:
        """The AppSpec; empty where it lies elsewhere."""
        return (self.app_spec_content or self.string or Text()).content


class Error(Struct):
    """Why a deployment ended."""

    code: str = ""
    message: str = ""


class Rollback(Struct, rename="camel"):
    """The deployment that took this one back, or the one that this one takes back."""

    rollback_deployment_id: str = ""
    rollback_triggering_deployment_id: str = ""
    rollback_message: str = ""


class Switch(Struct):
    """Something that may be on."""

    enabled: bool = False
    events: list[str] = []


class Alarm(Struct):
    """Of CloudWatch."""

    name: str = ""


class Alarms(Struct):
    """Those of a group."""

    enabled: bool = False
    alarms: list[Alarm] = []


class Ready(Struct, rename="camel"):
    """Whether it waits before traffic moves, and for how long."""

    action_on_timeout: str = ""
    wait_time_in_minutes: int = 0


class Terminate(Struct, rename="camel"):
    """What becomes of the old tasks."""

    action: str = ""
    termination_wait_time_in_minutes: int = 0


class BlueGreen(Struct, rename="camel"):
    """Its waits."""

    deployment_ready_option: Ready = field(default_factory=Ready)
    terminate_blue_instances_on_deployment_success: Terminate = field(default_factory=Terminate)


class Deployment(Struct, rename="camel"):
    """One deployment."""

    deployment_id: str
    status: str = ""
    description: str = ""
    creator: str = ""
    deployment_config_name: str = ""
    create_time: datetime | None = None
    start_time: datetime | None = None
    complete_time: datetime | None = None
    revision: Revision = field(default_factory=Revision)
    error_information: Error | None = None
    rollback_info: Rollback = field(default_factory=Rollback)
    instance_termination_wait_time_started: bool = False
    auto_rollback_configuration: Switch = field(default_factory=Switch)
    blue_green_deployment_configuration: BlueGreen = field(default_factory=BlueGreen)


class Diagnostics(Struct, rename="camel"):
    """Why a hook failed."""

    error_code: str = ""
    script_name: str = ""
    message: str = ""


class Event(Struct, rename="camel"):
    """A lifecycle event."""

    lifecycle_event_name: str = ""
    status: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    diagnostics: Diagnostics | None = None


class GroupName(Struct):
    """Of a target group."""

    name: str = ""


class TaskSet(Struct, rename="camel"):
    """One side of a deployment. AWS spells its id so."""

    identifer: str = ""
    desired_count: int = 0
    pending_count: int = 0
    running_count: int = 0
    status: str = ""
    traffic_weight: float = 0.0
    task_set_label: str = ""
    target_group: GroupName = field(default_factory=GroupName)


class Target(Struct, rename="camel"):
    """The service as a deployment sees it."""

    lifecycle_events: list[Event] = []
    status: str = ""
    task_sets_info: list[TaskSet] = []

    def side(self, label: str) -> TaskSet | None:
        """`Blue` had the traffic before, `Green` is new."""
        return next((each for each in self.task_sets_info if each.task_set_label == label), None)


class EcsService(Struct, rename="camel"):
    """The service of a group."""

    service_name: str = ""
    cluster_name: str = ""


class Last(Struct, rename="camel"):
    """The newest deployment of a group."""

    deployment_id: str = ""


class Route(Struct, rename="camel"):
    """The listeners of one kind of traffic."""

    listener_arns: list[str] = []


class Pair(Struct, rename="camel"):
    """The two target groups of a service, and what sends to them."""

    test_traffic_route: Route | None = None


class Balancing(Struct, rename="camel"):
    """What is before a service."""

    target_group_pair_info_list: list[Pair] = []


class Group(Struct, rename="camel"):
    """A deployment group."""

    deployment_group_name: str = ""
    compute_platform: str = ""
    deployment_config_name: str = ""
    ecs_services: list[EcsService] = []
    alarm_configuration: Alarms = field(default_factory=Alarms)
    auto_rollback_configuration: Switch = field(default_factory=Switch)
    blue_green_deployment_configuration: BlueGreen = field(default_factory=BlueGreen)
    load_balancer_info: Balancing = field(default_factory=Balancing)
    target_revision: Revision | None = None
    last_attempted_deployment: Last = field(default_factory=Last)
    last_successful_deployment: Last = field(default_factory=Last)

    @property
    def has_test_listener(self) -> bool:
        """Whether one reaches the new tasks before they get traffic."""
        routes = (each.test_traffic_route for each in self.load_balancer_info.target_group_pair_info_list)
        return any(route is not None and route.listener_arns for route in routes)


class ServiceTaskSet(Struct, rename="camel"):
    """A task set of the service, as ECS tells it."""

    id: str = ""
    status: str = ""
    task_definition: str = ""
    external_id: str = ""
