"""The `kubernetes` switch where the API server or the way to it fails: what is known of a write, and what is not."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends import kubernetes_api
from backends.deployments import kubernetes_control
from backends.deployments.common import shared_settings
from backends.deployments.kubernetes import KubernetesConfig, KubernetesSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.kubernetes_wire import image_repository, image_version
from backends.ports import SwitchState
from backends.registry import AdapterContext, build
from tests.backends.deployments_contract import BLUE, GREEN
from tests.backends.fake_kubernetes import SERVICE, TOKEN, FakeKubernetes, pod
from tests.backends.faulty_server import FAULTS

DISCOVERY = "/apis/discovery.k8s.io/v1/namespaces/analytics/endpointslices"


@pytest.fixture
async def server() -> AsyncIterator[FakeKubernetes]:
    async with FakeKubernetes() as server:
        yield server


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_api, "READ_TIMEOUT_S", 3.0)
    monkeypatch.setattr(kubernetes_api, "WRITE_TIMEOUT_S", 1.0)
    monkeypatch.setattr(kubernetes_control, "READ_AGAIN_S", 0.05)


def switch_of(server: FakeKubernetes, directory: Path, http: Http, **config: Any) -> KubernetesSwitch:
    kubeconfig = directory / "kubeconfig"
    if not kubeconfig.exists():
        server.kubeconfig(directory)
    context = AdapterContext("analytics", directory, directory, http)
    found: KubernetesSwitch = build(
        "deployments", "kubernetes", {"kubeconfig": "kubeconfig", "service": "analytics", **config}, context
    )
    return found


@pytest.fixture
async def adapter(server: FakeKubernetes, tmp_path: Path, http: Http) -> AsyncIterator[KubernetesSwitch]:
    adapter = switch_of(server, tmp_path, http)
    yield adapter
    await adapter.aclose()


async def refused(order: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await order
    error = caught.value
    assert error.fix
    assert TOKEN not in error.message + error.fix
    assert "\x1b" not in error.message
    return error


# ---- reads


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "slow"])
async def test_each_fault_of_a_read_is_one_error_in_time_without_a_secret(
    server: FakeKubernetes, adapter: KubernetesSwitch, fault: str
) -> None:
    server.fault = fault
    began = time.monotonic()
    error = await refused(adapter.observe())
    assert time.monotonic() - began < 20
    kinds = {"401": "auth", "403": "auth", "404": "not_found", "429": "rate_limited", "hang": "timeout"}
    assert error.kind == kinds.get(fault, error.kind)
    assert error.kind not in ("internal", "config")
    side = await adapter.color_health("blue")
    assert (side.healthy, bool(side.detail)) == (None, True)


@pytest.mark.parametrize("fault", ["429", "503", "reset", "no answer", "truncated body"])
async def test_a_read_is_tried_again_where_it_may_pass(
    server: FakeKubernetes, adapter: KubernetesSwitch, fault: str
) -> None:
    server.fault, server.faults_left = fault, 1
    assert (await adapter.observe()).weights == BLUE
    assert len(server.requests) == 2


# ---- writes


def colors_of(server: FakeKubernetes) -> tuple[str, int]:
    return server.service["spec"]["selector"]["color"], len(server.applied)


@pytest.mark.parametrize("fault", ["reset", "no answer", "hang", "truncated body", "500", "502", "503", "504"])
async def test_a_write_whose_answer_is_lost_is_found(
    server: FakeKubernetes, adapter: KubernetesSwitch, fault: str
) -> None:
    server.write_faults = [fault]
    found = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift", fence=4)
    assert (found.weights, found.stamp, found.fence) == (GREEN, "A:shift", 4)
    assert colors_of(server) == ("green", 1)
    assert len(server.patches) == 1, "it was looked for before it was sent again"


@pytest.mark.parametrize("fault", ["reset", "hang", "429", "503", "504"])
async def test_a_write_that_was_not_applied_is_sent_again(
    server: FakeKubernetes, adapter: KubernetesSwitch, fault: str
) -> None:
    server.write_faults, server.commits = [fault], False
    found = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    assert found.weights == GREEN
    assert (colors_of(server), len(server.patches)) == (("green", 1), 2)


@pytest.mark.parametrize("late_s", [0.02, 0.3])
async def test_a_write_that_is_applied_late_is_applied_once(
    server: FakeKubernetes, adapter: KubernetesSwitch, late_s: float
) -> None:
    server.write_faults, server.late_s = ["504"], late_s
    found = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    assert found.weights == GREEN
    await asyncio.sleep(late_s + 0.1)
    assert colors_of(server) == ("green", 1)
    back = await adapter.shift(found, BLUE, stamp="A:back")
    await asyncio.sleep(0.1)
    assert (back.weights, colors_of(server)) == (BLUE, ("blue", 2))


@pytest.mark.parametrize(("fault", "kind"), [("503", "unreachable"), ("hang", "timeout"), ("reset", "unreachable")])
async def test_a_write_that_nobody_answers_is_in_doubt(
    server: FakeKubernetes, adapter: KubernetesSwitch, fault: str, kind: str
) -> None:
    server.write_faults, server.commits = [fault] * 9, False
    before = await adapter.observe()
    error = await refused(adapter.shift(before, GREEN, stamp="A:shift"))
    assert error.kind == kind
    assert error.status is None or error.status >= 500
    assert len(server.patches) == kubernetes_control.SENDS
    assert await adapter.observe() == before
    assert adapter.late_write_s > kubernetes_api.WRITE_BOUND_S


async def test_a_write_says_when_the_server_must_give_it_up_and_whose_it_is(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    (patch,) = server.patches
    assert patch.target == f"{SERVICE}?fieldManager=tealdeck&timeout=8s"
    assert patch.headers["content-type"] == "application/json-patch+json"
    tested = [one["path"] for one in json.loads(patch.body) if one["op"] == "test"]
    assert tested == ["/metadata/uid", "/spec/selector", "/metadata/resourceVersion"]
    await adapter.shift(await adapter.observe(), BLUE, stamp="A:back")
    tested = [one["path"] for one in json.loads(server.patches[-1].body) if one["op"] == "test"]
    notes = "/metadata/annotations/tealdeck.io~1"
    assert tested == ["/metadata/uid", "/spec/selector", f"{notes}fence", f"{notes}op"]


async def test_a_change_by_another_while_the_answer_is_lost_is_a_conflict(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    server.write_faults, server.commits = ["hang"], False
    order = asyncio.ensure_future(adapter.shift(await adapter.observe(), GREEN, stamp="A:shift"))
    while not server.patches:
        await asyncio.sleep(0.01)
    server.service["metadata"]["annotations"] = {"tealdeck.io/op": "B:shift", "tealdeck.io/fence": "9"}
    assert (await refused(order)).kind == "conflict"
    assert colors_of(server) == ("blue", 0)


@pytest.mark.parametrize(("status", "kind"), [("409", "conflict"), ("400", "malformed"), ("403", "auth")])
async def test_a_refusal_is_that_of_the_server_and_nothing_is_written(
    server: FakeKubernetes, adapter: KubernetesSwitch, status: str, kind: str
) -> None:
    server.write_faults, server.commits = [status] * 9, False
    error = await refused(adapter.shift(await adapter.observe(), GREEN, stamp="A:shift"))
    assert (error.kind, error.status) == (kind, int(status))
    assert colors_of(server) == ("blue", 0)


async def test_a_first_write_that_meets_an_unrelated_one_is_made_again(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    server.write_faults, server.commits = ["409"], False
    assert (await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")).weights == GREEN


# ---- who we are


async def test_credentials_of_a_plugin_are_renewed_once_when_they_are_refused(
    server: FakeKubernetes, tmp_path: Path, http: Http
) -> None:
    counter = tmp_path / "runs"
    (tmp_path / "plugin").write_text(
        f"""#!/bin/sh
