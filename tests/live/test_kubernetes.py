"""The `kubernetes` switch against a real API server whose pods answer on loopback."""

import json
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.deployments.kubernetes.control import FENCE, OP, WROTE
from backends.deployments.kubernetes.switch import KubernetesSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.models import Finding, TruthLayer
from backends.registry import AdapterContext, build
from backends.testing.deployments import BLUE, GREEN, Meddle, Sicken, SwitchContract
from tests.live.kubernetes import Cluster, Namespace, namespace
from tests.live.process import until

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]


@pytest.fixture(scope="module")
def shared(kube: Cluster) -> Iterator[Namespace]:
    with namespace(kube) as space:
        yield space


@pytest.fixture
def space(shared: Namespace) -> Namespace:
    """As it was created: all on blue, 2.4.0 on both sides, all ready."""
    shared.reset()
    return shared


def switch_of(space: Namespace, http: Http, tmp_path: Path, **config: Any) -> KubernetesSwitch:
    context = AdapterContext("analytics", tmp_path, tmp_path, http)
    found: KubernetesSwitch = build("deployments", "kubernetes", space.config(**config), context)
    return found


@pytest.fixture
async def adapter(space: Namespace, http: Http, tmp_path: Path) -> AsyncIterator[KubernetesSwitch]:
    adapter = switch_of(space, http, tmp_path)
    yield adapter
    await adapter.aclose()


class TestContract(SwitchContract):
    @pytest.fixture
    def meddle(self, space: Namespace) -> Meddle:
        def meddle(weights: dict[str, int]) -> None:
            space.select(max(weights, key=lambda color: weights[color]))

        return meddle

    @pytest.fixture
    def sicken(self, space: Namespace) -> Sicken:
        def sicken(color: str) -> None:
            space.set_image(color, "2.4.0-sick")
            space.settle()

        return sicken


# ---- what the selector says


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"color": None}, 'has no "color"'),
        ({"color": "purple"}, "color=purple, which is no color here"),
        ({"color": None, "app": None}, "selector is empty"),
    ],
)
async def test_a_selector_that_names_no_color_is_unknown_and_never_written_over(
    space: Namespace, adapter: KubernetesSwitch, edit: dict[str, Any], says: str
) -> None:
    expected = await adapter.observe()
    space.api.merge(space.service, {"spec": {"selector": edit}})
    there = space.get_service()["spec"].get("selector")
    found = await adapter.observe()
    assert (found.weights, found.live) == ({}, "unknown")
    assert says in found.detail
    assert (await adapter.deployment()).live == "unknown"
    for before in (expected, found):
        error = await error_of(adapter.shift(before, GREEN, stamp="A:shift"))
        assert error.kind == "conflict"
        assert says in error.message
    assert [one.code for one in await adapter.preflight(found, GREEN) if one.level == "block"] == ["selector"]
    assert space.get_service()["spec"].get("selector") == there


