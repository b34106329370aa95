"""Who changes by itself how many pods a workload has, or how large they are.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/
"""

from typing import Any

import msgspec
from msgspec import Struct, field

from backends.json_text import decode_text
from backends.kubernetes.wire import Condition, Metadata
from backends.models import Health
from backends.text import clean, first_line

AUTOSCALING = ("autoscaling", ("v2", "v2beta2", "v1"), "HorizontalPodAutoscaler", "horizontalpodautoscalers")
_KEPT_IN_V1 = "autoscaling.alpha.kubernetes.io/conditions"


class ScaleTarget(Struct):
    """What an autoscaler scales."""

    kind: str = ""
    name: str = ""


class Value(Struct, rename="camel"):
    """What a metric should be, or is: one of them; the first in percent, the others as quantities."""

    average_utilization: int | None = None
    average_value: str | int | None = None
    value: str | int | None = None

    @property
    def words(self) -> str:
        """`80 %`, `12 a pod`, `300`; `?` where nobody measured it."""
        if self.average_utilization is not None:
            return f"{self.average_utilization} %"
        if self.average_value is not None:
            return f"{clean(str(self.average_value), 32)} a pod"
        return "?" if self.value is None else clean(str(self.value), 32)


class MetricName(Struct):
    """Of a metric that somebody made."""

    name: str = ""


class Measured(Struct):
    """A metric with its target, or with what it is now; `name` is that of a resource."""

    name: str = ""
    container: str = ""
    metric: MetricName = field(default_factory=MetricName)
    target: Value = field(default_factory=Value)
    current: Value = field(default_factory=Value)

    @property
    def words(self) -> str:
        """How people call it."""
        name = clean(self.name or self.metric.name, 64)
        return f"{name} of container {clean(self.container, 64)}" if self.container else name


class Metric(Struct, rename="camel"):
    """One of them is set, by its `type`."""

    type: str = ""
    resource: Measured | None = None
    container_resource: Measured | None = None
    pods: Measured | None = None
    object: Measured | None = None
    external: Measured | None = None

    @property
    def measured(self) -> Measured:
        """That one."""
        found = self.resource or self.container_resource or self.pods or self.object or self.external
        return found or Measured(name=self.type)


class AutoscalerSpec(Struct, rename="camel"):
    """Its limits, and what it aims at: `metrics`, in v1 a share of the CPU alone."""

    scale_target_ref: ScaleTarget
    max_replicas: int
    min_replicas: int | None = None
    metrics: list[Metric] | None = None
    cpu: int | None = field(name="targetCPUUtilizationPercentage", default=None)


class AutoscalerStatus(Struct, rename="camel"):
    """What it sees and wants."""

    current_replicas: int = 0
    desired_replicas: int = 0
    current_metrics: list[Metric] | None = None
    conditions: list[Condition] | None = None
    cpu: int | None = field(name="currentCPUUtilizationPercentage", default=None)


class Autoscaler(Struct):
    """HorizontalPodAutoscaler of autoscaling/v2, v2beta2 or v1."""

    metadata: Metadata
    spec: AutoscalerSpec
    status: AutoscalerStatus = field(default_factory=AutoscalerStatus)

    def scales(self, kind: str, name: str) -> bool:
        """Whether it is of that workload."""
        return (self.spec.scale_target_ref.kind, self.spec.scale_target_ref.name) == (kind, name)

    @property
    def name(self) -> str:
        """Of the object."""
        return clean(self.metadata.name, 128)

    @property
    def least(self) -> int:
        """How few it may leave; the API server takes 1 where nothing is said."""
        return 1 if self.spec.min_replicas is None else self.spec.min_replicas

    @property
    def numbers(self) -> dict[str, int]:
        """Replicas: current, desired, min, max."""
        status = self.status
        return {
            "current": status.current_replicas, "desired": status.desired_replicas, "min": self.least,
            "max": self.spec.max_replicas,
        }  # fmt: skip

    @property
    def told(self) -> tuple[Health, str]:
        """How it does, and what it wants, by which metrics, held by what."""
        status, spec = self.status, self.spec
        words = f"{status.current_replicas} of {status.desired_replicas} wanted, {self.least} to {spec.max_replicas}"
        words = "; ".join([words, *self._metrics()])
        conditions = {each.type: each for each in self._conditions()}
        if (each := conditions.get("AbleToScale")) is not None and each.status == "False":
            return "warning", f"{words}; can not scale: {_why(each)}"
        if (each := conditions.get("ScalingActive")) is not None and each.status == "False":
            if each.reason == "ScalingDisabled":
                return "ok", f"{words}; off while it is scaled to zero"
            return "warning", f"{words}; can not measure: {_why(each)}"
        if (each := conditions.get("ScalingLimited")) is not None and each.status == "True":
            if each.reason == "TooManyReplicas":
                return "warning", f"{words}; held at its maximum of {spec.max_replicas}, it would have more"
            if each.reason == "TooFewReplicas":
                return "ok", f"{words}; held at its minimum of {self.least}, it would have fewer"
            return "ok", f"{words}; limited: {_why(each)}"
        return "ok", words

    def _metrics(self) -> list[str]:
        spec, status = self.spec, self.status
        now = {(each.type, each.measured.words): each.measured.current for each in status.current_metrics or ()}
        found = [
            f"{each.measured.words} {now.get((each.type, each.measured.words), Value()).words}"
            f" (target {each.measured.target.words})"
            for each in spec.metrics or ()
        ]
        if spec.cpu is not None:
            is_ = "?" if status.cpu is None else f"{status.cpu} %"
            found.append(f"cpu {is_} (target {spec.cpu} %)")
        return found

    def _conditions(self) -> list[Condition]:
        """In v1 they are an annotation."""
        if self.status.conditions is not None:
            return self.status.conditions
        kept: Any = self.metadata.annotation(_KEPT_IN_V1)
        try:
            return decode_text(kept, list[Condition]) if kept else []
        except msgspec.DecodeError:
            return []


def _why(condition: Condition) -> str:
    reason, message = clean(condition.reason, 64), clean(first_line(condition.message), 200)
    return f"{reason}: {message}" if message else reason
