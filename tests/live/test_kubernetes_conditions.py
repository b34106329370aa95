"""What else decides how the sides run, by a real API server: which versions it serves is asked of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.kubernetes.cluster_switch import ClusterSwitch
from backends.http import Http
from backends.registry import AdapterContext, build
from tests.live.kubernetes import Cluster, Namespace, namespace
from tests.live.teal import CommandLine

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]
HPA = {"kind": "Deployment", "apiVersion": "apps/v1", "name": "analytics-green"}


@pytest.fixture(scope="module")
def space(kube: Cluster) -> Iterator[Namespace]:
    with namespace(kube) as space:
        scaler = f"/apis/autoscaling/v1/namespaces/{space.name}/horizontalpodautoscalers"
        spec = {"scaleTargetRef": HPA, "minReplicas": 1, "maxReplicas": 4, "targetCPUUtilizationPercentage": 80}
        space.api.call("POST", scaler, {"metadata": {"name": "analytics-green"}, "spec": spec})
        budget = f"/apis/policy/v1beta1/namespaces/{space.name}/poddisruptionbudgets"
        blue = {"matchLabels": {"app": "analytics", "color": "blue"}}
        space.api.call(
            "POST", budget, {"metadata": {"name": "analytics"}, "spec": {"selector": blue, "minAvailable": 2}}
        )

        # The bench runs neither controller: what they would have counted.
        counts = {"currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 2, "disruptionsAllowed": 0}
        space.api.merge(f"{budget}/analytics/status", {"status": counts})
        space.api.merge(f"{scaler}/analytics-green/status", {"status": {"currentReplicas": 2, "desiredReplicas": 2}})
        yield space


async def test_autoscaler_budget_and_nodes_of_a_real_cluster(space: Namespace, http: Http, tmp_path: Path) -> None:
    adapter: ClusterSwitch[Any] = build(
        "deployments", "kubernetes", space.config(), AdapterContext("analytics", tmp_path, tmp_path, http)
    )
    try:
        found = {each.kind: each for each in await adapter.conditions()}
        plan = await adapter.preflight(await adapter.observe(), {"blue": 0, "green": 100})
    finally:
        await adapter.aclose()
    scaler = found["autoscaler"]
    assert (scaler.name, scaler.color) == ("analytics-green", "green")
    assert (scaler.numbers["min"], scaler.numbers["max"]) == (1, 4)
    assert "cpu ? (target 80 %)" in scaler.text
    budget = found["disruption-budget"]
    assert (budget.color, budget.health, budget.numbers["allowed"]) == ("blue", "warning", 0)
    assert "2 of 2 healthy, at least 2 stay; none may be evicted now" in budget.text
    assert found["node"].text == "1 node, none under pressure"
    assert "not installed" in found["vertical-autoscaler"].text
    (warned,) = [each for each in plan if each.code == "autoscaler"]
    assert (warned.level, "no more than 1 while it has no load, and BLUE needs 2" in warned.text) == ("warning", True)


async def test_status_and_plan_say_it(space: Namespace, tmp_path: Path) -> None:
    teal = CommandLine(tmp_path, {"type": "kubernetes", **space.config()})
    (item,) = json.loads((await teal.run("deploy", "status", "analytics", "-o", "json"))[1])["items"]
    assert {each["kind"] for each in item["conditions"]} >= {"autoscaler", "disruption-budget", "node"}
    assert "analytics: GREEN autoscaler analytics-green: " in (await teal.run("deploy", "status", "analytics"))[1]
    plan = "".join((await teal.run("deploy", "flip", "analytics", "--to", "green", "--dry-run"))[1:])
    assert "autoscaler analytics-green may leave GREEN no more than 1" in plan
    assert f"sim ({space.api.server})" in plan
    assert plan.count("autoscaler analytics-green may") == 1
