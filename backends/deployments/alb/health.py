"""The targets of each color's group, and what their state means.

A load balancer that has no healthy target in a group sends to all of them ("fails open"), and does not take its weight
away: whoever gives weight has to look first.
API: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html
"""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from backends.aws.account import Account
from backends.deployments.alb.places import Place
from backends.errors import BackendError
from backends.models import ColorState, TruthLayer
from backends.text import clean

_SHOWN = 3
_UNATTACHED = "Target.NotInUse"
_WORDS = {
    "initial": "is being registered",
    "draining": "is draining: it is leaving the group",
    "unhealthy": "is unhealthy",
    "unhealthy.draining": "is unhealthy and draining",
    "unavailable": "is not checked: health checks are off",
    _UNATTACHED: "is not checked: no rule forwards to its group",
    "Target.InvalidState": "is stopped",
    "Target.NotRegistered": "is not registered",
    "Target.IpUnusable": "has an address that can not be used",
}


class Target(Struct, frozen=True):
    """One of a group: `id:port`, and its state with the reason, as AWS calls them."""

    name: str
    state: str
    reason: str = ""
    said: str = ""

    @property
    def words(self) -> str:
        """What that means."""
        known = _WORDS.get(self.reason) or _WORDS.get(self.state) or f"is {self.state}"
        said = f" ({self.said})" if self.said and self.state == "unhealthy" else ""
        return f"{self.name} {known}{said}"


class Group(Struct, frozen=True, kw_only=True):
    """A color's target group, seen at `at`. `problem`: why it could not be."""

    place: Place
    at: datetime
    targets: tuple[Target, ...] = ()
    problem: str = ""

    @property
    def healthy(self) -> int:
        """How many take requests."""
        return sum(target.state == "healthy" for target in self.targets)

    @property
    def registered(self) -> int:
        """How many are there, and not leaving."""
        return sum(target.state not in ("draining", "unhealthy.draining") for target in self.targets)

    @property
    def is_attached(self) -> bool:
        """Whether some rule forwards to it, as far as its targets tell."""
        return not any(target.reason == _UNATTACHED for target in self.targets)

    @property
    def words(self) -> str:
        """`2 of 3 targets healthy: 10.0.0.7:8080 is draining: …`."""
        if self.problem:
            return self.problem
        bad = [target.words for target in self.targets if target.state != "healthy"]
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        counted = f"{self.healthy} of {self.registered} targets healthy"
        return f"{counted}: {', '.join(bad[:_SHOWN])}{more}" if bad else counted

    def state(self, min_healthy: int) -> ColorState:
        """As a side: healthy with enough targets; not known where it could not be seen or nothing is checked."""
        if self.problem:
            return ColorState(healthy=None, detail=self.problem)
        unchecked = any(target.state == "unavailable" for target in self.targets)
        healthy = None if unchecked and self.healthy < min_healthy else self.healthy >= min_healthy
        detail = self.words if self.targets else f"no target is registered in {self.place.name}"
        if 0 < self.healthy < min_healthy:
            detail = f"{detail}; min_healthy is {min_healthy}"
        return ColorState(ready=self.healthy, desired=self.registered, healthy=healthy, detail=detail)


async def read_group(account: Account, place: Place) -> Group:
    """The targets now. Raises BackendError; `not_found` names the key of the config."""
    try:
        answer = await account.read("elbv2", "describe_target_health", TargetGroupArn=place.arn)
    except BackendError as error:
        if error.kind != "not_found":
            raise
        fix = "correct `target_groups` of the deployment, or region, account and profile under `aws`"
        words = f"{error.message} ({clean(place.arn, 200)})"
        raise BackendError("not_found", words, fix=fix, status=error.status) from None
    targets = tuple(_target(each) for each in answer.get("TargetHealthDescriptions", ()))
    return Group(place=place, at=datetime.now(UTC), targets=targets)


def endpoints_of(weights: dict[str, int], groups: dict[str, Group], min_healthy: int, live: str) -> TruthLayer:
    """What is behind the shares: their color where each group that has a share has enough healthy targets. As old as
    the older of the looks."""
    at = min(group.at for group in groups.values())
    taking = [groups[color] for color, weight in weights.items() if weight > 0]
    proven = bool(taking) and all(not group.problem and group.healthy >= min_healthy for group in taking)
    age_s = (datetime.now(UTC) - at).total_seconds()
    seen = f"   ({age_s:.0f} s ago)" if age_s >= 1 else ""
    words = "   ".join(f"{color.upper()} {group.words}" for color, group in groups.items())
    ready = sum(group.healthy for group in taking) if taking else None
    return TruthLayer(value=live if proven else "unknown", detail=f"{words}{seen}", at=at, ready=ready)


def side_of(own: ColorState, told: ColorState, *, speaks: bool) -> ColorState:
    """A side by `own`, its targets, and `told`, its own word where it `speaks`: each can say no, and only both say
    yes."""
    if not speaks:
        return replace(
            own, weight_pct=told.weight_pct, rps=told.rps, requests=told.requests, failed=told.failed,
            error_pct=told.error_pct, p95_ms=told.p95_ms, rates_pending=told.rates_pending,
        )  # fmt: skip
    healthy = told.healthy if own.healthy else own.healthy
    if own.healthy is None and told.healthy is False:
        healthy = False
    return replace(told, healthy=healthy, ready=own.ready, desired=own.desired, detail=f"{told.detail}, {own.detail}")


def refuse_a_side_that_is_down(
    groups: dict[str, Group], before: dict[str, int], weights: dict[str, int], min_healthy: int
) -> None:
    """Raises BackendError(conflict) where one that gains traffic has too few healthy targets."""
    for color, group in groups.items():
        if weights[color] > before.get(color, 0) and group.healthy < min_healthy:
            words = f"{color.upper()} has {group.words}, at least {min_healthy} wanted: no traffic is sent there"
            raise BackendError("conflict", words, fix=f"make {color.upper()} healthy first")


def _target(answer: dict[str, Any]) -> Target:
    target, health = answer.get("Target", {}), answer.get("TargetHealth", {})
    port = f":{target['Port']}" if target.get("Port") else ""
    return Target(
        name=clean(f"{target.get('Id', '')}{port}", 80), state=clean(str(health.get("State", "")), 40) or "unknown",
        reason=clean(str(health.get("Reason") or ""), 60), said=clean(str(health.get("Description") or ""), 120),
    )  # fmt: skip
