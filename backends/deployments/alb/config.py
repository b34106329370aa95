"""What an entry of `alb` says: which rules and default actions are moved, between which target groups."""

from pathlib import Path

from msgspec import field

from backends.aws.access import AwsAccess
from backends.deployments.alb.places import Place, place_of
from backends.deployments.common import DeploymentConfig, colors_problem
from backends.settings import Duration
from backends.text import clean


class AlbConfig(DeploymentConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules and default actions of an Application Load Balancer, and a target group for each of two colors.

    rules: the ARNs of the listener rules that are moved.
    listeners: the ARNs of the listeners whose default action is moved.
    target_groups: the ARN of each color's target group, which gives the colors their names.
    min_healthy: a side with fewer healthy targets gets no traffic.
    aws: region, profile, role and account.
    timeout: of one call.
    """

    rules: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()
    target_groups: dict[str, str] = field(default_factory=dict)
    min_healthy: int = 1
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if not self.rules and not self.listeners:
            raise ValueError("rules or listeners: at least one ARN of what moves the traffic")
        if len(self.target_groups) != 2:
            raise ValueError(f"target_groups: two, one for each color (there are {len(self.target_groups)})")
        if self.min_healthy < 1:
            raise ValueError("min_healthy: at least 1: an ALB without a healthy target sends to all of them")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        everything = [*self.places, *self.group_places.values()]
        for place in everything:
            if sum(place.arn == other.arn for other in everything) > 1:
                raise ValueError(f"{clean(place.arn, 120)}: named twice")
            for key, own, wanted in (
                ("region", place.region, self.aws.region or everything[0].region),
                ("account", place.account, self.aws.account or everything[0].account),
            ):
                if own != wanted:
                    raise ValueError(f"{clean(place.arn, 120)}: of {key} {own}, and the rest is of {wanted}")
        if problem := colors_problem(self.health, self.target_groups, "target_groups"):
            raise ValueError(problem)

    @property
    def places(self) -> tuple[Place, ...]:
        """What is written. Raises ValueError for an ARN that is none."""
        rules = (place_of("rules", arn, "listener-rule") for arn in self.rules)
        return (*rules, *(place_of("listeners", arn, "listener") for arn in self.listeners))

    @property
    def group_places(self) -> dict[str, Place]:
        """The target group of each color. Raises ValueError for an ARN that is none."""
        return {
            color: place_of(f"target_groups.{color}", arn, "targetgroup") for color, arn in self.target_groups.items()
        }

    @property
    def colors(self) -> tuple[str, ...]:
        """As the target groups are called."""
        return tuple(self.target_groups)

    def writes(self, base_dir: Path) -> frozenset[str]:
        """As the shared settings say: each rule, and each default action."""
        return frozenset(place.arn for place in self.places)
