"""How many pods of a workload may be taken away on purpose.

Source: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/pod-disruption-budget-v1/
"""

from collections.abc import Mapping

from msgspec import Struct, field

from backends.kubernetes.wire import Condition, LabelSelector, Metadata
from backends.models import Health
from backends.text import clean, first_line

BUDGETS = ("policy", ("v1", "v1beta1"), "PodDisruptionBudget", "poddisruptionbudgets")


class BudgetSpec(Struct, rename="camel"):
    """Whose pods, and how many must stay, or may go: a number or percent."""

    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class BudgetStatus(Struct, rename="camel"):
    """How many there are."""

    current_healthy: int = 0
    desired_healthy: int = 0
    disruptions_allowed: int = 0
    expected_pods: int = 0
    conditions: list[Condition] | None = None


class Budget(Struct, rename="camel"):
    """PodDisruptionBudget of policy/v1 or v1beta1."""

    metadata: Metadata
    spec: BudgetSpec
    status: BudgetStatus = field(default_factory=BudgetStatus)

    @property
    def name(self) -> str:
        """Of the object."""
        return clean(self.metadata.name, 128)

    def protects(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels is one of its own."""
        return self.spec.selector is not None and self.spec.selector.chooses(labels)

    @property
    def numbers(self) -> dict[str, int]:
        """Pods: healthy, needed, expected, and how many may go now."""
        status = self.status
        return {
            "healthy": status.current_healthy, "needed": status.desired_healthy, "expected": status.expected_pods,
            "allowed": status.disruptions_allowed,
        }  # fmt: skip

    @property
    def told(self) -> tuple[Health, str]:
        """How many may go now; a warning where a drain of a node waits for it."""
        status, spec = self.status, self.spec
        limit = f"at least {spec.min_available} stay" if spec.min_available is not None else "at most 1 goes"
        if spec.max_unavailable is not None:
            limit = f"at most {spec.max_unavailable} go"
        words = f"{status.current_healthy} of {status.expected_pods} healthy, {limit}"
        unknown = next((each for each in status.conditions or () if each.reason == "SyncFailed"), None)
        if unknown is not None:
            return "unknown", f"{words}; its controller can not tell: {clean(first_line(unknown.message), 200)}"
        if status.expected_pods == 0:
            return "ok", f"{words}; no pods"
        if status.disruptions_allowed:
            return "ok", f"{words}; {status.disruptions_allowed} may be evicted now"
        return "warning", f"{words}; none may be evicted now: a drain of a node waits"
