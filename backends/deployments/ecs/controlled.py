"""What the entries of both controllers of an ECS service share, whether ECS or CodeDeploy moves its traffic."""

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from backends.aws.access import AwsAccess
from backends.deployments.common import DeploymentConfig
from backends.deployments.controlled import unheeded
from backends.deployments.ecs.wire import service_words
from backends.models import Finding
from backends.settings import Duration


class ControlledConfig(DeploymentConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service that `mover` moves.

    cluster: the name or ARN of the service's cluster.
    service: the name of the service.
    container: whose image is the version; by default the one behind the load balancer.
    image: the repository of the image; by default that of the image that runs.
    preview: where a fresh request reaches the new version by the test listener before it has traffic, and names its
        version as `probe` does. `smoke` gets its base URL.
    aws: region, profile, role and account.
    timeout: of one call.
    """

    mover: ClassVar[str]
    cluster: str
    service: str
    container: str = ""
    image: str = ""
    preview: str = ""
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        if self.preview and not self.preview.startswith(("http://", "https://")):
            raise ValueError("preview: it begins with http:// or https://")
        if self.smoke and not self.preview:
            raise ValueError("smoke: it needs `preview`, the URL at the test listener where the new version answers")
        if problem := unheeded(self, self.mover, heeded=self.heeds):
            raise ValueError(problem)

    @property
    def heeds(self) -> Collection[str]:
        """The keys of commands that count: a smoke test does where the test listener reaches what it tests."""
        return ("smoke", "env") if self.smoke else ()

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The service, which is moved by one entry only."""
        return frozenset({service_words(self.aws.region, self.cluster, self.service)})


def smoke_findings(smoke: tuple[str, ...], *, listener: bool, waits: bool, of: str, pause: str) -> list[Finding]:
    """Why a smoke test could not be run before traffic moves; nothing where it can. `of`: who would listen, `pause`:
    the wait in which it runs."""
    found = []
    if smoke and not listener:
        text = f"smoke: {of} has no test listener: nothing reaches the new version before its traffic"
        found.append(Finding.block("smoke", text, f"add one to {of}; or leave out `smoke`"))
    if smoke and not waits:
        text = f"smoke: nothing waits for it: traffic would move before a test could end ({pause})"
        found.append(Finding.block("smoke", text, f"add {pause}; or leave out `smoke`"))
    return found