echo x >> {counter}
n=$(wc -l < {counter})
echo '{{"apiVersion": "client.authentication.k8s.io/v1", "status": {{"token": "'token-$n'"}}}}'
"""
    )
    (tmp_path / "plugin").chmod(0o755)
    user = {"exec": {"command": "./plugin", "apiVersion": "client.authentication.k8s.io/v1"}}
    server.kubeconfig(tmp_path, user)
    server.tokens = {"token-1"}
    adapter = switch_of(server, tmp_path, http)
    try:
        await adapter.observe()
        await adapter.observe()
        assert counter.read_text() == "x\n"
        server.tokens = {"token-2"}
        first = await adapter.observe()
        assert (await adapter.shift(first, GREEN, stamp="A:shift")).weights == GREEN
        assert counter.read_text() == "x\nx\n"
        server.tokens = set()
        assert (await refused(adapter.observe())).kind == "auth"
        assert counter.read_text() == "x\nx\nx\n"
    finally:
        await adapter.aclose()


async def test_nothing_is_read_or_run_before_the_first_request(tmp_path: Path, http: Http) -> None:
    context = AdapterContext("analytics", tmp_path, tmp_path, http)
    config = KubernetesConfig(service="analytics", kubeconfig="missing")
    adapter = KubernetesSwitch(config, context)
    before = SwitchState(weights=BLUE, revision="r")
    assert adapter.describe_shift(before, GREEN) == ["control  Service analytics: selector color: blue → green"]
    error = await refused(adapter.observe())
    assert (error.kind, "missing" in error.message) == ("config", True)
    await adapter.aclose()


# ---- what is read


def endpoint(name: str, **conditions: Any) -> dict[str, Any]:
    return {"targetRef": {"kind": "Pod", "name": name}, "conditions": conditions}


@pytest.mark.parametrize(
    ("endpoints", "value", "says"),
    [
        ([endpoint("b1", ready=True), endpoint("b2")], "blue", "BLUE 2 ready (EndpointSlices)"),
        ([endpoint("b1", ready=True), endpoint("g1", ready=True)], "mixed", "BLUE 1 ready   GREEN 1 ready"),
        ([endpoint("b1", ready=False)], "unknown", "none ready, 1 not ready"),
        (
            [endpoint("g1", ready=True), endpoint("b1", ready=False, serving=True, terminating=True)],
            "green",
            "GREEN 1 ready, 1 terminating",
        ),
        ([endpoint("stranger", ready=True), endpoint("b1", ready=True)], "unknown", "ANOTHER 1 ready"),
        ([], "unknown", "none ready"),
    ],
)
async def test_what_a_service_reaches_is_told_by_pods(
    server: FakeKubernetes, adapter: KubernetesSwitch, endpoints: list[Any], value: str, says: str
) -> None:
    server.pods = {color: [pod(f"{color[0]}{n}", color) for n in (1, 2)] for color in ("blue", "green")}
    server.objects[DISCOVERY] = (200, {"items": [{"endpoints": endpoints[:1]}, {"endpoints": endpoints[1:]}]})
    layer = await adapter.endpoints()
    assert layer.value == value
    assert says in layer.detail


async def test_pods_that_go_are_not_counted_and_two_versions_are_both_named(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    server.pods = {
        "green": [
            pod("g1", "green", image="registry:5000/team/app:2.4.1"),
            pod("g2", "green", ready=False, image="registry:5000/team/app:2.4.0"),
            pod("g3", "green", leaving=True, image="registry:5000/team/app:2.3.9"),
        ]
    }
    side = await adapter.color_health("green")
    assert (side.version, side.ready, side.desired, side.healthy) == ("2.4.0+2.4.1", 1, 2, True)
    assert (await adapter.color_health("blue")).healthy is False


async def test_hostile_words_of_a_cluster_are_cleaned(server: FakeKubernetes, adapter: KubernetesSwitch) -> None:
    evil = "gr\x1b]52;c;aGk=\x07een\u202e"
    server.service["spec"]["selector"]["color"] = evil
    server.service["metadata"]["annotations"] = {"tealdeck.io/op": evil, "tealdeck.io/fence": "-1"}
    found = await adapter.observe()
    assert (found.weights, found.stamp, found.fence) == ({}, "green", 0)
    assert "\x1b" not in found.detail
    assert "\u202e" not in found.detail


@pytest.mark.parametrize(
    ("image", "version", "repository"),
    [
        ("app:2.4.1", "2.4.1", "app"),
        ("registry:5000/team/app:2.4.1", "2.4.1", "registry:5000/team/app"),
        ("registry:5000/team/app", None, "registry:5000/team/app"),
        ("app:2@sha256:abc", "2", "app"),
        ("r/app@sha256:abc", "sha256:abc", "r/app"),
        ("", None, ""),
    ],
)
def test_a_version_is_the_tag_of_an_image(image: str, version: str | None, repository: str) -> None:
    assert (image_version(image), image_repository(image)) == (version, repository)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"service": ""}, "neither may be empty"),
        ({"deployments": {"blue": "b", "green": "g"}, "health": {"red": "http://x"}}, "the same colors"),
        ({"servce": "x"}, "servce"),
    ],
)
def test_a_config_that_cannot_be_is_refused(config: dict[str, Any], says: str, tmp_path: Path, http: Http) -> None:
    context = AdapterContext("analytics", tmp_path, tmp_path, http)
    with pytest.raises(BackendError, match=says) as caught:
        build("deployments", "kubernetes", {"service": "analytics", **config}, context)
    assert caught.value.kind == "config"


def test_the_colors_are_those_of_the_deployments() -> None:
    assert KubernetesConfig(service="s", deployments={"a": "s-a", "b": "s-b"}).colors == ("a", "b")
    assert KubernetesConfig(service="s").colors == ("blue", "green")
    entry = {"type": "kubernetes", "service": "s", "deployments": {"a": "s-a", "b": "s-b"}}
    assert shared_settings(entry).colors == ("a", "b"), "as an action sees them, which knows no adapter's config"
    assert shared_settings({"health": {"x": "http://x", "y": "http://y"}}).colors == ("x", "y")
