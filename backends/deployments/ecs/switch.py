"""Two ECS services behind the two target groups of an `alb`: a version gets onto the idle one, then traffic moves.

```toml
[[contexts.production.deployments]]
name = "model"
type = "ecs"
aws = { region = "eu-central-1", profile = "data-oncall", account = "123456789012" }
rules = ["arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/model/50dc6c49/f2f7dc8e/9683b2d0"]
target_groups = { blue = "arn:…:targetgroup/model-blue/73e2d6bc", green = "arn:…:targetgroup/model-green/22ca1f6e" }
cluster = "models"
services = { blue = "model-blue", green = "model-green" }
container = "model"                  # default: the one behind the load balancer
image = "your-registry/model"        # default: the repository of the image that runs
```
Rights, limits and a first ten minutes: docs/aws.md.
"""

import time
from pathlib import Path

from msgspec import field
from msgspec.structs import replace

from backends.deployments.alb.config import AlbConfig
from backends.deployments.alb.deployer import Patient
from backends.deployments.alb.switch import AlbSwitch
from backends.deployments.common import colors_problem
from backends.deployments.ecs.cluster import Cluster
from backends.deployments.ecs.deployer import EcsDeployer
from backends.deployments.ecs.wire import service_words
from backends.errors import BackendError
from backends.models import ColorState, Deployment
from backends.ports import Deployed, Deployer
from backends.registry import AdapterContext
from backends.together import together

FRESH_S = 1.0


class EcsConfig(AlbConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `alb`, with an ECS service for each color.

    cluster: its name or ARN.
    services: the name of each color's service.
    container: whose image is set; by default the one behind the load balancer.
    image: the repository of the image; by default that of the image that runs.
    """

    cluster: str
    services: dict[str, str] = field(default_factory=dict)
    container: str = ""
    image: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.cluster:
            raise ValueError("cluster: the name or ARN of the cluster")
        if not self.services or (problem := colors_problem(self.services, self.target_groups, "target_groups")):
            words = problem.replace("health", "services") if self.services else "services: one for each color"
            raise ValueError(words)
        if len(set(self.services.values())) != len(self.services):
            raise ValueError("services: the same one for both colors")
        if self.deploy or self.retire:
            raise ValueError("deploy, retire: ECS puts versions there itself: no command is run")

    def writes(self, base_dir: Path) -> frozenset[str]:
        """As of an `alb`, and each service."""
        region = self.aws.region or self.places[0].region
        services = (service_words(region, self.cluster, service) for service in self.services.values())
        return super().writes(base_dir) | frozenset(services)


class EcsSwitch(AlbSwitch):
    """The `Switch` of an `alb`, with the `Deployer` of its ECS services."""

    Config = EcsConfig

    def __init__(self, config: EcsConfig, context: AdapterContext) -> None:
        super().__init__(config, context)
        services = {color: config.services[color] for color in config.colors}
        self._ecs = EcsDeployer(
            Cluster(self._account, config.cluster), services, config.target_groups, self.observe,
            container=config.container, repository=config.image,
        )  # fmt: skip
        self._patient = Patient(self._ecs, self._may_go)
        self._runs: dict[str, Deployed] = {}
        self._read_at = float("-inf")

    @property
    def deployer(self) -> Deployer | None:
        """The services of the config."""
        return self._patient

    async def deployment(self) -> Deployment:
        """As of an `alb`, with running and desired tasks and the version that each service has."""
        found, runs = await together(super().deployment(), self._running())
        sides = {color: self._with(side, runs.get(color)) for color, side in found.colors.items()}
        return replace(found, colors=sides)

    async def color_health(self, color: str) -> ColorState:
        """As of an `alb`; the version is that of the task definition where the side itself says none."""
        told, runs = await together(super().color_health(color), self._running())
        return self._with(told, runs.get(color))

    @staticmethod
    def _with(side: ColorState, runs: Deployed | str | None) -> ColorState:
        if runs is None:
            return side
        if isinstance(runs, str):
            return replace(side, detail=f"{side.detail}; {runs}")
        detail = f"{side.detail}, {runs.detail}" if side.detail else runs.detail
        return replace(
            side, version=side.version or runs.version, ready=runs.ready, desired=runs.desired, detail=detail
        )

    async def _running(self) -> dict[str, Deployed | str]:
        """What each service runs, a second old at most; why it can not be read. Never raises."""
        if time.monotonic() - self._read_at > FRESH_S:
            try:
                self._runs, self._read_at = await self._ecs.both(), time.monotonic()
            except BackendError as error:
                return dict.fromkeys(self._config.target_groups, error.message)
        return dict(self._runs)
