"""What else decides how the sides run in a cluster, and that nothing else is lost where that can not be read."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.kubernetes.switch import KubernetesSwitch
from backends.http import Http
from backends.kubernetes.vertical import amount_of
from backends.models import Finding, RunCondition
from tests.backends import kubernetes_conditions as recorded
from tests.backends.fake_kubernetes import FakeKubernetes, pod
from tests.backends.kubernetes_conditions import hpa, node, pdb, refuse, running, serve, vpa
from tests.backends.test_kubernetes import switch_of
from tests.backends.test_kubernetes_owners import REVIEWS

DEPLOYMENTS = {"blue": "analytics-blue", "green": "analytics-green"}
GREEN = {"blue": 0, "green": 100}


@pytest.fixture
async def server() -> AsyncIterator[FakeKubernetes]:
    async with FakeKubernetes() as server:
        server.objects |= REVIEWS
        yield server


@pytest.fixture
async def adapter(server: FakeKubernetes, tmp_path: Path, http: Http) -> AsyncIterator[KubernetesSwitch]:
    adapter = switch_of(server, tmp_path, http, deployments=DEPLOYMENTS)
    yield adapter
    await adapter.aclose()


async def told(adapter: KubernetesSwitch, kind: str) -> list[RunCondition]:
    return [each for each in await adapter.conditions() if each.kind == kind]


async def planned(adapter: KubernetesSwitch) -> list[Finding]:
    found = await adapter.preflight(await adapter.observe(), GREEN)
    return [each for each in found if each.code == "autoscaler"]


# ---- autoscalers


@pytest.mark.parametrize("version", ["v2", "v2beta2", "v1"])
async def test_an_autoscaler_is_told_in_whichever_version_is_served(
    server: FakeKubernetes, adapter: KubernetesSwitch, version: str
) -> None:
    held = [recorded.ABLE, recorded.ACTIVE, recorded.AT_MOST]
    full = hpa("blue", current=5, desired=5, now=140, version=version, conditions=held)
    serve(server, "autoscaling", version, [full, *(hpa(each, version=version) for each in ("green", "other"))])
    blue, green = await told(adapter, "autoscaler")
    assert (blue.name, blue.color, blue.health) == ("analytics-blue", "blue", "warning")
    assert blue.numbers == {"current": 5, "desired": 5, "min": 2, "max": 5}
    assert blue.text == ("5 of 5 wanted, 2 to 5; cpu 140 % (target 80 %); held at its maximum of 5, it would have more")
    assert (green.color, green.health, green.text) == ("green", "ok", "2 of 2 wanted, 2 to 5; cpu 40 % (target 80 %)")


async def test_it_is_asked_for_its_version_once(server: FakeKubernetes, adapter: KubernetesSwitch) -> None:
    serve(server, "autoscaling", "v1", [hpa("blue", version="v1")])
    await told(adapter, "autoscaler")
    server.requests.clear()
    assert len(await told(adapter, "autoscaler")) == 1
    assert [each.target for each in server.requests if "autoscaling/" in each.target] == [
        "/apis/autoscaling/v1/namespaces/analytics/horizontalpodautoscalers"
    ]


METRICS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
     {"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "800Mi"}}},
     "memory 800Mi a pod (target 1Gi a pod)"),
    ({"type": "Pods", "pods": {"metric": {"name": "rate"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
     {"type": "Pods", "pods": {"metric": {"name": "rate"}, "current": {"averageValue": "12500m"}}},
     "rate 12500m a pod (target 10 a pod)"),
    ({"type": "Object", "object": {"metric": {"name": "rps"}, "describedObject": {"kind": "Ingress", "name": "main"},
                                   "target": {"type": "Value", "value": "2k"}}},
     {"type": "Object", "object": {"metric": {"name": "rps"}, "describedObject": {"kind": "Ingress", "name": "main"},
                                   "current": {"value": "1500"}}},
     "rps 1500 (target 2k)"),
    ({"type": "External", "external": {"metric": {"name": "lag", "selector": {"matchLabels": {"q": "a"}}},
                                       "target": {"type": "AverageValue", "averageValue": "30"}}},
     {"type": "External", "external": {"metric": {"name": "lag"}, "current": {"value": "0", "averageValue": "7"}}},
     "lag 7 a pod (target 30 a pod)"),
    ({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "main",
                                                         "target": {"type": "Utilization", "averageUtilization": 60}}},
     {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "main",
                                                         "current": {"averageUtilization": 61, "averageValue": "1"}}},
     "cpu of container main 61 % (target 60 %)"),
    ({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
     {"type": ""}, "cpu ? (target 80 %)"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "status", "words"), METRICS)
async def test_each_kind_of_metric_is_told_with_its_target(
    server: FakeKubernetes, adapter: KubernetesSwitch, spec: dict[str, Any], status: dict[str, Any], words: str
) -> None:
    one = hpa("blue")
    one["spec"]["metrics"], one["status"]["currentMetrics"] = [spec], [status]
    serve(server, "autoscaling", "v2", [one])
    assert (await told(adapter, "autoscaler"))[0].text == f"2 of 2 wanted, 2 to 5; {words}"


@pytest.mark.parametrize(
    ("condition", "health", "words"),
    [
        (("AbleToScale", "False", "FailedGetScale", "no matches for kind"), "warning", "can not scale: FailedGetScale"),
        (("ScalingActive", "False", "FailedGetResourceMetric", "no metrics"), "warning",
         "can not measure: FailedGetResourceMetric: no metrics"),
        (("ScalingActive", "False", "ScalingDisabled", "zero"), "ok", "off while it is scaled to zero"),
        (("ScalingLimited", "True", "TooFewReplicas", "fewer"), "ok", "held at its minimum of 2, it would have fewer"),
    ],
)  # fmt: skip
async def test_what_holds_an_autoscaler_is_told(
    server: FakeKubernetes, adapter: KubernetesSwitch, condition: tuple[str, str, str, str], health: str, words: str
) -> None:
    serve(server, "autoscaling", "v2", [hpa("blue", conditions=[recorded.condition(*condition)])])
    found = (await told(adapter, "autoscaler"))[0]
    assert (found.health, words in found.text) == (health, True), found.text


@pytest.mark.parametrize("version", ["v2", "v1"])
async def test_a_flip_to_a_side_that_may_be_small_without_load_is_warned_of(
    server: FakeKubernetes, adapter: KubernetesSwitch, version: str
) -> None:
    server.pods = {color: [pod(f"{color}-{n}", color) for n in range(4)] for color in ("blue", "green")}
    serve(server, "autoscaling", version, [hpa("green", least=None, version=version)])
    (found,) = await planned(adapter)
    assert (found.level, found.text) == (
        "warning",
        "autoscaler analytics-green may leave GREEN no more than 1 while it has no load, and BLUE needs 4",
    )
    assert found.fix == "minReplicas of analytics-green to 4 until GREEN has its load"
    serve(server, "autoscaling", version, [hpa("green", least=4, version=version)])
    assert await planned(adapter) == []


async def test_what_the_live_side_is_about_to_need_counts(server: FakeKubernetes, adapter: KubernetesSwitch) -> None:
    serve(server, "autoscaling", "v2", [hpa("blue", desired=9, most=9), hpa("green", least=1, most=5)])
    (found,) = await planned(adapter)
    assert (found.level, found.overridable) == ("block", True)
    assert found.text == "autoscaler analytics-green keeps GREEN at 5 at most, 9 are needed"


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_plan_goes_on_where_autoscalers_can_not_be_read(
    server: FakeKubernetes, adapter: KubernetesSwitch, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.kubernetes.api.READ_TIMEOUT_S", 0.3)
    path = f"/apis/autoscaling/v2/{recorded.NAMESPACE}/horizontalpodautoscalers"
    server.objects[path] = (status, {"kind": "Status", "message": "no"})
    (found,) = await planned(adapter)
    assert (found.level, "whether an autoscaler limits GREEN is not known" in found.text) == ("warning", True)
    codes = {each.code for each in await adapter.preflight(await adapter.observe(), GREEN)}
    assert {"identity", "permissions", "dry-run", "capacity"} <= codes


# ---- recommendations, budgets, nodes


async def test_a_recommendation_is_told_beside_what_is_asked_for(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    server.pods["blue"] = [running("b1", "blue", "n1", cpu="300m", memory="256Mi")]
    serve(server, "autoscaling.k8s.io", "v1", [vpa("blue"), vpa("green", "Auto")])
    blue, green = await told(adapter, "vertical-autoscaler")
    assert (blue.color, blue.health) == ("blue", "warning")
    assert blue.text == (
        "recommends main cpu 250m (now 300m), memory 512Mi (now 256Mi); only said (Off); "
        "memory is below the 400Mi that it needs at least"
    )
    assert (green.health, green.text) == (
        "ok", "recommends main cpu 250m (now none), memory 512Mi (now none); applied by itself (Auto)",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "amount"),
    [("250m", 0.25), ("1", 1), ("1.5", 1.5), ("512Mi", 512 * 2**20), ("1Gi", 2**30), ("2k", 2000), ("1M", 1e6),
     ("12e6", 12e6), ("1Ki", 1024), ("100n", 1e-7), ("", None), ("1..5", None), ("cpu", None), ("5X", None),
     (None, None)],
)  # fmt: skip
def test_a_quantity_is_read_as_kubernetes_writes_it(text: str | None, amount: float | None) -> None:
    assert amount_of(text) == (None if amount is None else pytest.approx(amount))


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_a_budget_is_told_for_the_side_that_it_protects(
    server: FakeKubernetes, adapter: KubernetesSwitch, version: str
) -> None:
    serve(server, "policy", version, [pdb(), pdb("others", selector={"matchLabels": {"app": "x"}})])
    (found,) = await told(adapter, "disruption-budget")
    assert (found.name, found.color, found.health) == ("analytics", "blue", "ok")
    assert found.text == "3 of 3 healthy, at least 2 stay; 1 may be evicted now"
    assert found.numbers == {"healthy": 3, "needed": 2, "expected": 3, "allowed": 1}
    serve(server, "policy", version, [pdb(allowed=0, healthy=2, minAvailable=None, maxUnavailable="33%")])
    (found,) = await told(adapter, "disruption-budget")
    assert (found.health, found.text) == (
        "warning", "2 of 3 healthy, at most 33% go; none may be evicted now: a drain of a node waits",
    )  # fmt: skip


async def test_one_budget_over_both_sides_is_one_line_and_two_over_a_pod_are_told(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    both = {"matchLabels": {"app": "analytics"}}
    serve(server, "policy", "v1", [pdb(selector=both)])
    assert [each.color for each in await told(adapter, "disruption-budget")] == [""]
    serve(server, "policy", "v1", [pdb(selector=both), pdb("second")])
    found = await told(adapter, "disruption-budget")
    assert any("2 budgets on one pod: it can not be evicted at all" in each.text for each in found)


async def test_pressure_on_a_node_is_told_with_the_pods_that_are_there(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    server.pods = {
        "blue": [running("b1", "blue", "n1"), running("b2", "blue", "n2")],
        "green": [running("g1", "green", "n2"), running("g2", "green", "n3")],
    }
    nodes = [node("n1"), node("n2", "MemoryPressure", cordoned=True), node("n3", ready="Unknown")]
    server.objects |= {f"/api/v1/nodes/{each['metadata']['name']}": (200, each) for each in nodes}
    second, third = await told(adapter, "node")
    assert (second.name, second.color, second.health) == ("n2", "", "warning")
    assert second.text == "MemoryPressure, takes no new pods (cordoned); 2 pods of BLUE and GREEN"
    assert (third.color, third.text) == ("green", "not ready (NodeStatusUnknown); 1 pod of GREEN")
    server.objects |= {f"/api/v1/nodes/n{n}": (200, node(f"n{n}")) for n in (2, 3)}
    (well,) = await told(adapter, "node")
    assert (well.health, well.text) == ("ok", "3 nodes, none under pressure")


# ---- what is not known


async def test_what_may_not_be_read_is_a_line_and_nothing_else_is_lost(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    server.pods["blue"] = [running("b1", "blue", "n1")]
    server.objects["/api/v1/nodes/n1"] = (403, {"kind": "Status", "message": 'nodes "n1" is forbidden'})
    refuse(server, "policy", "v1", "v1beta1")
    serve(server, "autoscaling", "v2", [hpa("blue")])
    found = {each.kind: each for each in await adapter.conditions()}
    assert found["autoscaler"].health == "ok"
    assert (found["disruption-budget"].health, found["disruption-budget"].fix) == (
        "unknown", "grant list poddisruptionbudgets",
    )  # fmt: skip
    assert (found["node"].health, found["node"].fix) == ("unknown", "grant get nodes, by a ClusterRole")
    vertical = found["vertical-autoscaler"]
    assert "not known:" not in vertical.text
    assert (vertical.health, "the CRD verticalpodautoscalers.autoscaling.k8s.io is not installed" in vertical.text) == (
        "ok", True,
    )  # fmt: skip


async def test_without_deployments_in_the_config_the_pods_say_whose_they_are(
    server: FakeKubernetes, tmp_path: Path, http: Http
) -> None:
    server.pods["green"] = [running("g1", "green", "n1")]
    serve(server, "autoscaling", "v2", [hpa("blue"), hpa("green")])
    adapter = switch_of(server, tmp_path, http)
    try:
        assert [each.color for each in await told(adapter, "autoscaler")] == ["green"]
    finally:
        await adapter.aclose()


async def test_the_overview_asks_for_none_of_it(server: FakeKubernetes, adapter: KubernetesSwitch) -> None:
    serve(server, "autoscaling", "v2", [hpa("blue")])
    assert (await adapter.deployment()).conditions is None
    kinds = (*recorded.PLURALS.values(), "nodes")
    assert not [each.target for each in server.requests if any(kind in each.target for kind in kinds)]
