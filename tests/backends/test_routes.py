"""The switches `gateway-api` and `istio` over objects as a person may have left them: what is refused, with which words
and before anything is written, and what of a route is to be known before it is moved."""

import asyncio
import copy
import json
import shlex
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.istio import virtual_service
from backends.deployments.kubernetes import cluster_switch, control
from backends.deployments.kubernetes.cluster_switch import ClusterSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.models import Finding
from backends.registry import AdapterContext, build
from backends.testing.deployments import BLUE, GREEN
from tests.backends.fake_kubernetes import FakeKubernetes
from tests.backends.test_kubernetes_owners import REVIEWS

Switch = ClusterSwitch[Any]
NAMESPACE = "/api/v1/namespaces/analytics"
COLORS = ("blue", "green")
GATEWAY, ISTIO = "gateway.networking.k8s.io", "networking.istio.io"
ROUTE = f"/apis/{GATEWAY}/v1/namespaces/analytics/httproutes/web"
VIRTUAL = f"/apis/{ISTIO}/v1/namespaces/analytics/virtualservices/web"
RULES = f"/apis/{ISTIO}/v1/namespaces/analytics/destinationrules"
LONG_AGO = "2026-01-01T00:00:00Z"
SERVICES = {color: f"web-{color}" for color in COLORS}


def condition(kind: str, status: str = "True", **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": status, "observedGeneration": 3, **more}


def parent(name: str = "edge", *conditions: dict[str, Any]) -> dict[str, Any]:
    told = conditions or (condition("Accepted"), condition("ResolvedRefs"))
    return {"parentRef": {"name": name}, "controllerName": "x/y", "conditions": list(told)}


def ref(color: str, weight: int | None = None, **more: Any) -> dict[str, Any]:
    return {"name": f"web-{color}", "port": 80, **({} if weight is None else {"weight": weight}), **more}


def rule(*refs: dict[str, Any], name: str = "api", path: str = "/", **more: Any) -> dict[str, Any]:
    named = {"name": name} if name else {}
    return {**named, "matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": list(refs), **more}


def route(*rules: dict[str, Any], parents: tuple[str, ...] = ("edge",)) -> dict[str, Any]:
    made = rules or (rule(ref("blue", 100), ref("green", 0)),)
    return {
        "metadata": {
            "name": "web", "namespace": "analytics", "uid": "u-1", "resourceVersion": "1", "generation": 3,
        },
        "spec": {
            "parentRefs": [{"name": each} for each in parents], "hostnames": ["api.test"], "rules": list(made),
        },
        "status": {"parents": [parent(each) for each in parents]},
    }  # fmt: skip


def to(subset: str, weight: int | None = None, host: str = "web", **more: Any) -> dict[str, Any]:
    weighed = {} if weight is None else {"weight": weight}
    return {"destination": {"host": host, **({"subset": subset} if subset else {}), **more}, **weighed}


def virtual(*routes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    made = routes or ({"name": "api", "route": [to("blue", 100), to("green", 0)]},)
    metadata = {"name": "web", "namespace": "analytics", "uid": "u-1", "resourceVersion": "1", "generation": 3}
    return {"metadata": metadata, "spec": {"hosts": ["web"], "http": list(made), **spec}}


def destination_rule(*subsets: str, host: str = "web", at: str = LONG_AGO) -> dict[str, Any]:
    named = [{"name": each, "labels": {"color": each}} for each in subsets]
    managed = [{"manager": "kubectl", "operation": "Update", "time": at, "fieldsV1": {"f:spec": {}}}]
    return {"metadata": {"name": "web", "managedFields": managed}, "spec": {"host": host, "subsets": named}}


def service(name: str, **selector: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"selector": {"app": "analytics", **selector}}}


class Routes(FakeKubernetes):
    """With both kinds of routes, and endpoints behind each Service."""

    def has(self, kind: str) -> None:
        self.at, self.service = (ROUTE, route()) if kind == "gateway-api" else (VIRTUAL, virtual())
        self.objects |= REVIEWS
        self.objects[f"{NAMESPACE}/services/web"] = (200, service("web"))
        self.objects[RULES] = (200, {"items": [destination_rule(*COLORS)]})
        self.ready(*COLORS)
        for color in COLORS:
            self.objects[f"{NAMESPACE}/services/web-{color}"] = (200, service(f"web-{color}", color=color))

    def ready(self, *colors: str) -> None:
        """The pods of these are endpoints, of their own Service and of the one for both."""
        addresses = {
            color: [{"ip": "1", "targetRef": {"name": f"{color[0]}1"}}] if color in colors else [] for color in COLORS
        }
        for name, found in (
            ("web", [*addresses["blue"], *addresses["green"]]),
            *((f"web-{c}", a) for c, a in addresses.items()),
        ):
            self.objects[f"{NAMESPACE}/endpoints/{name}"] = (200, {"subsets": [{"addresses": found}]})


@pytest.fixture
async def server() -> AsyncIterator[Routes]:
    async with Routes() as server:
        yield server


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "READ_AGAIN_S", 0.01)
    monkeypatch.setattr(cluster_switch, "IN_FORCE_S", 0.05)
    monkeypatch.setattr(cluster_switch, "_LOOK_S", 0.01)


