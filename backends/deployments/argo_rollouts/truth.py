"""What is behind the Services of a Rollout, and what its candidate says of itself before it has traffic."""

from datetime import UTC, datetime

from msgspec.structs import replace

from backends.deployments.argo_rollouts.state import Seen
from backends.deployments.argo_rollouts.wire import HASH, ReplicaSet
from backends.deployments.common import fresh_version
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import Service
from backends.models import ColorState, TruthLayer
from backends.ports import ProbeTarget
from backends.redaction import quoted


async def endpoints_layer(api: KubernetesApi, seen: Seen) -> TruthLayer:
    """Which ReplicaSet the Service of users chooses, and how many pods of it are ready; by the pods alone where the
    strategy has no Service. Never raises."""
    at, strategy = datetime.now(UTC), seen.rollout.spec.strategy
    name = strategy.blue_green.active_service if strategy.blue_green is not None else ""
    sides = {"stable": seen.stable, "candidate": seen.current if seen.current is not seen.stable else None}
    if not name:
        taking = {side: each.status.ready_replicas for side, each in sides.items() if each and _has_share(seen, side)}
        ready = {side: count for side, count in taking.items() if count}
        words = ", ".join(f"{count} ready of {side}" for side, count in ready.items()) or "no pod is ready"
        value = "mixed" if len(ready) > 1 else next(iter(ready), "unknown")
        return TruthLayer(value=value, detail=words, at=at, ready=sum(ready.values()))
    try:
        service = await api.get(await api.path("v1", "services", name), Service)
    except BackendError as error:
        return TruthLayer(value="unknown", detail=error.message, at=at)
    chosen = (service.spec.selector or {}).get(HASH, "")
    side = next((side for side, each in sides.items() if each is not None and each.hash == chosen), "unknown")
    found = sides.get(side)
    if found is None:
        words = f"Service {quoted(name, 128)} chooses {quoted(chosen, 64) or 'no ReplicaSet'}"
        return TruthLayer(value="unknown", detail=words, at=at)
    ready_pods = found.status.ready_replicas
    words = f"Service {quoted(name, 128)} chooses {side}: {ready_pods} ready"
    return TruthLayer(value=side if ready_pods else "unknown", detail=words, at=at, ready=ready_pods)


async def sides_of(seen: Seen, probe: ProbeTarget | None, preview: str, timeout_s: float) -> dict[str, ColorState]:
    """The pods of both ReplicaSets; of the candidate also what its preview answers."""
    found = {"stable": _side(seen.stable), "candidate": _side(seen.current)}
    is_open = seen.current is not None and seen.current is not seen.stable
    if preview and is_open and (problem := await preview_problem(seen, probe, preview, timeout_s)):
        side = found["candidate"]
        healthy = False if side.healthy is False else None
        found["candidate"] = replace(side, healthy=healthy, detail=f"{side.detail}, {problem}")
    return found


async def preview_problem(seen: Seen, probe: ProbeTarget | None, preview: str, timeout_s: float) -> str:
    """Why a fresh request to the preview does not prove the candidate; empty where it does. Never raises."""
    state = seen.state
    wanted = state.view.candidate.version if state.view.candidate is not None else None
    target = replace(probe, url=preview) if probe is not None else ProbeTarget(url=preview)
    told = await fresh_version(target, timeout_s)
    if told.color is None:
        return f"the preview can not prove the candidate: {told.error}"
    if told.color != wanted:
        return f"the preview says {told.color}, and the candidate is {wanted or 'not known'}"
    return ""


def _side(found: ReplicaSet | None) -> ColorState:
    if found is None:
        return ColorState()
    ready, desired = found.status.ready_replicas, found.spec.replicas
    return ColorState(ready=ready, desired=desired, healthy=ready > 0, detail=f"{ready} of {desired} ready")


def _has_share(seen: Seen, side: str) -> bool:
    return seen.shares.get(side, 0) > 0
