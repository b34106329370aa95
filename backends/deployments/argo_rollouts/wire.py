"""The objects of Argo Rollouts (argoproj.io/v1alpha1) and its ReplicaSets, with the fields that are read of them.

Source: https://argo-rollouts.readthedocs.io/en/stable/features/specification/
"""

from datetime import datetime
from typing import Any

from msgspec import Struct, field

from backends.images import image_version
from backends.kubernetes.wire import Condition, LabelSelector, Metadata
from backends.text import clean

HASH = "rollouts-pod-template-hash"
REVISION = "rollout.argoproj.io/revision"


class PauseCondition(Struct, rename="camel"):
    """Why the controller waits: BlueGreenPause, CanaryPauseStep, InconclusiveAnalysisRun."""

    reason: str = ""
    start_time: datetime | None = None


class BlueGreen(Struct, rename="camel"):
    """The strategy: the Service of users moves at once."""

    active_service: str = ""
    preview_service: str = ""
    auto_promotion_enabled: bool = True
    auto_promotion_seconds: int = 0
    scale_down_delay_seconds: int = 30
    pre_promotion_analysis: dict[str, Any] | None = None
    post_promotion_analysis: dict[str, Any] | None = None


class Canary(Struct, rename="camel"):
    """The strategy: traffic moves in steps."""

    steps: list[dict[str, Any]] | None = None
    stable_service: str = ""
    canary_service: str = ""
    traffic_routing: dict[str, Any] | None = None
    analysis: dict[str, Any] | None = None


class Strategy(Struct, rename="camel"):
    """One of them."""

    blue_green: BlueGreen | None = None
    canary: Canary | None = None


class WorkloadRef(Struct):
    """Whose template is used."""

    kind: str = ""
    name: str = ""


class RollbackWindow(Struct):
    """How far back an undo runs no steps."""

    revisions: int = 0


class RolloutSpec(Struct, rename="camel"):
    """As it is wanted."""

    replicas: int = 1
    paused: bool = False
    restart_at: str = ""
    template: dict[str, Any] | None = None
    workload_ref: WorkloadRef | None = None
    strategy: Strategy = field(default_factory=Strategy)
    rollback_window: RollbackWindow | None = None
    selector: LabelSelector = field(default_factory=LabelSelector)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Of the canary strategy."""
        return (self.strategy.canary.steps if self.strategy.canary else None) or []


class BlueGreenStatus(Struct, rename="camel"):
    """Which ReplicaSet the Services choose."""

    active_selector: str = ""
    preview_selector: str = ""


class Weight(Struct, rename="camel"):
    """Of one side."""

    pod_template_hash: str = ""
    weight: int = 0


class Weights(Struct):
    """As the controller has set them; `verified` where it looked at the load balancer."""

    canary: Weight = field(default_factory=Weight)
    stable: Weight = field(default_factory=Weight)
    verified: bool | None = None


class CanaryStatus(Struct, rename="camel"):
    """How far it is."""

    weights: Weights | None = None
    current_experiment: str = ""


class RolloutStatus(Struct, rename="camel"):
    """As it is. `observed_generation` is text; a hash is the label of a ReplicaSet."""

    phase: str = ""
    message: str = ""
    observed_generation: str = ""
    current_pod_hash: str = ""
    stable_rs: str = field(name="stableRS", default="")
    current_step_index: int | None = None
    pause_conditions: list[PauseCondition] | None = None
    controller_pause: bool = False
    abort: bool = False
    aborted_at: datetime | None = None
    promote_full: bool = False
    restarted_at: str = ""
    blue_green: BlueGreenStatus = field(default_factory=BlueGreenStatus)
    canary: CanaryStatus = field(default_factory=CanaryStatus)
    conditions: list[Condition] | None = None


class Rollout(Struct):
    """argoproj.io/v1alpha1 Rollout."""

    metadata: Metadata
    spec: RolloutSpec
    status: RolloutStatus = field(default_factory=RolloutStatus)

    @property
    def is_seen(self) -> bool:
        """Whether the controller has seen the newest spec."""
        return self.status.observed_generation == str(self.metadata.generation)


class ReplicaSetSpec(Struct):
    """As it is wanted."""

    template: dict[str, Any]
    replicas: int = 1


class ReplicaSetStatus(Struct, rename="camel"):
    """As it is."""

    ready_replicas: int = 0
    available_replicas: int = 0


class ReplicaSet(Struct):
    """apps/v1 ReplicaSet: one template of the Rollout."""

    metadata: Metadata
    spec: ReplicaSetSpec
    status: ReplicaSetStatus = field(default_factory=ReplicaSetStatus)

    @property
    def hash(self) -> str:
        """Its label, by which the Rollout names it."""
        return self.metadata.label(HASH)

    @property
    def revision(self) -> int:
        """The number of the change that it was last wanted by; 0 where nobody noted that."""
        noted = self.metadata.annotation(REVISION)
        return int(noted) if noted.isascii() and noted.isdecimal() else 0

    @property
    def is_up(self) -> bool:
        """It runs as many pods as it should, and some."""
        return 0 < self.spec.replicas <= self.status.available_replicas


def containers_of(template: dict[str, Any] | None) -> list[tuple[str, str]]:
    """(name, image) of each container of a template for pods."""
    spec = (template or {}).get("spec")
    listed = spec.get("containers") if isinstance(spec, dict) else None
    found = [each for each in listed or () if isinstance(each, dict)]
    return [(str(each.get("name", "")), str(each.get("image", ""))) for each in found]


def version_of(template: dict[str, Any] | None, container: str) -> str | None:
    """The version that a template runs: of the container of that name, empty for the first."""
    images = [image for name, image in containers_of(template) if container in ("", name)]
    return image_version(images[0]) if images else None


def without_hash(template: dict[str, Any]) -> dict[str, Any]:
    """The template of a ReplicaSet as a Rollout has it: without the label that the controller adds."""
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": metadata}


def step_words(step: dict[str, Any]) -> str:
    """`setWeight 25`, `pause 5m`, `analysis`."""
    name, told = next(iter(step.items()), ("an empty step", None))
    if name == "pause":
        duration = told.get("duration") if isinstance(told, dict) else None
        return f"pause {clean(str(duration), 16)}" if duration is not None else "pause"
    return f"{clean(name, 32)} {told}" if isinstance(told, int) else clean(name, 32)


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def pause_seconds(step: dict[str, Any]) -> float | None:
    """How long a pause step lasts; None where it waits for somebody, or is none."""
    told = step.get("pause")
    duration = told.get("duration") if isinstance(told, dict) else None
    words = "" if duration is None else str(duration)
    unit = _UNITS.get(words[-1:], 0.0)
    number = words[:-1] if unit else words
    return float(number) * (unit or 1.0) if number.isascii() and number.isdecimal() else None
