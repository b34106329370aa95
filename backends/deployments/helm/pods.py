"""What runs of a release: how many pods of its workloads are ready."""

import asyncio
from datetime import UTC, datetime

from msgspec import Struct, field

from backends.deployments.helm.manifest import Key, words, workloads
from backends.deployments.helm.store import Revised
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import Items, Metadata
from backends.models import ColorState, TruthLayer
from backends.text import clean

_PLURAL = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}


class _Spec(Struct):
    replicas: int = 1


class _Status(Struct, rename="camel"):
    ready_replicas: int = 0
    number_ready: int = 0
    desired_number_scheduled: int = 0


class _Workload(Struct):
    metadata: Metadata
    spec: _Spec = field(default_factory=_Spec)
    status: _Status = field(default_factory=_Status)


async def behind(api: KubernetesApi, found: Revised | None, *, open_: bool) -> tuple[TruthLayer, ColorState]:
    """The layer of endpoints, and what the stable side is, by the workloads of its manifest. While a change is open
    pods of both may be ready, and nobody says of which. Never raises."""
    at = datetime.now(UTC)
    if found is None or found.release is None:
        return TruthLayer(value="unknown", detail="nothing is deployed", at=at), ColorState()
    listed = await asyncio.to_thread(workloads, found.release.manifest, found.release.namespace)
    known = {key for key in listed if key[0] in _PLURAL}
    if not known:
        return TruthLayer(value="unknown", detail="nothing of it runs pods", at=at), ColorState()
    try:
        counts = await _counts(api, known)
    except BackendError as error:
        return TruthLayer(value="unknown", detail=clean(error.message, 300), at=at), ColorState()
    ready, desired = sum(each[0] for each in counts.values()), sum(each[1] for each in counts.values())
    down = [words(key) for key in sorted(known) if counts.get(key, (0, 1))[0] == 0 < counts.get(key, (0, 1))[1]]
    told = f"{ready} of {desired} pods ready"
    told += f", none of {', '.join(down[:3])}" if down else ""
    value = "stable" if ready and not down and not open_ else "unknown"
    side = ColorState(ready=ready, desired=desired, healthy=ready > 0 and not down, detail=told)
    return TruthLayer(value=value, detail=told, at=at, ready=ready), side


async def _counts(api: KubernetesApi, known: set[Key]) -> dict[Key, tuple[int, int]]:
    """Ready and wanted pods of each that is there. Raises BackendError."""
    found = {}
    for kind, namespace in sorted({(key[0], key[1]) for key in known}):
        path = await api.path("apps/v1", _PLURAL[kind], namespace=namespace)
        for each in (await api.get(path, Items[_Workload])).items:
            if (key := (kind, namespace, each.metadata.name)) in known:
                status = each.status
                daemon = (status.number_ready, status.desired_number_scheduled)
                found[key] = daemon if kind == "DaemonSet" else (status.ready_replicas, each.spec.replicas)
    return found
