"""What else decides how the sides of a service run: autoscalers, disruption budgets, the nodes below them.

Read when somebody looks at the service or plans on it, never with each refresh of an overview. What may not be read, or
is not installed, is a line that says so; the others are there all the same.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeVar
from urllib.parse import quote

from msgspec import Struct

from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.autoscalers import AUTOSCALING, Autoscaler
from backends.kubernetes.budgets import BUDGETS, Budget
from backends.kubernetes.custom import CustomKind
from backends.kubernetes.nodes import Node
from backends.kubernetes.vertical import VERTICAL, VerticalAutoscaler
from backends.kubernetes.wire import Pod
from backends.models import Finding, RunCondition
from backends.text import clean, counted
from backends.together import few_at_a_time, together

T = TypeVar("T")

MOST_NODES = 30
_NODES_AT_ONCE = 8
_HASHES = {"pod-template-hash": "Deployment", "rollouts-pod-template-hash": "Rollout"}


class Runs(Struct, frozen=True, kw_only=True):
    """What carries one color (empty: all): its workloads as (kind, name), where, and the pods that it has now.
    `labels`: of its pods, where there are none at the moment."""

    color: str
    workloads: tuple[tuple[str, str], ...]
    pods: Sequence[Pod] = ()
    labels: dict[str, str] = {}
    namespace: str = ""

    @property
    def carries(self) -> tuple[tuple[str, str], ...]:
        """Its workloads, with those that its pods are of."""
        return tuple(dict.fromkeys([*self.workloads, *filter(None, map(workload_of, self.pods))]))

    @property
    def requests(self) -> dict[str, dict[str, object]]:
        """What each container of its newest pod asks for."""
        containers = self.pods[-1].spec.containers if self.pods else []
        return {each.name: (each.resources.requests if each.resources else None) or {} for each in containers}


def workload_of(pod: Pod) -> tuple[str, str] | None:
    """What made it, as (kind, name); of a ReplicaSet what made that, by its name and the hash that ends it."""
    owner = next((each for each in pod.metadata.owner_references or () if each.controller), None)
    if owner is None or owner.kind != "ReplicaSet":
        return (owner.kind, owner.name) if owner else None
    for label, kind in _HASHES.items():
        ending = f"-{pod.metadata.label(label)}"
        if len(ending) > 1 and owner.name.endswith(ending):
            return kind, owner.name.removesuffix(ending)
    return owner.kind, owner.name


class RunConditions:
    """Those of one cluster. Reads only."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._autoscalers = CustomKind(api, *AUTOSCALING)
        self._vertical = CustomKind(api, *VERTICAL)
        self._budgets = CustomKind(api, *BUDGETS)

    async def of(self, sides: Sequence[Runs]) -> tuple[RunCondition, ...]:
        """All that is known, side by side. Never raises BackendError."""
        found = await together(
            self._told("autoscaler", "autoscalers", self._scaled(sides)),
            self._told("vertical-autoscaler", "recommendations of a size", self._recommended(sides)),
            self._told("disruption-budget", "disruption budgets", self._budgeted(sides)),
            self._told("node", "whether a node is under pressure", self._on_nodes(sides)),
        )
        return tuple(each for part in found for each in part)

    async def limits(self, to: str, live: str, needed: int, *, gains: str, loses: str) -> list[Finding]:
        """Whether autoscalers let the Deployment `to` of color `gains` be as large as it has to be, and keep it so:
        `needed` pods carry the traffic now, of the Deployment `live` (empty: not known) of color `loses`. Never raises
        BackendError: what is not known is warned of."""
        side = gains.upper()
        try:
            found = await self._autoscalers.all_as(Autoscaler)
        except BackendError as error:
            text = f"whether an autoscaler limits {side} is not known: {error.message}"
            return [Finding(level="warning", code="autoscaler", text=text, fix=_fix(error, "horizontalpodautoscalers"))]
        wanted = max([needed, *(each.status.desired_replicas for each in found if each.scales("Deployment", live))])
        for each in found:
            if not each.scales("Deployment", to):
                continue
            if each.spec.max_replicas < wanted:
                text = f"autoscaler {each.name} keeps {side} at {each.spec.max_replicas} at most, {wanted} are needed"
                fix = f"raise maxReplicas of {each.name}"
                return [Finding(level="block", code="autoscaler", text=text, fix=fix, overridable=True)]
            if each.least < wanted:
                text = f"autoscaler {each.name} may leave {side} no more than {each.least} while it has no load, and"
                text += f" {loses.upper()} needs {wanted}"
                fix = f"minReplicas of {each.name} to {wanted} until {side} has its load"
                return [Finding(level="warning", code="autoscaler", text=text, fix=fix)]
        return []

    async def held(self, kind: str, name: str) -> list[Finding]:
        """Whether an autoscaler would have more of that workload now than it may. Never raises BackendError."""
        try:
            found = await self._autoscalers.all_as(Autoscaler)
        except BackendError as error:
            text = f"whether an autoscaler limits {kind} {name} is not known: {error.message}"
            return [Finding(level="warning", code="autoscaler", text=text, fix=_fix(error, "horizontalpodautoscalers"))]
        ill = [(each.name, each.told[1]) for each in found if each.scales(kind, name) and each.told[0] != "ok"]
        fix = "see why before it takes a new version"
        return [
            Finding(level="warning", code="autoscaler", text=f"autoscaler {one}: {words}", fix=fix)
            for one, words in ill
        ]

    # ---- inside

    async def _told(self, kind: str, what: str, ask: Awaitable[list[RunCondition]]) -> list[RunCondition]:
        """The answer, or one line that says why there is none."""
        try:
            return await ask
        except BackendError as error:
            absent = error.kind == "not_found" and error.status is None
            if absent:
                return [RunCondition(kind=kind, health="ok", text=f"none: {error.message}")]
            fix = _fix(error, _RESOURCES[kind])
            return [RunCondition(kind=kind, health="unknown", text=f"{what}: not known: {error.message}", fix=fix)]

    async def _scaled(self, sides: Sequence[Runs]) -> list[RunCondition]:
        def lines(side: Runs, found: list[Autoscaler]) -> Iterator[RunCondition]:
            for each in found:
                if any(each.scales(*workload) for workload in side.carries):
                    health, text = each.told
                    yield RunCondition(
                        kind="autoscaler", name=each.name, color=side.color, health=health, text=text,
                        numbers=each.numbers,
                    )  # fmt: skip

        return await _by_namespace(sides, lambda where: self._autoscalers.all_as(Autoscaler, where), lines)

    async def _recommended(self, sides: Sequence[Runs]) -> list[RunCondition]:
        def lines(side: Runs, found: list[VerticalAutoscaler]) -> Iterator[RunCondition]:
            for each in found:
                if any(each.scales(*workload) for workload in side.carries):
                    health, text = each.told(side.requests)
                    yield RunCondition(
                        kind="vertical-autoscaler", name=each.name, color=side.color, health=health, text=text
                    )

        return await _by_namespace(sides, lambda where: self._vertical.all_as(VerticalAutoscaler, where), lines)

    async def _budgeted(self, sides: Sequence[Runs]) -> list[RunCondition]:
        def lines(side: Runs, found: list[Budget]) -> Iterator[RunCondition]:
            kinds = [each.metadata.labels or {} for each in side.pods] or [side.labels]
            mine = [each for each in found if any(labels and each.protects(labels) for labels in kinds)]
            for each in mine:
                health, text = each.told
                if len(mine) > 1 and side.pods:
                    health, text = "warning", f"{text}; {len(mine)} budgets on one pod: it can not be evicted at all"
                yield RunCondition(
                    kind="disruption-budget", name=each.name, color=side.color, health=health, text=text,
                    numbers=each.numbers,
                )  # fmt: skip

        return await _by_namespace(sides, lambda where: self._budgets.all_as(Budget, where), lines)

    async def _on_nodes(self, sides: Sequence[Runs]) -> list[RunCondition]:
        running = [(side.color, pod.spec.node_name) for side in sides for pod in side.pods if pod.spec.node_name]
        names = list(dict.fromkeys(name for _, name in running))
        found = await few_at_a_time(_NODES_AT_ONCE, (self._node(name) for name in names[:MOST_NODES]))
        ill = {name: trouble for name, trouble in zip(names, found, strict=False) if trouble}
        lines = []
        for name, trouble in ill.items():
            colors = list(dict.fromkeys(color for color, on in running if on == name))
            pods = sum(on == name for _, on in running)
            here = f"{counted(pods, 'pod')} of {' and '.join(color.upper() for color in colors)}".removesuffix(" of ")
            color = colors[0] if len(colors) == 1 else ""
            line = RunCondition(kind="node", name=clean(name, 128), color=color, health="warning",
                                text=f"{trouble}; {here}", numbers={"pods": pods})  # fmt: skip
            lines.append(line)
        left = f" of the first {MOST_NODES} of {len(names)}" if len(names) > MOST_NODES else ""
        if not lines and names:
            lines.append(RunCondition(kind="node", text=f"{counted(len(found), 'node')}{left}, none under pressure"))
        return lines

    def _node(self, name: str) -> Callable[[], Awaitable[str]]:
        async def look() -> str:
            try:
                return (await self._api.get(f"/api/v1/nodes/{quote(name, safe='')}", Node)).trouble
            except BackendError as error:
                if error.kind != "not_found":
                    raise
                return "gone, and the pods are still told as running on it"

        return look


_RESOURCES = {
    "autoscaler": "horizontalpodautoscalers", "vertical-autoscaler": "verticalpodautoscalers",
    "disruption-budget": "poddisruptionbudgets", "node": "nodes",
}  # fmt: skip


def _fix(error: BackendError, resource: str) -> str:
    if error.kind not in ("auth", "not_found"):
        return error.fix
    return "grant get nodes, by a ClusterRole" if resource == "nodes" else f"grant list {resource}"


async def _by_namespace(
    sides: Sequence[Runs],
    ask: Callable[[str], Awaitable[list[T]]],
    lines: Callable[[Runs, list[T]], Iterable[RunCondition]],
) -> list[RunCondition]:
    """Each namespace asked once; what is said of both sides in the same words is said once."""
    names = list(dict.fromkeys(side.namespace for side in sides))
    found = dict(zip(names, await together(*map(ask, names)), strict=True))
    told: dict[tuple[str, str], RunCondition] = {}
    for each in (line for side in sides for line in lines(side, found[side.namespace])):
        before = told.setdefault((each.name, each.text), each)
        if before is not each:
            told[each.name, each.text] = RunCondition(
                kind=each.kind, name=each.name, health=each.health, text=each.text, numbers=each.numbers
            )
    return list(told.values())
