"""The nodes that pods run on, and what they are short of.

Source: https://kubernetes.io/docs/reference/node/node-status/
"""

from msgspec import Struct, field

from backends.kubernetes.wire import Condition, Metadata
from backends.text import clean

_PRESSURE = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


class NodeSpec(Struct):
    """`unschedulable`: somebody keeps new pods from it (`kubectl cordon`, a drain)."""

    unschedulable: bool = False


class NodeStatus(Struct):
    """As its kubelet says."""

    conditions: list[Condition] | None = None


class Node(Struct):
    """v1."""

    metadata: Metadata
    spec: NodeSpec = field(default_factory=NodeSpec)
    status: NodeStatus = field(default_factory=NodeStatus)

    @property
    def trouble(self) -> str:
        """Pressure, not ready, or closed for new pods, in words; empty where it is well."""
        conditions = {each.type: each for each in self.status.conditions or ()}
        found = [kind for kind in _PRESSURE if kind in conditions and conditions[kind].status == "True"]
        ready = conditions.get("Ready")
        if ready is not None and ready.status != "True":
            found.insert(0, f"not ready ({clean(ready.reason, 64) or 'no reason said'})")
        return ", ".join([*found, *(["takes no new pods (cordoned)"] if self.spec.unschedulable else [])])
