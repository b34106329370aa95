"""Autoscalers, budgets and nodes as an API server hands them out, by their published schemas, served in one version.

Sources: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/,
…/policy-resources/pod-disruption-budget-v1/, …/cluster-resources/node-v1/, and the VPA's `v1` types.
"""

import json
from typing import Any

from tests.backends.fake_kubernetes import FakeKubernetes, pod

NAMESPACE = "namespaces/analytics"
PLURALS = {
    "autoscaling": "horizontalpodautoscalers", "policy": "poddisruptionbudgets",
    "autoscaling.k8s.io": "verticalpodautoscalers",
}  # fmt: skip


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    at = "2026-11-29T03:00:00Z"
    return {"type": kind, "status": status, "lastTransitionTime": at, "reason": reason, "message": message}


ABLE = condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
ACTIVE = condition("ScalingActive", "True", "ValidMetricFound", "the HPA was able to compute the replica count")
AT_MOST = condition(
    "ScalingLimited", "True", "TooManyReplicas", "the desired replica count is more than the maximum replica count"
)
FREE = condition("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range")


def hpa(
    color: str, *, least: int | None = 2, most: int = 5, current: int = 2, desired: int = 2, now: int = 40,
    version: str = "v2", conditions: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One on `analytics-COLOR` that aims at 80 % of the CPU."""
    limits = {"maxReplicas": most, **({} if least is None else {"minReplicas": least})}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"analytics-{color}"}
    told = [ABLE, ACTIVE, FREE] if conditions is None else conditions
    counts = {"currentReplicas": current, "desiredReplicas": desired, "lastScaleTime": "2026-11-29T02:51:09Z"}
    metadata: dict[str, Any] = {"name": f"analytics-{color}", "namespace": "analytics", "uid": f"hpa-{color}"}
    if version == "v1":
        metadata["annotations"] = {"autoscaling.alpha.kubernetes.io/conditions": json.dumps(told)}
        spec = {"scaleTargetRef": target, **limits, "targetCPUUtilizationPercentage": 80}
        status: dict[str, Any] = {**counts, "currentCPUUtilizationPercentage": now}
    else:
        aim = {"type": "Utilization", "averageUtilization": 80}
        is_ = {"averageUtilization": now, "averageValue": f"{now}m"}
        spec = {"scaleTargetRef": target, **limits,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": aim}}]}  # fmt: skip
        measured = [{"type": "Resource", "resource": {"name": "cpu", "current": is_}}]
        status = {**counts, "currentMetrics": measured, "conditions": told}
    return {"metadata": metadata, "spec": spec, "status": status}


def pdb(name: str = "analytics", *, allowed: int = 1, healthy: int = 3, **spec: Any) -> dict[str, Any]:
    counts = {"currentHealthy": healthy, "desiredHealthy": 2, "disruptionsAllowed": allowed, "expectedPods": 3}
    chosen = {"matchExpressions": [{"key": "color", "operator": "In", "values": ["blue"]}]}
    return {
        "metadata": {"name": name, "namespace": "analytics"},
        "spec": {"selector": chosen, "minAvailable": 2, **spec},
        "status": {**counts, "observedGeneration": 1},
    }


def vpa(color: str, mode: str = "Off", **bounds: dict[str, str]) -> dict[str, Any]:
    said = {"containerName": "main", "target": {"cpu": "250m", "memory": "512Mi"},
            "lowerBound": {"cpu": "120m", "memory": "400Mi"}, **bounds}  # fmt: skip
    return {
        "metadata": {"name": f"analytics-{color}", "namespace": "analytics"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"analytics-{color}"},
                 "updatePolicy": {"updateMode": mode}},
        "status": {"recommendation": {"containerRecommendations": [said]}},
    }  # fmt: skip


def node(name: str, *pressure: str, cordoned: bool = False, ready: str = "True") -> dict[str, Any]:
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure")
    told = [condition(kind, str(kind in pressure), f"Kubelet{kind}", "") for kind in kinds]
    told.append(condition("Ready", ready, "KubeletReady" if ready == "True" else "NodeStatusUnknown", ""))
    return {"metadata": {"name": name}, "spec": {"unschedulable": cordoned}, "status": {"conditions": told}}


def running(name: str, color: str, on: str, **asks: str) -> dict[str, Any]:
    """A pod of the Deployment of `color`, on a node."""
    made = pod(name, color)
    made["metadata"]["labels"]["pod-template-hash"] = "7d9f8"
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"analytics-{color}-7d9f8", "uid": "r"}
    made["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    made["spec"] |= {"nodeName": on}
    made["spec"]["containers"][0]["resources"] = {"requests": asks}
    return made


def serve(server: FakeKubernetes, group: str, version: str, items: list[dict[str, Any]]) -> None:
    """`items`, in that version of the group alone, which discovery tells of."""
    served = [{"groupVersion": f"{group}/{version}", "version": version}]
    server.objects[f"/apis/{group}"] = (200, {"kind": "APIGroup", "name": group, "versions": served})
    server.objects[f"/apis/{group}/{version}"] = (200, {"resources": [{"name": PLURALS[group]}]})
    server.objects[f"/apis/{group}/{version}/{NAMESPACE}/{PLURALS[group]}"] = (200, {"items": items})


def refuse(server: FakeKubernetes, group: str, *versions: str) -> None:
    """403 for each of them, as where the Role has no such rule."""
    serve(server, group, versions[0], [])
    for version in versions:
        said = {"kind": "Status", "message": f'{PLURALS[group]} is forbidden: User "oncall" cannot list it'}
        server.objects[f"/apis/{group}/{version}/{NAMESPACE}/{PLURALS[group]}"] = (403, said)
