"""What a shift of a route writes, and when it is in force."""

import asyncio
import copy
import json
import shlex
from typing import Any

import pytest

from backends.deployments.kubernetes import cluster_switch
from backends.testing.deployments import BLUE, GREEN
from tests.backends.routes.objects import (
    ENTRIES,
    OLD,
    REFUSED,
    ROUTE,
    SERVICES,
    Build,
    Routes,
    blocked,
    condition,
    parent,
    ref,
    refused,
    route,
    rule,
    said,
    to,
)

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
    shown = await adapter.deployment()
    assert [side.weight_pct for side in shown.colors.values()] == [None, None], "what is not in force is no traffic"
    assert shown.live in ("blue", "unknown")
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
