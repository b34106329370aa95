"""What the entries of both controllers of an ECS service share, whether ECS or CodeDeploy moves its traffic."""

from pathlib import Path
from typing import ClassVar

from backends.aws.access import AwsAccess
from backends.deployments.common import DeploymentConfig
from backends.deployments.controlled import unheeded
from backends.deployments.ecs.wire import service_words
from backends.settings import Duration


class ControlledConfig(DeploymentConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service that `mover` moves.

    cluster: the name or ARN of the service's cluster.
    service: the name of the service.
    container: whose image is the version; by default the one behind the load balancer.
    image: the repository of the image; by default that of the image that runs.
    aws: region, profile, role and account.
    timeout: of one call.
    """

    mover: ClassVar[str]
    cluster: str
    service: str
    container: str = ""
    image: str = ""
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        if problem := unheeded(self, self.mover):
            raise ValueError(problem)

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The service, which is moved by one entry only."""
        return frozenset({service_words(self.aws.region, self.cluster, self.service)})
