"""What a VerticalPodAutoscaler would give each container of a workload.

Source: https://github.com/kubernetes/autoscaler/blob/master/vertical-pod-autoscaler/docs/api.md
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from backends.kubernetes.autoscalers import ScaleTarget
from backends.kubernetes.wire import Metadata
from backends.models import Health
from backends.text import clean

VERTICAL = (
    "autoscaling.k8s.io", ("v1", "v1beta2"), "VerticalPodAutoscaler", "verticalpodautoscalers",
    "the Vertical Pod Autoscaler",
)  # fmt: skip
_QUANTITY = re.compile(r"([0-9.]+)(?:e([0-9+-]+)|([numkMGTPE]i?|Ki)?)", re.IGNORECASE)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
Requests = Mapping[str, Mapping[str, Any]]
"""Quantities by container and resource."""


class Recommended(Struct, rename="camel"):
    """Of one container, by resource."""

    container_name: str = ""
    target: dict[str, Any] | None = None
    lower_bound: dict[str, Any] | None = None


class Recommendation(Struct, rename="camel"):
    """Of all of them."""

    container_recommendations: list[Recommended] | None = None


class VerticalStatus(Struct):
    """What it has found out."""

    recommendation: Recommendation | None = None


class UpdatePolicy(Struct, rename="camel"):
    """Whether it changes pods itself: Off, Initial, Recreate, InPlaceOrRecreate, Auto."""

    update_mode: str = "Auto"


class VerticalSpec(Struct, rename="camel"):
    """What it is of."""

    target_ref: ScaleTarget = field(default_factory=ScaleTarget)
    update_policy: UpdatePolicy | None = None


class VerticalAutoscaler(Struct):
    """autoscaling.k8s.io/v1 VerticalPodAutoscaler."""

    metadata: Metadata
    spec: VerticalSpec
    status: VerticalStatus | None = None

    @property
    def name(self) -> str:
        """Of the object."""
        return clean(self.metadata.name, 128)

    def scales(self, kind: str, name: str) -> bool:
        """Whether it is of that workload."""
        return (self.spec.target_ref.kind, self.spec.target_ref.name) == (kind, name)

    def told(self, requests: Requests) -> tuple[Health, str]:
        """What it recommends, beside what is asked for now, and who applies that."""
        found = (self.status.recommendation if self.status else None) or Recommendation()
        said = [_said(each, requests) for each in found.container_recommendations or ()]
        if not said:
            return "ok", "recommends nothing yet"
        low = [words for each in found.container_recommendations or () for words in _too_low(each, requests)]
        mode = clean(self.spec.update_policy.update_mode if self.spec.update_policy else "Auto", 32)
        applies = "only said (Off)" if mode == "Off" else f"applied by itself ({mode})"
        words = f"recommends {'; '.join(said)}; {applies}"
        return ("warning", f"{words}; {', '.join(low)}") if low else ("ok", words)


def _said(recommended: Recommended, requests: Requests) -> str:
    now = requests.get(recommended.container_name, {})
    parts = [
        f"{clean(key, 32)} {clean(str(value), 32)} (now {clean(str(now.get(key, 'none')), 32)})"
        for key, value in sorted((recommended.target or {}).items())
    ]
    return f"{clean(recommended.container_name, 64)} {', '.join(parts)}"


def _too_low(recommended: Recommended, requests: Requests) -> list[str]:
    now, found = requests.get(recommended.container_name, {}), []
    for key, bound in sorted((recommended.lower_bound or {}).items()):
        has, least = amount_of(now.get(key)), amount_of(bound)
        if has is not None and least is not None and has < least:
            found.append(f"{clean(key, 32)} is below the {clean(str(bound), 32)} that it needs at least")
    return found


def amount_of(quantity: object) -> float | None:
    """A quantity of Kubernetes (`250m`, `512Mi`, `1e3`) as a number; None for what is none."""
    found = _QUANTITY.fullmatch(str(quantity))
    if found is None or found[1].count(".") > 1 or found[1] == ".":
        return None
    number, exponent, unit = float(found[1]), found[2], found[3] or ""
    if exponent:
        return float(f"{found[1]}e{exponent}") if re.fullmatch(r"[+-]?\d{1,3}", exponent) else None
    if unit in _BINARY:
        return float(number * 1024 ** _BINARY[unit])
    return float(number * 10 ** _DECIMAL.get(unit, 0)) if not unit or unit in _DECIMAL else None