ENTRIES: dict[str, dict[str, Any]] = {
    "gateway-api": {"route": "web", "services": SERVICES},
    "istio": {"virtual_service": "web", "host": "web", "subsets": {color: color for color in COLORS}},
}


def switch_of(kind: str, server: Routes, directory: Path, http: Http, **config: Any) -> Switch:
    if not (directory / "kubeconfig").exists():
        server.kubeconfig(directory)
    entry = {"kubeconfig": "kubeconfig", **ENTRIES[kind], **config}
    found: Switch = build("deployments", kind, entry, AdapterContext("web", directory, directory, http))
    return found


Build = Any


@pytest.fixture
async def make(server: Routes, tmp_path: Path, http: Http) -> AsyncIterator[Build]:
    """A switch of that type over the fake server; closed afterwards."""
    built: list[Switch] = []

    def make(kind: str, **config: Any) -> Switch:
        server.has(kind)
        built.append(switch_of(kind, server, tmp_path, http, **config))
        return built[-1]

    yield make
    for each in built:
        await each.aclose()


async def blocked(adapter: Switch) -> dict[str, Finding]:
    found = await adapter.preflight(await adapter.observe(), GREEN)
    return {one.code: one for one in found if one.level == "block"}


async def said(adapter: Switch, code: str) -> list[Finding]:
    return [one for one in await adapter.preflight(await adapter.observe(), GREEN) if one.code == code]