async def test_endpoints_that_lag_behind_the_selector_leave_the_shares_unknown(
    adapter: KubernetesSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The selector says where traffic shall go; who gets it is what is behind the Service."""
    shown = await adapter.deployment()
    assert {name: side.weight_pct for name, side in shown.colors.items()} == {"blue": 100, "green": 0}

    async def lagging(*_: Any) -> TruthLayer:
        return TruthLayer(value="green", detail="2 of GREEN")

    monkeypatch.setattr(adapter._of, "endpoints", lagging)
    shown = await adapter.deployment()
    assert (shown.live, [side.weight_pct for side in shown.colors.values()]) == ("mixed", [None, None])


async def test_an_edit_of_something_else_is_no_conflict(space: Namespace, adapter: KubernetesSwitch) -> None:
    first = await adapter.observe()
    space.api.merge(space.service, {"metadata": {"labels": {"team": "data"}}})
    assert await adapter.observe() == first
    there = await adapter.shift(first, GREEN, stamp="A:shift")
    space.api.merge(space.service, {"metadata": {"annotations": {"note": "hello"}}})
    back = await adapter.shift(there, BLUE, stamp="A:back")
    assert (back.weights, space.color()) == (BLUE, "blue")
    assert space.get_service()["metadata"]["annotations"]["note"] == "hello"


async def test_the_write_carries_its_stamp_and_fence_and_the_name_of_its_writer(
    space: Namespace, adapter: KubernetesSwitch
) -> None:
    found = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift", fence=7)
    assert (found.stamp, found.fence) == ("A:shift", 7)
    service = space.get_service()
    assert service["metadata"]["annotations"] == {OP: "A:shift", FENCE: "7", WROTE: "A:shift blue=0,green=100"}
    managers = {entry["manager"] for entry in service["metadata"]["managedFields"]}
    assert "tealdeck" in managers


async def test_an_owner_whose_action_was_taken_over_writes_nothing(space: Namespace, adapter: KubernetesSwitch) -> None:
    taken = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift", fence=8)
    error = await error_of(adapter.shift(taken, BLUE, stamp="A:back", fence=7))
    assert error.kind == "conflict"
    assert "taken over" in error.message
    assert space.color() == "green"
    back = await adapter.shift(taken, BLUE, stamp="B:shift", fence=1)  # another action has a fence of its own
    assert back.weights == BLUE


async def test_the_same_color_written_again_raises_the_fence(adapter: KubernetesSwitch) -> None:
    before = await adapter.observe()
    held = await adapter.shift(before, BLUE, stamp="A:hold", fence=3)
    assert (held.weights, held.fence) == (BLUE, 3)
    assert (await error_of(adapter.shift(before, GREEN, stamp="A:shift", fence=2))).kind == "conflict"


async def test_the_command_for_a_person_does_the_same(space: Namespace, adapter: KubernetesSwitch) -> None:
    (line,) = adapter.manual_commands(GREEN)
    words = shlex.split(line)
    if shutil.which("kubectl"):
        subprocess.run(words, check=True, timeout=60, capture_output=True)
    else:
        operations = json.loads(words[words.index("-p") + 1])
        space.api.call("PATCH", space.service, operations, "application/json-patch+json")
    assert (await adapter.observe()).weights == GREEN


# ---- rights


def as_user(space: Namespace, name: str) -> dict[str, Any]:
    return {"kubeconfig": str(space.cluster.as_user(name))}


async def test_a_user_without_rights_is_told_which_verb_is_missing(
    space: Namespace, http: Http, tmp_path: Path
) -> None:
    adapter = switch_of(space, http, tmp_path, **as_user(space, "viewer"))
    try:
        error = await error_of(adapter.observe())
        assert error.kind == "auth"
        assert 'cannot get resource "services"' in error.message
        assert (await error_of(adapter.deployment())).kind == "auth"
        assert (await adapter.color_health("blue")).healthy is None
        space.grant("viewer", [{"apiGroups": [""], "resources": ["services", "pods", "endpoints"],
                                "verbs": ["get", "list"]}])  # fmt: skip
        before = await adapter.observe()
        found = await adapter.deployment()
        assert (found.live, found.truth.endpoints.value) == ("blue", "blue")
        assert found.truth.endpoints.detail.endswith("(Endpoints)")
        error = await error_of(adapter.preflight(before, GREEN))
        assert (error.kind, error.status) == ("auth", 403)
        assert "viewer at sim may not patch services in namespace" in error.message
        error = await error_of(adapter.shift(before, GREEN, stamp="A:shift"))
        assert error.kind == "auth"
        assert 'cannot patch resource "services"' in error.message
        assert space.color() == "blue"
    finally:
        await adapter.aclose()


async def test_who_may_read_no_endpoints_knows_nothing_of_them(space: Namespace, http: Http, tmp_path: Path) -> None:
    space.grant("oncall", [{"apiGroups": [""], "resources": ["services", "pods"], "verbs": ["get", "list", "patch"]}])
    adapter = switch_of(space, http, tmp_path, **as_user(space, "oncall"))
    try:
        layer = await adapter.endpoints()
        assert layer.value == "unknown"
        assert "neither EndpointSlices nor Endpoints" in layer.detail
        findings = await adapter.preflight(await adapter.observe(), GREEN)
        identity = next(one for one in findings if one.code == "identity")
        assert identity.text.startswith(f"as oncall at sim ({space.api.server}), namespace teal-")
        assert [one.code for one in findings if one.level == "block"] == []
        assert space.get_service()["metadata"].get("annotations") is None, "a dry run wrote something"
        assert (await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")).weights == GREEN
    finally:
        await adapter.aclose()


async def test_a_forbidden_namespace_and_one_that_is_not_there(space: Namespace, http: Http, tmp_path: Path) -> None:
    for config, kind in (
        ({**as_user(space, "oncall"), "namespace": "kube-system"}, "auth"),
        ({"namespace": "no-such-namespace"}, "not_found"),
        ({"service": "no-such-service"}, "not_found"),
    ):
        adapter = switch_of(space, http, tmp_path, **config)
        error = await error_of(adapter.observe())
        assert (error.kind, bool(error.fix)) == (kind, True)
        await adapter.aclose()


async def test_an_expired_token_says_so_and_nothing_of_itself(space: Namespace, http: Http, tmp_path: Path) -> None:
    config = yaml.safe_load(space.cluster.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "expired-hunter2"
    (tmp_path / "expired").write_text(yaml.safe_dump(config))
    adapter = switch_of(space, http, tmp_path, kubeconfig="expired")
    error = await error_of(adapter.observe())
    assert error.kind == "auth"
    assert "not accepted" in error.message
    assert "sign in" in error.fix
    assert "hunter2" not in error.message + error.fix
    await adapter.aclose()


# ---- what is said before a shift


async def found_by(adapter: KubernetesSwitch, weights: dict[str, int] = GREEN) -> dict[str, Finding]:
    return {one.code: one for one in await adapter.preflight(await adapter.observe(), weights)}


async def test_a_side_that_could_carry_the_traffic_has_no_blocking_finding(adapter: KubernetesSwitch) -> None:
    found = await found_by(adapter)
    assert {code for code, one in found.items() if one.level != "ok"} == {"tls"}
    assert "may get services, patch services, list pods" in found["permissions"].text
    assert "2 ready behind the new selector" in found["capacity"].text


async def test_nothing_ready_and_too_little_ready_block(space: Namespace, adapter: KubernetesSwitch) -> None:
    space.scale("green", 1)
    space.settle()
    found = await found_by(adapter)
    assert (found["capacity"].level, found["capacity"].overridable) == ("block", True)
    assert "GREEN has 1 ready, BLUE carries the traffic with 2" in found["capacity"].text
    space.scale("green", 0)
    wait_for(lambda: not space.pods("green"))
    found = await found_by(adapter)
    assert (found["capacity"].level, found["capacity"].overridable) == ("block", False)
    health = await adapter.color_health("green")
    assert (health.healthy, health.ready, health.desired, health.version) == (False, 0, 0, "2.4.0")
    error = await error_of(adapter.shift(await adapter.observe(), GREEN, stamp="A:shift"))
    assert (error.kind, "no pod of GREEN is ready" in error.message) == ("conflict", True)
    assert space.color() == "blue"


async def test_an_autoscaler_that_keeps_a_side_small_blocks(space: Namespace, adapter: KubernetesSwitch) -> None:
    path = f"/apis/autoscaling/v1/namespaces/{space.name}/horizontalpodautoscalers"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "analytics-green"}
    body = {"metadata": {"name": "small"}, "spec": {"scaleTargetRef": target, "maxReplicas": 1}}
    space.api.call("POST", path, body)
    try:
        found = await found_by(adapter)
        assert "autoscaler small keeps GREEN at 1 at most, 2 are needed" in found["autoscaler"].text
    finally:
        space.api.call("DELETE", f"{path}/small")


async def test_others_who_own_the_selector_are_named(space: Namespace, adapter: KubernetesSwitch) -> None:
    apply(space, "argocd-application-controller")
    found = await found_by(adapter)
    assert "Argo CD owns the color in the selector" in found["owner"].text
    assert (found["owner"].level, "ignoreDifferences" in found["owner"].fix) == ("warning", True)
    assert "owners" not in found
    apply(space, "helm")
    found = await found_by(adapter)
    assert (found["owners"].level, found["owners"].overridable) == ("block", True)
    assert "Argo CD and Helm both own the color" in found["owners"].text


def apply(space: Namespace, manager: str) -> None:
    """Server-side apply of the selector as it is."""
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "analytics"},
            "spec": {"selector": {"app": "analytics", "color": "blue"}}}  # fmt: skip
    space.api.call("PATCH", space.service, body, "application/apply-patch+yaml", fieldManager=manager, force="true")


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm manages Service analytics"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD manages Service analytics"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "Flux manages Service analytics"),
        ({"annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": "x"}}, "belongs to an Argo Rollouts"),
    ],
)
async def test_the_marks_of_other_tools_are_seen(
    space: Namespace, adapter: KubernetesSwitch, metadata: dict[str, Any], says: str
) -> None:
    space.api.merge(space.service, {"metadata": metadata})
    assert says in (await found_by(adapter))["owner"].text


async def test_a_breadcrumb_of_somebody_else_blocks(space: Namespace, adapter: KubernetesSwitch) -> None:
    space.api.merge(space.service, {"metadata": {"annotations": {FENCE: "held by \u001b[31mcarol"}}})
    found = await found_by(adapter)
    assert found["breadcrumb"].level == "block"
    assert "\x1b" not in found["breadcrumb"].text
    assert "kubectl annotate service analytics" in found["breadcrumb"].fix


async def error_of(order: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await order
    return caught.value


def wait_for(true: Callable[[], object]) -> None:
    until(true, "what the test waits for", within=60)
