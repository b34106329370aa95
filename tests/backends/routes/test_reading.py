"""The switches `gateway-api` and `istio` over objects as a person may have left them: how they are read, and what is
refused, with which words and before anything is written."""

import copy
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext, build
from backends.testing.deployments import BLUE, GREEN
from tests.backends.routes.objects import (
    ENTRIES,
    GATEWAY,
    ISTIO,
    RULES,
    SERVICES,
    Build,
    Routes,
    is_refused,
    ref,
    refused,
    rule,
    to,
    virtual,
)

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
