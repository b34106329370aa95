"""The selector of a Service as the switch: the color in it."""

from typing import Any

import msgspec

from backends.deployments.kubernetes.control import Shares, Weights
from backends.deployments.kubernetes.owners import APPLIED, ROLLOUTS_MARK, Field, owners
from backends.deployments.kubernetes.sides import Chosen, Sides
from backends.json_text import decode_text
from backends.kubernetes.api import FIELD_MANAGER, KubernetesApi
from backends.kubernetes.patches import Operation, operation
from backends.kubernetes.wire import Service
from backends.models import Finding, TruthLayer
from backends.ports import SwitchState
from backends.text import clean

_FIX = "put its selector right by hand"


class ServiceSelector:
    """The `ControlObject` of one Service whose selector has the color under `label`."""

    kind = "service"
    can_split = False
    rights: tuple[tuple[str, str, str], ...] = (
        ("get", "", "services"), ("patch", "", "services"), ("list", "", "pods"),
    )  # fmt: skip
    chooses = "color_label"
    behind = ("the new selector", "the old")
    unread = "selector"

    def __init__(self, api: KubernetesApi, name: str, label: str, colors: tuple[str, ...]) -> None:
        self._api = api
        self.name = name
        self.words = f"Service {name}"
        self._label = label
        self._colors = colors

    async def path(self) -> str:
        """Of the Service."""
        return await self._api.path("v1", "services", self.name)

    async def read(self) -> Service:
        """The Service now. Raises BackendError."""
        return await self._api.get(await self.path(), Service)

    def shares(self, found: Service) -> Shares:
        """All to the color of the selector; nothing where it names no single one."""
        selector = found.spec.selector or {}
        color = selector.get(self._label)
        detail = ""
        if found.spec.type == "ExternalName":
            detail = "it is of type ExternalName: its selector chooses nothing"
        elif not selector:
            detail = "its selector is empty: it chooses no pods"
        elif color is None:
            detail = f'its selector has no "{self._label}": pods of every color match'
        elif color not in self._colors:
            detail = f"its selector says {self._label}={clean(color, 64)}, which is no color here"
        if detail:
            return Shares(weights={}, detail=f"{detail}\n{_FIX}")
        return Shares(weights={one: 100 if one == color else 0 for one in self._colors})

    def revision(self, found: Service) -> list[Any]:
        """Changes with every write to the selector, and not with those to anything else. The version of the whole
        object does, and would make a conflict of a label that a controller adds; it has to do where nobody notes who
        wrote what."""
        metadata = found.metadata
        # Our own writes are told by their stamps: the note that an action is over moves the time of our entry too.
        writers = [
            [entry.manager, entry.operation, "" if entry.manager == FIELD_MANAGER else str(entry.time)]
            for entry in metadata.managed_fields or ()
            if entry.owns("spec", "selector")
        ]
        return [found.spec.selector, sorted(writers) or metadata.resource_version]

    def tests(self, found: Service) -> list[Operation]:
        """The whole selector."""
        return [operation("test", ("spec", "selector"), found.spec.selector)]

    def change(self, found: Service, weights: Weights, back_to: dict[str, Weights]) -> list[Operation]:
        """The color in the selector."""
        return self.by_hand(found, weights)

    def by_hand(self, found: Service | None, weights: Weights) -> list[Operation]:
        """The same, whatever is there."""
        color = SwitchState(weights=weights, revision="").live
        return [operation("replace", ("spec", "selector", self._label), color)]

    def says(self, state: SwitchState) -> str:
        """The selector."""
        return f"selector {self._label}={state.live}"

    def moves(self, before: SwitchState, to: str) -> str:
        """The selector."""
        return f"selector {self._label}: {before.live} → {to}"

    async def chosen(self, found: Service, color: str) -> Chosen:
        """What the Service would choose were its selector on `color`: by the whole of it, not by the color alone."""
        return Chosen(service=self.name, labels=(found.spec.selector or {}) | {self._label: color})

    async def endpoints(self, found: Service, sides: Sides, weights: Weights) -> TruthLayer:
        """Whose pods the Service reaches."""
        return await sides.behind_one(self.name, {color: await self.chosen(found, color) for color in self._colors})

    async def ready(self, sides: Sides, chosen: Chosen) -> int:
        """Pods: the endpoints of a color without traffic come with its traffic."""
        return sum(pod.is_ready for pod in await sides.pods(chosen))

    async def before_write(self, found: Service, gaining: tuple[str, ...]) -> None:
        """Nothing."""

    async def findings(self, found: Service, sides: Sides, behind: dict[str, Chosen]) -> list[Finding]:
        """What else answers behind the Service, and who else writes its selector."""
        field = Field(
            what=self.words, called="the color in the selector", path=("spec", "selector", self._label),
            whole="the selector", pointer="/spec/selector", name=f"service {self.name}",
        )  # fmt: skip
        if found.metadata.annotation(ROLLOUTS_MARK) or "rollouts-pod-template-hash" in (found.spec.selector or {}):
            text = f"{self.words} belongs to an Argo Rollouts Rollout, which writes its selector"
            return [Finding.block("owner", text, "drive the Rollout: promote or abort it")]
        return [*await sides.strangers(self.name, behind), *owners(found.metadata, field, self._applied(found))]

    def _applied(self, found: Service) -> str:
        """What the next client-side `kubectl apply` of the same file puts back; empty for nothing."""
        try:
            applied = decode_text(found.metadata.annotation(APPLIED) or b"{}", Service)
        except msgspec.DecodeError:
            return ""
        color = clean((applied.spec.selector or {}).get(self._label, ""), 64)
        return f"last to {color.upper()}\ntake {self._label} out of what is applied" if color else ""