async def refused(order: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await order
    assert caught.value.fix
    assert "\n" not in caught.value.message
    return caught.value


async def is_refused(adapter: Switch, server: Routes, says: str) -> None:
    """Unknown, with these words; nothing may be planned on it, and nothing is written over."""
    found = await adapter.observe()
    assert (found.weights, found.live) == ({}, "unknown")
    assert says in found.detail.splitlines()[0], found.detail
    assert found.detail.splitlines()[1:], "what to do is said"
    (finding,) = (await blocked(adapter)).values()
    assert (finding.code, says in finding.text, bool(finding.fix)) == ("route", True, True)
    error = await refused(adapter.shift(found, GREEN, stamp="A:shift"))
    assert (error.kind, says in error.message) == ("conflict", True)
    assert adapter.manual_commands(GREEN) == []
    assert server.applied == []


# ---- routes that nobody can move as they stand


@pytest.mark.parametrize(
    ("rules", "config", "says"),
    [
        ([rule(ref("blue", 100), name="a")], {"rule": "api"}, "no rules are called api (there are: a)"),
        ([rule(ref("blue", 1)), rule(ref("blue", 1), path="/v2")], {"rule": "api"}, "2 rules are called api"),
        (
            [rule(ref("blue", 1), name="a"), rule(ref("green", 1), name="b")],
            {},
            "2 rules send to its Services (there are: a, b)",
        ),
        ([rule(ref("blue", 1), name=""), rule(ref("blue", 0), name="")], {"match": {"path": "/"}}, "2 rules match /"),
        ([rule(ref("blue", 1), name="")], {"match": {"path": "/v2"}}, "no rules match /v2 (there are: /)"),
        ([rule(ref("blue", 1), name="")], {"match": {"host": "x.test"}}, "no rules match x.test/"),
        ([rule(ref("blue", 0), ref("green", 0))], {}, "the weights of rule api sum to 0"),
        ([rule(ref("blue", -5), ref("green", 10))], {}, "rule api gives web-blue the weight -5"),
        ([rule(ref("blue", 1), ref("red", 1))], {}, "rule api also sends to web-red, which is no color here"),
        ([rule(ref("blue", 1), ref("blue", 1, port=81))], {}, "rule api names BLUE 2 times"),
        ([rule(ref("red", 1))], {"rule": "api"}, "rule api sends to none of its colors, but to web-red"),
        (
            [rule(ref("blue", 1), ref("green", 0, kind="ServiceImport", group="x"))],
            {},
            "sends to the ServiceImport web-green",
        ),
        (
            [rule(ref("blue", 1), ref("green", 0, namespace="other"))],
            {},
            "sends to other/web-green, in another namespace",
        ),
        ([], {"rule": "api"}, "no rules are called api"),
    ],
)
async def test_an_http_route_that_can_not_be_moved_is_refused_in_one_line(
    make: Build, server: Routes, rules: list[Any], config: dict[str, Any], says: str
) -> None:
    adapter = make("gateway-api", **config)
    server.service["spec"]["rules"] = rules
    await is_refused(adapter, server, says)


@pytest.mark.parametrize(
    ("spec", "config", "says"),
    [
        (
            virtual({"name": "a", "route": [to("blue")]}),
            {"http_route": "api"},
            "no http routes are called api (there are: a)",
        ),
        (virtual(*[{"name": "api", "route": [to("blue")]}] * 2), {"http_route": "api"}, "2 http routes are called api"),
        (virtual(*[{"route": [to("blue")]}] * 2), {}, "2 http routes send to its colors"),
        (virtual({"name": "api", "route": [to("blue"), to("green")]}), {}, "the weights of http route api sum to 0"),
        (virtual({"name": "api", "route": [to("blue", -1), to("green", 101)]}), {}, "gives web/blue the weight -1"),
        (virtual({"name": "api", "route": [to("blue", 50), to("red", 50)]}), {}, "also sends to web/red"),
        (
            virtual({"name": "api", "route": [to("blue", 1), to("", 1, "x.example.com")]}),
            {},
            "also sends to x.example.com",
        ),
        (virtual(tls=[{"match": [], "route": [to("blue")]}]), {}, "it routes TLS, whose weights are not moved here"),
        (virtual(tcp=[{"route": [to("green")]}]), {}, "it routes TCP, whose weights are not moved here"),
        (virtual({"name": "api", "delegate": {"name": "x"}}), {"http_route": "api"}, "http route api has a delegate"),
        (virtual({"name": "api", "redirect": {"uri": "/"}}), {"http_route": "api"}, "http route api has a redirect"),
    ],
)
async def test_a_virtual_service_that_can_not_be_moved_is_refused_in_one_line(
    make: Build, server: Routes, spec: dict[str, Any], config: dict[str, Any], says: str
) -> None:
    adapter = make("istio", **config)
    server.service = copy.deepcopy(spec)
    await is_refused(adapter, server, says)


async def test_a_virtual_service_of_tcp_alone_is_refused(make: Build, server: Routes) -> None:
    adapter = make("istio")
    server.service["spec"] = {"hosts": ["web"], "tcp": [{"route": [to("", None, "db")]}]}
    await is_refused(adapter, server, "it routes TCP")


# ---- kinds that are not there


@pytest.mark.parametrize(
    ("kind", "group", "plural"), [("gateway-api", GATEWAY, "httproutes"), ("istio", ISTIO, "virtualservices")]
)
async def test_a_kind_that_is_not_installed_or_of_an_unknown_version_is_told_from_an_object_that_is_not_there(
    make: Build, server: Routes, kind: str, group: str, plural: str
) -> None:
    adapter = make(kind)
    server.at = "/nowhere"
    error = await refused(adapter.observe())
    assert (error.kind, f"the CRD {plural}.{group} is not installed" in error.message) == ("not_found", True)
    served = [{"version": "v1alpha2", "groupVersion": "x"}]
    server.objects[f"/apis/{group}"] = (200, {"versions": served})
    error = await refused(adapter.observe())
    assert (error.kind, "v1alpha2" in error.message, "known here: v1, v1beta1" in error.message) == (
        "config",
        True,
        True,
    )
    server.objects[f"/apis/{group}"] = (200, {"versions": [{"version": "v1"}]})
    server.objects[f"/apis/{group}/v1"] = (200, {"resources": [{"name": "others"}]})
    assert "is not installed" in (await refused(adapter.observe())).message
    server.objects[f"/apis/{group}/v1"] = (200, {"resources": [{"name": plural}]})
    error = await refused(adapter.observe())
    assert (error.kind, " web in namespace analytics" in error.message) == ("not_found", True)


@pytest.mark.parametrize("kind", ENTRIES)
async def test_an_older_version_that_is_served_alone_is_spoken(make: Build, server: Routes, kind: str) -> None:
    adapter = make(kind)
    group = GATEWAY if kind == "gateway-api" else ISTIO
    plural = server.at.split("/")[-2]
    server.at = server.at.replace("/v1/", "/v1beta1/")
    server.objects[f"/apis/{group}"] = (200, {"versions": [{"version": "v1beta1"}]})
    server.objects[f"/apis/{group}/v1beta1"] = (200, {"resources": [{"name": plural}, {"name": "destinationrules"}]})
    if kind == "istio":
        server.objects[RULES.replace("/v1/", "/v1beta1/")] = server.objects.pop(RULES)
    found = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    assert found.weights == GREEN


# ---- weights as the APIs read them


@pytest.mark.parametrize(
    ("refs", "weights"),
    [
        ([ref("blue"), ref("green")], {"blue": 50, "green": 50}),
        ([ref("blue", 9), ref("green")], {"blue": 90, "green": 10}),
        ([ref("blue", 1), ref("green", 0), ref("red", 0)], BLUE),
        ([ref("green")], GREEN),
        ([ref("blue", 1_000_000), ref("green", 0)], BLUE),
    ],
)
async def test_an_absent_weight_of_an_http_route_is_1_and_weights_are_relative(
    make: Build, server: Routes, refs: list[Any], weights: dict[str, int]
) -> None:
    adapter = make("gateway-api")
    server.service["spec"]["rules"] = [rule(*refs)]
    assert (await adapter.observe()).weights == weights


@pytest.mark.parametrize(
    ("route", "weights"),
    [
        ([to("blue")], BLUE),
        ([to("green", 0)], GREEN),
        ([to("blue", 90), to("green")], BLUE),
        ([to("blue", 3), to("green", 1)], {"blue": 75, "green": 25}),
        ([to("blue", 1, "web.analytics.svc.cluster.local"), to("green", 0, "web.analytics")], BLUE),
    ],
)
async def test_a_single_destination_gets_all_and_an_absent_weight_beside_others_is_0(
    make: Build, server: Routes, route: list[Any], weights: dict[str, int]
) -> None:
    adapter = make("istio")
    server.service["spec"]["http"] = [{"name": "api", "route": route}]
    assert (await adapter.observe()).weights == weights


# ---- what is written


def but_weights(found: dict[str, Any]) -> str:
    text = json.dumps(found["spec"], sort_keys=True)
    for weight in (0, 10, 90, 100):
        text = text.replace(f', "weight": {weight}}}', "}")
    return text


@pytest.mark.parametrize("kind", ENTRIES)
async def test_one_patch_tests_what_was_read_and_writes_both_weights(make: Build, server: Routes, kind: str) -> None:
    adapter = make(kind)
    before = copy.deepcopy(server.service)
    found = await adapter.shift(await adapter.observe(), {"blue": 90, "green": 10}, stamp="A:shift", fence=4)
    assert (found.weights, found.stamp, found.fence) == ({"blue": 90, "green": 10}, "A:shift", 4)
    (operations,) = server.applied
    tested = [one["path"] for one in operations if one["op"] == "test"]
    at, refs = ("/spec/rules/0", "backendRefs") if kind == "gateway-api" else ("/spec/http/0", "route")
    assert tested == ["/metadata/uid", f"{at}/name", f"{at}/{refs}", "/metadata/resourceVersion"]
    written = {one["path"]: one["value"] for one in operations if one["path"].endswith("weight")}
    assert written == {f"{at}/{refs}/0/weight": 90, f"{at}/{refs}/1/weight": 10}
    await adapter.shift(found, BLUE, stamp="A:back", fence=4)
    assert but_weights(server.service) == but_weights(before)


async def test_the_first_release_adds_the_second_destination_in_the_same_patch(make: Build, server: Routes) -> None:
    adapter = make("istio")
    only = to("blue", None, "web.analytics.svc.cluster.local", port={"number": 80})
    server.service["spec"]["http"] = [{"name": "api", "route": [only]}]
    (finding,) = await said(adapter, "destination")
    assert (finding.level, "does not name GREEN yet" in finding.text) == ("ok", True)
    found = await adapter.shift(await adapter.observe(), {"blue": 90, "green": 10}, stamp="A:shift")
    blue, green = server.service["spec"]["http"][0]["route"]
    assert (blue, green["weight"], found.weights) == ({**only, "weight": 90}, 10, {"blue": 90, "green": 10})
    assert green["destination"] == {**only["destination"], "subset": "green"}
    assert len(server.applied) == 1
    await adapter.shift(found, BLUE, stamp="A:back")
    assert [each["weight"] for each in server.service["spec"]["http"][0]["route"]] == [100, 0]


async def test_the_first_release_of_an_http_route_and_of_two_hosts_do_so_too(make: Build, server: Routes) -> None:
    adapter = make("gateway-api")
    server.service["spec"]["rules"] = [rule(ref("blue", filters=[{"type": "ResponseHeaderModifier"}]))]
    assert (await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")).weights == GREEN
    assert server.service["spec"]["rules"][0]["backendRefs"][1] == ref("green", 100)
    adapter = make("istio", host="", subsets={}, services=SERVICES)
    server.service["spec"]["http"] = [{"route": [to("", None, "web-blue.analytics.svc.cluster.local")]}]
    assert (await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")).weights == GREEN
    added = server.service["spec"]["http"][0]["route"][1]
    assert added == to("", 100, "web-green.analytics.svc.cluster.local")


async def test_several_rules_move_in_one_patch_and_each_goes_back_to_its_own(make: Build, server: Routes) -> None:
    adapter = make("gateway-api", rule=["a", "b"])
    server.service["spec"]["rules"] = [
        rule(ref("blue", 1), ref("green", 0), name="b"),
        rule(ref("green", 3), ref("blue", 1), name="a", path="/a"),
        rule(ref("blue", 1), name="c", path="/c"),
    ]
    before = await adapter.observe()
    parts = {"rule a": {"blue": 25, "green": 75}, "rule b": BLUE}
    assert (before.parts, before.live, "its rules differ" in before.detail) == (parts, "mixed", True)
    found = await adapter.shift(before, GREEN, stamp="A:shift")
    assert (found.weights, found.parts, len(server.applied)) == (GREEN, {}, 1)
    assert server.service["spec"]["rules"][2] == rule(ref("blue", 1), name="c", path="/c")
    back = type(found)(
        **{name: getattr(found, name) for name in found.__struct_fields__} | {"back_to": parts, "over": True}
    )
    again = await adapter.shift(back, before.weights, stamp="A:back")
    assert again.parts == parts


@pytest.mark.parametrize("kind", ENTRIES)
@pytest.mark.parametrize("edit", ["weights", "there and back", "another field"])
async def test_an_edit_since_is_a_conflict(make: Build, server: Routes, kind: str, edit: str) -> None:
    adapter = make(kind)
    expected = await adapter.observe()
    metadata, spec = server.service["metadata"], server.service["spec"]
    metadata["generation"] += 2 if edit == "there and back" else 1
    rules = spec.get("rules") or spec["http"]
    if edit == "weights":
        rules[0]["backendRefs" if kind == "gateway-api" else "route"][0]["weight"] = 70
    elif edit == "another field":
        spec["hostnames"] = ["other.test"]
    error = await refused(adapter.shift(expected, GREEN, stamp="A:shift"))
    assert (error.kind, server.applied) == ("conflict", [])


async def test_a_rule_that_somebody_put_in_front_is_not_taken_for_the_one_that_was_read(
    make: Build, server: Routes
) -> None:
    adapter = make("gateway-api", rule="api")
    server.service["spec"]["rules"] = [rule(ref("blue", 1), ref("green", 0))]
    read = await adapter._control.read()
    operations = adapter._control.patch(read, GREEN, stamp="A:shift", fence=0)
    server.service["spec"]["rules"].insert(0, rule(ref("blue", 1), ref("green", 0), name="new", path="/new"))
    error = await refused(adapter._api.patch(ROUTE, operations, dict))
    assert (error.status, server.applied) == (422, [])


@pytest.mark.parametrize("kind", ENTRIES)
async def test_traffic_goes_to_no_side_without_endpoints(make: Build, server: Routes, kind: str) -> None:
    adapter = make(kind)
    server.ready("blue")
    assert "GREEN would answer nothing" in (await blocked(adapter))["capacity"].text
    error = await refused(adapter.shift(await adapter.observe(), {"blue": 95, "green": 5}, stamp="A:shift"))
    assert (error.kind, "no pod of GREEN is ready" in error.message, server.applied) == ("conflict", True, [])


async def test_the_command_for_hands_names_what_was_read(make: Build, server: Routes) -> None:
    adapter = make("gateway-api")
    assert adapter.manual_commands(GREEN) == [], "nobody knows where the weights stand"
    await adapter.observe()
    (line,) = adapter.manual_commands(GREEN)
    words = shlex.split(line)
    operations = json.loads(words[words.index("-p") + 1])
    assert words[-5:-3] == ["httproute", "web"]
    assert [one["path"] for one in operations] == [
        "/spec/rules/0/name", "/spec/rules/0/backendRefs/0/weight", "/spec/rules/0/backendRefs/1/weight",
    ]  # fmt: skip


# ---- in force


TAKEN = (condition("Accepted"), condition("ResolvedRefs"))
REFUSED = condition("ResolvedRefs", "False", reason="BackendNotFound", message="no web-green")
OLD = {**condition("Accepted"), "observedGeneration": 2}


@pytest.mark.parametrize(
    ("parents", "told", "says"),
    [
        (
            ("edge",),
            [parent("edge", OLD, condition("ResolvedRefs"))],
            "Gateway edge has not taken generation 3 over yet",
        ),
        (("edge",), [parent("edge", condition("Accepted"))], "Gateway edge has not taken generation 3 over yet"),
        (
            ("edge",),
            [parent("edge", condition("Accepted"), REFUSED)],
            "says ResolvedRefs False: BackendNotFound: no web-green",
        ),
        (("edge", "inner"), [parent("edge")], "Gateway inner says nothing of it"),
        (
            ("edge", "inner"),
            [parent("edge"), parent("inner", OLD, condition("ResolvedRefs"))],
            "Gateway inner has not taken",
        ),
        ((), [], "it is attached to no parent"),
    ],
)
async def test_a_route_is_in_force_when_each_parent_has_accepted_this_generation(
    make: Build, server: Routes, parents: tuple[str, ...], told: list[Any], says: str
) -> None:
    adapter = make("gateway-api")
    server.service = route(parents=parents)
    assert (await adapter.observe()).pending == "" or not parents
    server.service["status"]["parents"] = told
    found = await adapter.observe()
    assert (says in found.pending, found.weights) == (True, BLUE)
    assert says in (await adapter.endpoints()).detail
    finding = (await blocked(adapter))["route"]
    assert (says in finding.text, finding.overridable) == (True, True), "the way back is warned"


async def test_a_parent_of_a_second_controller_that_is_gone_keeps_nobody(make: Build, server: Routes) -> None:
    adapter = make("gateway-api")
    server.service["status"]["parents"].insert(0, parent("edge", OLD))
    assert (await adapter.observe()).pending == ""


async def test_a_shift_returns_when_it_is_in_force_or_says_what_is_pending(
    make: Build, server: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make("gateway-api")
    there = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    assert "has not taken generation 4 over yet" in there.pending
    monkeypatch.setattr(cluster_switch, "IN_FORCE_S", 5.0)
    shifting = asyncio.create_task(adapter.shift(there, BLUE, stamp="A:back"))
    while server.service["metadata"]["generation"] < 5:
        await asyncio.sleep(0.01)
    told = [{**condition(kind), "observedGeneration": 5} for kind in ("Accepted", "ResolvedRefs")]
    server.service["status"]["parents"] = [parent("edge", *told)]
    assert (await shifting).pending == ""


# ---- what is to be known before


async def test_a_rule_that_copies_its_requests_is_said(make: Build, server: Routes) -> None:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shadow", "port": 80}}}
    adapter = make("gateway-api", rule="api")
    server.service["spec"]["rules"] = [
        rule(ref("blue", 1), ref("green", 0), filters=[mirror]),
        rule(ref("green", 1), name="beside", path="/x", sessionPersistence={"type": "Cookie"}),
    ]
    assert [one.text for one in await said(adapter, "mirror")] == [
        "rule api copies its requests to shadow (RequestMirror)"
    ]
    assert "rule beside of HTTPRoute web sends to these Services too" in (await said(adapter, "rules"))[0].text
    assert await said(adapter, "stickiness") == []
    server.service["spec"]["rules"][0]["sessionPersistence"] = {"type": "Cookie"}
    assert len(await said(adapter, "stickiness")) == 1
    adapter = make("istio")
    server.service["spec"]["http"] = [
        {"name": "api", "route": [to("blue", 1), to("green", 0)], "fault": {"abort": {"httpStatus": 500}},
         "mirror": {"host": "a"}, "mirrors": [{"destination": {"host": "b", "subset": "s"}}]},
    ]  # fmt: skip
    assert [one.text.rpartition(" ")[2] for one in await said(adapter, "mirror")] == ["a", "b/s"]
    assert "injects faults (abort)" in (await said(adapter, "fault"))[0].text


@pytest.mark.parametrize("kind", ENTRIES)
@pytest.mark.parametrize(
    ("manager", "level", "says"),
    [
        ("argocd-controller", "warning", "jqPathExpressions .spec."),
        ("flagger", "block", "spec.suspend"),
        ("rollouts-controller", "block", "promote or abort it"),
    ],
)
async def test_who_else_owns_the_weights_is_named(
    make: Build, server: Routes, kind: str, manager: str, level: str, says: str
) -> None:
    adapter = make(kind)
    owned = {"f:spec": {"f:rules" if kind == "gateway-api" else "f:http": {}}}
    server.service["metadata"]["managedFields"] = [{"manager": manager, "operation": "Update", "fieldsV1": owned}]
    (finding,) = await said(adapter, "owner")
    assert (finding.level, says in finding.fix, "owns the weights of" in finding.text) == (level, True, True)
    server.service["metadata"]["managedFields"] = []
    server.service["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"spec": server.service["spec"]}),
    }
    (finding,) = await said(adapter, "owner")
    assert "the next `kubectl apply` switches back" in finding.fix


async def test_both_colors_on_the_same_pods_block(make: Build, server: Routes) -> None:
    adapter = make("gateway-api")
    server.pods["green"] = server.pods["blue"]
    assert "1 pods get the requests of both colors: b1" in (await blocked(adapter))["endpoints"].text


async def test_a_service_in_another_namespace_needs_a_grant(make: Build, server: Routes) -> None:
    adapter = make("gateway-api", services={"blue": "web-blue", "green": "other/web-green"})
    server.service["spec"]["rules"] = [rule(ref("blue", 1), ref("green", 0, namespace="other"))]
    other = "/api/v1/namespaces/other"
    server.objects[f"{other}/services/web-green"] = (200, service("web-green", color="green"))
    server.objects[f"{other}/endpoints/web-green"] = server.objects[f"{NAMESPACE}/endpoints/web-green"]
    grants = f"/apis/{GATEWAY}/v1beta1/namespaces/other/referencegrants"
    assert "no ReferenceGrant in namespace other" in (await blocked(adapter))["grant"].text
    server.objects[f"/apis/{GATEWAY}"] = (200, {"versions": [{"version": "v1"}, {"version": "v1beta1"}]})
    server.objects[f"/apis/{GATEWAY}/v1"] = (200, {"resources": [{"name": "httproutes"}]})
    server.objects[f"/apis/{GATEWAY}/v1beta1"] = (200, {"resources": [{"name": "referencegrants"}]})
    source = {"group": GATEWAY, "kind": "HTTPRoute", "namespace": "analytics"}
    for name, code in (("web-blue", ["grant"]), ("web-green", [])):
        grant = {
            "metadata": {"name": "g"},
            "spec": {"from": [source], "to": [{"group": "", "kind": "Service", "name": name}]},
        }
        server.objects[grants] = (200, {"items": [grant]})
        assert list(await blocked(adapter)) == code
    assert (await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")).weights == GREEN


# ---- subsets: made before they are referenced


async def test_a_subset_that_is_not_there_gets_no_traffic(make: Build, server: Routes) -> None:
    adapter = make("istio")
    server.objects[RULES] = (200, {"items": [destination_rule("blue"), destination_rule("green", host="other")]})
    found = await blocked(adapter)
    assert "no DestinationRule of host web has the subset green" in found["sides"].text
    error = await refused(adapter.shift(await adapter.observe(), {"blue": 99, "green": 1}, stamp="A:shift"))
    assert (error.kind, server.applied) == ("conflict", [])
    assert (await adapter.color_health("green")).healthy is None


@pytest.mark.parametrize("kind", ENTRIES)
async def test_a_defect_of_the_side_that_is_left_is_not_in_the_way_of_who_leaves_it(
    make: Build, server: Routes, kind: str
) -> None:
    adapter = make(kind)
    there = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    server.objects[RULES] = (200, {"items": [destination_rule("blue")]})
    del server.objects[f"{NAMESPACE}/services/web-green"]
    server.service.get("status", {}).update(parents=[parent("edge", *[{**c, "observedGeneration": 4} for c in TAKEN])])
    findings = await adapter.preflight(there, BLUE)
    assert [one.level for one in findings if one.code == "sides"] == ["warning"]
    assert [one.code for one in findings if one.level == "block"] == []
    assert (await adapter.shift(there, BLUE, stamp="A:back")).weights == BLUE


@pytest.mark.parametrize(
    ("hostnames", "host", "found"),
    [
        (["api.test"], "api.test", True),
        (["*.test"], "api.test", True),
        ([], "any.test", True),
        (["*.test"], "test", False),
        (["other.test"], "api.test", False),
    ],
)
async def test_a_rule_is_found_by_the_host_that_its_route_serves(
    make: Build, server: Routes, hostnames: list[str], host: str, found: bool
) -> None:
    adapter = make("gateway-api", match={"host": host, "path": "/"})
    server.service["spec"]["hostnames"] = hostnames
    assert bool((await adapter.observe()).weights) is found


async def test_a_subset_that_is_seconds_old_is_waited_for(
    make: Build, server: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(virtual_service, "SPREADS_S", 300.0)
    monkeypatch.setattr(virtual_service, "sleep", sleep)
    adapter = make("istio")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    server.objects[RULES] = (200, {"items": [destination_rule(*COLORS, at=now)]})
    there = await adapter.shift(await adapter.observe(), {"blue": 90, "green": 10}, stamp="A:shift")
    (seconds,) = waited
    assert 200 < seconds <= 300
    await adapter.shift(there, BLUE, stamp="A:back")
    assert len(waited) == 1, "what has traffic is known"


@pytest.mark.parametrize(("of_pods", "level"), [("stable", "block"), ("canary", "ok"), ("", "ok")])
async def test_the_revision_of_istio_that_reads_it_is_said(
    make: Build, server: Routes, of_pods: str, level: str
) -> None:
    adapter = make("istio")
    assert await said(adapter, "revision") == []
    server.service["metadata"]["labels"] = {"istio.io/rev": "canary"}
    labels = {"labels": {"istio.io/rev": of_pods}} if of_pods else {}
    server.objects[NAMESPACE] = (200, {"metadata": {"name": "analytics", **labels}, "status": {"phase": "Active"}})
    (finding,) = await said(adapter, "revision")
    assert (finding.level, "canary" in finding.text) == (level, True)


# ---- the config


@pytest.mark.parametrize(
    ("kind", "config", "says"),
    [
        ("gateway-api", {"route": ""}, "route: the name of the HTTPRoute"),
        ("gateway-api", {"rule": "a", "match": {"path": "/"}}, "one of them, not both"),
        ("gateway-api", {"rule": ""}, "names, each once"),
        ("gateway-api", {"rule": ["a", "a"]}, "names, each once"),
        ("gateway-api", {"services": {"blue": "a"}}, "two, one for each color"),
        ("gateway-api", {"services": {"blue": "a", "green": "a"}}, "another one for each color"),
        ("gateway-api", {"deployments": {"red": "a", "green": "b"}}, "not the same colors"),
        ("gateway-api", {"health": {"red": "http://a", "green": "http://b"}}, "not the same colors"),
        ("gateway-api", {"match": {"paht": "/"}}, "paht"),
        ("istio", {"virtual_service": ""}, "virtual_service"),
        ("istio", {"services": SERVICES}, "one way to name the destinations"),
        ("istio", {"host": ""}, "one way to name the destinations"),
        ("istio", {"subsets": {"blue": "a", "green": "a"}}, "another one for each color"),
    ],
)
def test_a_config_that_can_not_be_is_refused(
    kind: str, config: dict[str, Any], says: str, tmp_path: Path, http: Http
) -> None:
    context = AdapterContext("web", tmp_path, tmp_path, http)
    with pytest.raises(BackendError, match=says) as caught:
        build("deployments", kind, {**ENTRIES[kind], **config}, context)
    assert caught.value.kind == "config"
