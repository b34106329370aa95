"""What of a route is to be known before it is moved."""

import json
from datetime import UTC, datetime

import pytest

from backends.deployments.istio import virtual_service
from backends.testing.deployments import BLUE, GREEN
from tests.backends.routes.objects import (
    COLORS,
    ENTRIES,
    GATEWAY,
    NAMESPACE,
    RULES,
    TAKEN,
    Build,
    Routes,
    blocked,
    destination_rule,
    parent,
    ref,
    refused,
    rule,
    said,
    service,
    to,
)

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
