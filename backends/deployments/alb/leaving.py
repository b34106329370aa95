"""When a side that has no weight any more may be taken down: a load balancer keeps clients there for a while."""

from datetime import UTC, datetime

from msgspec import Struct

from backends.aws.account import Account
from backends.deployments.alb.marks import now
from backends.deployments.alb.places import Place
from backends.deployments.alb.preflight import DELAY, seconds_in
from backends.deployments.alb.rules import Rule, read_tags, sticky_s
from backends.errors import BackendError
from backends.times import away
from backends.together import together


async def read_attributes(account: Account, groups: dict[str, Place]) -> dict[str, dict[str, str]]:
    """Of each color's target group. Raises BackendError."""
    answers = await together(
        *(
            account.read("elbv2", "describe_target_group_attributes", TargetGroupArn=place.arn)
            for place in groups.values()
        )
    )
    return {
        color: {str(each.get("Key")): str(each.get("Value", "")) for each in answer.get("Attributes", ())}
        for color, answer in zip(groups, answers, strict=True)
    }


class Further(Struct, frozen=True):
    """What is told of the target groups and decides nothing: attributes by color, tags by ARN."""

    attributes: dict[str, dict[str, str]] = {}
    tags: dict[str, dict[str, str]] = {}


async def read_further(account: Account, groups: dict[str, Place]) -> Further:
    """Of each color's target group. Raises BackendError."""
    arns = [place.arn for place in groups.values()]
    return Further(*await together(read_attributes(account, groups), read_tags(account, arns)))


def refuse_while_clients_stay(rules: list[Rule], attributes: dict[str, str], color: str) -> None:
    """Raises BackendError(conflict) where clients of `color` may still be there: for the stickiness of the rules and
    the deregistration delay of its group, counted from the last write that has a mark."""
    marks = [mark.at for rule in rules if (mark := rule.mark) is not None]
    sticky, drain = sticky_s(rules), seconds_in(attributes, DELAY)
    until = max(marks, default=0) + max(sticky, drain)
    if not marks or now() >= until:
        return
    left = away(datetime.fromtimestamp(until, UTC))
    words = f"{color.upper()} may have clients for {left} more (stickiness {sticky} s, deregistration delay {drain} s)"
    raise BackendError("conflict", words, fix=f"retire it in {left}; or shorten them in AWS")
