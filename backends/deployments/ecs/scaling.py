"""Application Auto Scaling of a service: its maximum caps a side, and its minimum brings one back that was retired."""

from typing import Any

from msgspec import Struct

from backends.aws.account import Account
from backends.aws.wire import told
from backends.deployments.ecs.wire import short_of
from backends.models import Finding

DIMENSION = "ecs:service:DesiredCount"
SUSPENDED = "tealdeck:scaling"
"""The tag of a service whose scaling a retirement suspended, and what was before: `in=no out=no scheduled=no`."""


class Suspended(Struct, frozen=True):
    """Which scaling activities do not happen."""

    DynamicScalingInSuspended: bool = False
    DynamicScalingOutSuspended: bool = False
    ScheduledScalingSuspended: bool = False

    @property
    def words(self) -> str:
        """As the tag has it."""
        named = zip(("in", "out", "scheduled"), self.all, strict=True)
        return " ".join(f"{name}={'yes' if on else 'no'}" for name, on in named)

    @property
    def all(self) -> tuple[bool, bool, bool]:
        """In, out, scheduled."""
        return self.DynamicScalingInSuspended, self.DynamicScalingOutSuspended, self.ScheduledScalingSuspended


class Scaled(Struct):
    """What is registered to be scaled."""

    MinCapacity: int = 0
    MaxCapacity: int = 0
    SuspendedState: Suspended = Suspended()


ALL = Suspended(DynamicScalingInSuspended=True, DynamicScalingOutSuspended=True, ScheduledScalingSuspended=True)


class Scaling:
    """Of the services of a cluster."""

    def __init__(self, account: Account, cluster: str) -> None:
        self._account = account
        self._cluster = short_of(cluster)

    async def of(self, service: str) -> Scaled | None:
        """None where nothing scales it. Raises BackendError."""
        answer = await self._account.read(
            "application-autoscaling", "describe_scalable_targets", **self._place(), ResourceIds=[self._id(service)]
        )
        found = told(answer.get("ScalableTargets", []), list[Scaled], self._account.where)
        return found[0] if found else None

    async def suspend(self, service: str, state: Suspended) -> None:
        """Let only happen what `state` does not suspend; limits and policies stay as they are. Raises BackendError."""
        flags: dict[str, Any] = {name: getattr(state, name) for name in Suspended.__struct_fields__}
        await self._account.write(
            "application-autoscaling", "register_scalable_target", **self._place(), ResourceId=self._id(service),
            SuspendedState=flags,
        )  # fmt: skip

    def _id(self, service: str) -> str:
        return f"service/{self._cluster}/{short_of(service)}"

    @staticmethod
    def _place() -> dict[str, str]:
        return {"ServiceNamespace": "ecs", "ScalableDimension": DIMENSION}


def findings(scaled: Scaled | None, service: str, color: str, needed: int) -> list[Finding]:
    """What scaling means for a side that has to be as large as `needed`."""
    if scaled is None:
        return []
    if scaled.MaxCapacity < needed:
        text = f"auto scaling keeps {color.upper()} at {scaled.MaxCapacity} at most, {needed} are needed"
        fix = f"raise the maximum of {short_of(service)}"
        return [Finding(level="block", code="autoscaler", text=text, fix=fix, overridable=True)]
    if scaled.MinCapacity > 0:
        text = f"auto scaling holds {color.upper()} at {scaled.MinCapacity} at least: a retirement suspends it"
        return [Finding(level="ok", code="autoscaler", text=text)]
    return []


def recorded(tag: str) -> Suspended | None:
    """What was suspended before a retirement, from its tag; None for a tag that says nothing."""
    pairs = dict(part.partition("=")[::2] for part in tag.split())
    if set(pairs) != {"in", "out", "scheduled"}:
        return None
    return Suspended(
        DynamicScalingInSuspended=pairs["in"] == "yes", DynamicScalingOutSuspended=pairs["out"] == "yes",
        ScheduledScalingSuspended=pairs["scheduled"] == "yes",
    )  # fmt: skip
