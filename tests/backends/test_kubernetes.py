"""The `kubernetes` switch where the API server or the way to it fails: what is known of a write, and what is not."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.deployments.common import shared_settings
from backends.deployments.kubernetes import control as kubernetes_control
from backends.deployments.kubernetes.switch import KubernetesConfig, KubernetesSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.kubernetes import api as kubernetes_api
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import EndpointSlice, Items, Pod, Service, image_repository, image_version
from backends.ports import SwitchState
from backends.registry import AdapterContext, build
from backends.testing.deployments import BLUE, GREEN
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
    assert adapter.write_settles_s > kubernetes_api.WRITE_BOUND_S


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


# ---- the way to it


class Bastion:
    """A proxy that passes everything to `server`, whatever was asked for, and remembers what that was."""

    def __init__(self, server: FakeKubernetes) -> None:
        self.server = server
        self.asked: list[str] = []
        self.url = ""

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.partition(b" ")
        target, _, rest = rest.partition(b" ")
        self.asked.append(target.decode())
        path = b"/" + target.split(b"/", 3)[3]
        there, back = await asyncio.open_connection("127.0.0.1", self.server.port)
        back.write(b" ".join([method, path, rest]))
        answer = await there.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        writer.write(answer.replace(b"\r\n", b"\r\nconnection: close\r\n", 1) + await there.readexactly(length))
        for each in (back, writer):
            each.close()


@pytest.fixture
async def bastion(server: FakeKubernetes) -> AsyncIterator[Bastion]:
    found = Bastion(server)
    listening = await asyncio.start_server(found.pass_on, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield found


def with_cluster(directory: Path, **cluster: Any) -> KubernetesApi:
    path = directory / "kubeconfig"
    data = yaml.safe_load(path.read_text())
    data["clusters"][0]["cluster"] |= cluster
    path.write_text(yaml.safe_dump(data))
    return KubernetesApi(kubeconfig="kubeconfig", context="", namespace="", base_dir=directory)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.255.255.1", "api.example"])
async def test_proxy_url_counts_for_every_address(
    server: FakeKubernetes, bastion: Bastion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")  # is about the environment's
    server.kubeconfig(tmp_path)
    async with FakeKubernetes() as other:  # as a cluster of this host, on the port of the one behind the bastion
        api = with_cluster(tmp_path, server=f"http://{host}:{other.port}", **{"proxy-url": bastion.url})
        try:
            service = await api.get(SERVICE, Service)
            lines = [line async for line in api.lines(SERVICE, params={}, idle_s=3)]
        finally:
            await api.aclose()
        assert other.requests == []
    assert (service.metadata.name, len(lines)) == ("analytics", 1)
    assert bastion.asked == [f"http://{host}:{other.port}{SERVICE}"] * 2


async def test_a_proxy_url_that_is_none_is_named_and_not_gone_around(server: FakeKubernetes, tmp_path: Path) -> None:
    server.kubeconfig(tmp_path)
    api = with_cluster(tmp_path, **{"proxy-url": "socks4://oncall:s3cr3tPass@127.0.0.1:1"})
    error = await refused(api.get(SERVICE, Service))
    await api.aclose()
    assert (error.kind, server.requests) == ("config", [])
    assert "proxy-url of context fake in the kubeconfig" in error.message
    assert "s3cr3tPass" not in error.message


async def test_a_proxy_url_that_refuses_is_not_gone_around(server: FakeKubernetes, tmp_path: Path) -> None:
    server.kubeconfig(tmp_path)
    api = with_cluster(tmp_path, **{"proxy-url": "http://127.0.0.1:1"})
    error = await refused(api.get(SERVICE, Service))
    await api.aclose()
    assert (error.kind, server.requests) == ("unreachable", [])
    assert "(by proxy http://127.0.0.1:1): connection refused" in error.message


# ---- null is nothing


async def test_a_null_in_an_answer_is_nothing(server: FakeKubernetes, tmp_path: Path) -> None:
    nulls = {
        "metadata": {"name": "x", "uid": None, "labels": None, "generation": None, "managedFields": None},
        "spec": {"containers": [{"name": "app", "image": None}], "nodeName": None},
        "status": {
            "phase": None, "conditions": [{"type": "Ready", "status": None, "reason": None}],
            "containerStatuses": [{"name": "app", "ready": None, "restartCount": None, "state": None}],
        },
    }  # fmt: skip
    server.objects["/none"] = (200, {"kind": "PodList", "items": None})
    server.objects["/some"] = (200, {"items": [nulls, {**nulls, "spec": {"containers": None}}]})
    server.objects["/slices"] = (200, {"items": [{"endpoints": None}, {"endpoints": [{"conditions": None}]}]})
    server.objects["/status"] = (200, {"kind": "Status", "message": "what is this?"})
    server.kubeconfig(tmp_path)
    api = with_cluster(tmp_path)
    try:
        assert (await api.get("/none", Items[Pod])).items == []
        first, second = (await api.get("/some", Items[Pod])).items
        assert (first.metadata.name, first.is_ready, second.spec.containers) == ("x", False, [])
        assert len((await api.get("/slices", Items[EndpointSlice])).items) == 2
        assert "items" in (await refused(api.get("/status", Items[Pod]))).message
    finally:
        await api.aclose()


async def test_a_label_selector_that_is_refused_is_named(server: FakeKubernetes, tmp_path: Path) -> None:
    server.objects["/pods-by"] = (400, {"kind": "Status", "message": "unable to parse requirement: x"})
    server.kubeconfig(tmp_path)
    api = with_cluster(tmp_path)
    error = await refused(api.get("/pods-by", Items[Pod], params={"labelSelector": "a=(b"}))
    await api.aclose()
    assert (error.kind, error.fix) == ("config", 'correct the label selector "a=(b"')


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_a_tunnel_is_asked_for_every_address(server: FakeKubernetes, tmp_path: Path, host: str) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b" HTTP")[0])
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with listening:
        server.kubeconfig(tmp_path)
        proxy = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        api = with_cluster(tmp_path, server=f"https://{host}:6443", **{"proxy-url": proxy})
        error = await refused(api.send("GET", SERVICE))
        await api.aclose()
    assert (error.kind, asked) == ("unreachable", [f"CONNECT {host}:6443".encode()])
    assert "403 Forbidden" in error.message
