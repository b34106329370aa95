"""What a plan says of a cluster in which others are at work: who else writes, what else answers, what goes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.kubernetes.control import FENCE, OP
from backends.deployments.kubernetes.switch import KubernetesSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.models import Finding
from tests.backends.fake_kubernetes import FakeKubernetes, pod
from tests.backends.faulty_server import Received
from tests.backends.test_kubernetes import DISCOVERY, switch_of

GREEN = {"blue": 0, "green": 100}
NAMESPACE = "/api/v1/namespaces/analytics"
REVIEWS = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": (201, {"status": {"allowed": True}}),
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": (201, {"status": {"userInfo": {"username": "alice"}}}),
}
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Busy(FakeKubernetes):
    """Somebody changes the object before each patch: its metadata, or its color."""

    recolors = 0

    async def _patch(self, writer: asyncio.StreamWriter, request: Received) -> None:
        metadata = self.service["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        if self.recolors:
            self.recolors -= 1
            selector = self.service["spec"]["selector"]
            self.service["spec"]["selector"] = selector | {"tier": str(self.recolors)}
        await super()._patch(writer, request)


@pytest.fixture
async def server() -> AsyncIterator[Busy]:
    async with Busy() as server:
        server.objects |= REVIEWS
        yield server


@pytest.fixture
async def adapter(server: Busy, tmp_path: Path, http: Http) -> AsyncIterator[KubernetesSwitch]:
    adapter = switch_of(server, tmp_path, http)
    yield adapter
    await adapter.aclose()


async def said(adapter: KubernetesSwitch) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for one in await adapter.preflight(await adapter.observe(), GREEN):
        found.setdefault(one.code, []).append(one)
    return found


def owned_by(manager: str, operation: str) -> dict[str, Any]:
    fields = {"f:spec": {"f:selector": {"f:color": {}}}}
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


async def test_a_tool_is_named_once_by_what_it_owns(server: Busy, adapter: KubernetesSwitch) -> None:
    server.service["metadata"] |= {
        "managedFields": [owned_by("argocd-controller", "Apply")],
        "annotations": {"argocd.argoproj.io/tracking-id": "x"},
    }
    assert [one.text for one in (await said(adapter))["owner"]] == [
        "Argo CD owns the color in the selector of Service analytics"
    ]


@pytest.mark.parametrize("color", ["blue", ""])
async def test_kubectl_apply_is_an_owner_where_it_set_the_color(
    server: Busy, adapter: KubernetesSwitch, color: str
) -> None:
    selector = {"app": "analytics"} | ({"color": color} if color else {})
    applied = {"kind": "Service", "metadata": {"name": "analytics"}, "spec": {"selector": selector}}
    server.service["metadata"]["annotations"] = {APPLIED: json.dumps(applied)}
    found = (await said(adapter)).get("owner", [])
    assert [one.level for one in found] == (["warning"] if color else [])
    assert all("kubectl apply" in one.text and "switches back" in one.fix for one in found)


async def test_what_is_no_applied_configuration_is_no_owner(server: Busy, adapter: KubernetesSwitch) -> None:
    server.service["metadata"]["annotations"] = {APPLIED: "{\x1b["}
    assert "owner" not in await said(adapter)


async def test_a_first_flip_is_rehearsed_whatever_else_changes_the_object(
    server: Busy, adapter: KubernetesSwitch
) -> None:
    assert [one.level for one in (await said(adapter))["dry-run"]] == ["ok"]


@pytest.mark.parametrize(("times", "level"), [(1, "ok"), (9, "block")])
async def test_a_selector_that_changes_meanwhile_is_rehearsed_again(
    server: Busy, adapter: KubernetesSwitch, times: int, level: str
) -> None:
    server.recolors = times
    (found,) = (await said(adapter))["dry-run"]
    assert found.level == level
    assert "admission" not in found.text + found.fix
    assert level == "ok" or "was changed each time" in found.text


def endpoint(name: str, **more: Any) -> dict[str, Any]:
    return {"targetRef": {"kind": "Pod", "name": name}, "conditions": {"ready": True}, **more}


async def test_a_pod_in_two_slices_counts_once(server: Busy, adapter: KubernetesSwitch) -> None:
    server.pods["blue"] = [pod(f"b{number}", "blue") for number in (1, 2, 3)]
    four = {"addressType": "IPv4", "endpoints": [endpoint("b1"), endpoint("b2"), endpoint("b3")]}
    six = {"addressType": "IPv6", "endpoints": [endpoint("b1"), endpoint("b2", conditions={"ready": False})]}
    server.objects[DISCOVERY] = (200, {"items": [four, six]})
    layer = await adapter.endpoints()
    assert (layer.value, layer.detail) == ("blue", "BLUE 3 ready (EndpointSlices)")


async def test_what_answers_and_is_no_pod_of_a_color_is_in_the_plan(server: Busy, adapter: KubernetesSwitch) -> None:
    by_hand = {"addresses": ["10.9.9.9"], "conditions": {"ready": True}}
    server.objects[DISCOVERY] = (200, {"items": [{"endpoints": [endpoint("b1"), by_hand, by_hand]}]})
    (found,) = (await said(adapter))["endpoints"]
    assert (found.level, found.text.endswith("10.9.9.9")) == ("warning", True)
    layer = await adapter.endpoints()
    assert (layer.value, "ANOTHER 1 ready" in layer.detail) == ("unknown", True)
    server.objects[DISCOVERY] = (200, {"items": [{"endpoints": [endpoint("b1")]}]})
    assert "endpoints" not in await said(adapter)


async def test_a_service_that_is_a_name_elsewhere_has_no_color(server: Busy, adapter: KubernetesSwitch) -> None:
    server.service["spec"]["type"] = "ExternalName"
    found = await adapter.observe()
    assert (found.live, found.weights, "ExternalName" in found.detail) == ("unknown", {}, True)
    assert [one.level for one in (await adapter.preflight(found, GREEN)) if one.code == "selector"] == ["block"]
    with pytest.raises(BackendError) as caught:
        await adapter.shift(found, GREEN, stamp="A:shift")
    assert caught.value.kind == "conflict"


@pytest.mark.parametrize(
    ("namespace", "findings"),
    [
        ((200, {"metadata": {"name": "analytics"}, "status": {"phase": "Active"}}), []),
        ((403, {"message": "may not"}), []),
        ((200, {"metadata": {"name": "analytics"}, "status": {"phase": "Terminating"}}), ["block"]),
    ],
)
async def test_a_namespace_that_is_being_deleted_is_a_finding(
    server: Busy, adapter: KubernetesSwitch, namespace: tuple[int, Any], findings: list[str]
) -> None:
    server.objects[NAMESPACE] = namespace
    assert [one.level for one in (await said(adapter)).get("namespace", [])] == findings


async def test_the_first_write_is_made_though_the_object_changes(server: Busy, adapter: KubernetesSwitch) -> None:
    server.service["metadata"]["annotations"] = {FENCE: "1", OP: "A:shift"}
    assert (await adapter.shift(await adapter.observe(), GREEN, stamp="B:shift", fence=1)).live == "green"
