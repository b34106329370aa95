"""Several HAProxy nodes as one switch: a write that reached some of them, and the way back of those that differ."""

import asyncio

import pytest
from msgspec.structs import replace

from backends.deployments.haproxy import socket as haproxy_socket
from backends.deployments.haproxy.socket import Node
from backends.errors import BackendError
from backends.http import Http
from backends.testing.deployments import BLUE, GREEN
from tests.live.haproxy import Haproxy, all_up, error_of, switch_of
from tests.two_colors import TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("haproxy")]


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("nodes", [2], indirect=True)
async def test_what_one_node_refuses_is_taken_back_on_the_others(
    service: TwoColors, http: Http, nodes: list[Haproxy], odd: bool
) -> None:
    adapter = switch_of(service, http, nodes, nodes=[nodes[0].node, f"unix:{nodes[1].operator}"])
    if odd:
        nodes[0].ask("experimental-mode on; set var proc.tealdeck.model str(2/done/7/1/blue=100/A:shift)")
    before = await adapter.observe()
    error = await error_of(adapter)
    assert (error.kind, f"{nodes[0].node} is as it was" in error.message) == ("auth", True)
    assert error.taken_back  # the first node had it for a moment
    assert await adapter.observe() == before


@pytest.mark.parametrize("arrives", [True, False])
async def test_what_is_carried_out_and_not_answered_was_in_force_until_it_is_put_back(
    service: TwoColors, http: Http, nodes: list[Haproxy], monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    """A link that breaks off after it has handed an order on, or before: the weights say which it was."""
    adapter = switch_of(service, http, nodes)
    before, real = await adapter.observe(), Node.ask

    async def ask(self: Node, command: str) -> str:
        if " weight " not in command:
            return await real(self, command)
        if arrives:
            await real(self, command)
        raise BackendError("unreachable", f"{self}: connection reset")

    monkeypatch.setattr(Node, "ask", ask)
    error = await error_of(adapter)
    monkeypatch.undo()
    assert (error.kind, error.taken_back) == ("unreachable", arrives)
    assert nodes[0].weights() == {"blue-1": 100, "green-1": 0}
    assert (await adapter.observe()).weights == before.weights


@pytest.mark.parametrize("nodes", [2], indirect=True)
async def test_a_node_out_of_reach_leaves_the_truth_unknown_and_says_what_the_other_does(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes)
    before = await adapter.observe()
    await asyncio.to_thread(nodes[1].stop)
    assert (await error_of(adapter, before=before)).kind == "unreachable"
    assert nodes[0].weights() == {"blue-1": 100, "green-1": 0}
    found = await adapter.deployment()
    assert found.live == "unknown"
    assert nodes[1].node in found.truth.control.detail
    assert f"{nodes[0].node} BLUE 100 %" in found.truth.control.detail
    await asyncio.to_thread(nodes[1].start)
    await all_up(nodes)
    assert (await adapter.shift(await adapter.observe(), GREEN, stamp="B:shift")).weights == GREEN


@pytest.mark.parametrize("nodes", [2], indirect=True)
async def test_a_write_that_reached_one_node_is_mixed_ours_and_can_be_finished_or_undone(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes)
    nodes[0].meddle(GREEN, 7, stamp="A:shift")
    half = await adapter.observe()
    assert (half.live, half.stamp) == ("mixed", "A:shift")
    assert "the nodes differ" in half.detail
    finished = await adapter.shift(half, GREEN, stamp="A:shift")
    assert (finished.live, finished.stamp) == ("green", "A:shift")
    nodes[0].meddle(BLUE, 9, stamp="A:shift-back")
    half = await adapter.observe()
    assert (half.live, half.stamp) == ("mixed", "A:shift-back")
    assert (await adapter.shift(half, BLUE, stamp="A:shift-back")).live == "blue"


@pytest.mark.parametrize("hand", [0, 1])
@pytest.mark.parametrize("nodes", [2], indirect=True)
async def test_a_node_that_a_hand_puts_back_leaves_the_write_on_the_other_its_own(
    service: TwoColors, http: Http, nodes: list[Haproxy], hand: int
) -> None:
    adapter = switch_of(service, http, nodes)
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    nodes[hand].set(blue_1=100, green_1=0)
    found = await adapter.observe()
    assert (found.live, found.stamp) == ("mixed", "A:shift")


@pytest.mark.parametrize("nodes", [1, 2], indirect=True)
async def test_a_hand_between_the_two_halves_of_a_write_leaves_no_node_that_serves_nobody(
    service: TwoColors, http: Http, nodes: list[Haproxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = switch_of(service, http, nodes)
    before, order = await adapter.observe(), haproxy_socket.Node.order

    async def meddled(node: haproxy_socket.Node, commands: list[str]) -> None:
        if str(node) == nodes[-1].node and any(line.endswith("/blue-1 weight 0") for line in commands):
            nodes[-1].set(blue_1=100, green_1=0)
        await order(node, commands)

    monkeypatch.setattr(haproxy_socket.Node, "order", meddled)
    after = await adapter.shift(before, GREEN, stamp="A:shift")
    assert (after.weights, after.stamp, nodes[-1].weights()["blue-1"]) == (GREEN, "A:shift", 0)
    assert nodes[-1].weights()["green-1"] > 0


@pytest.mark.parametrize("stamp", ["A:shift", "A:shift-back"])
@pytest.mark.parametrize("nodes", [2], indirect=True)
async def test_a_hand_that_insists_leaves_the_traffic_to_who_had_it(
    service: TwoColors, http: Http, nodes: list[Haproxy], monkeypatch: pytest.MonkeyPatch, stamp: str
) -> None:
    adapter = switch_of(service, http, nodes)
    before, order = await adapter.observe(), haproxy_socket.Node.order

    async def meddled(node: haproxy_socket.Node, commands: list[str]) -> None:
        await order(node, commands)
        if str(node) == nodes[-1].node and any("/green-1 weight" in line for line in commands):
            nodes[-1].set(green_1=0)

    monkeypatch.setattr(haproxy_socket.Node, "order", meddled)
    error = await error_of(adapter, GREEN, before=before, stamp=stamp)
    assert (error.kind, error.taken_back) == ("conflict", True)
    assert (nodes[-1].weights()["blue-1"] > 0, nodes[-1].weights()["green-1"]) == (True, 0)


@pytest.mark.parametrize("nodes", [1, 2], indirect=True)
async def test_a_node_that_gives_nobody_traffic_is_critical_and_only_the_way_back_writes_it(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes)
    nodes[-1].set(blue_1=0, green_1=0)
    found = await adapter.observe()
    assert (found.weights, nodes[-1].node in found.edited) == ({}, True)
    shown = await adapter.deployment()
    assert (shown.live, shown.health) == ("mixed", "critical")
    assert "nobody takes traffic" in shown.truth.control.detail
    assert (await error_of(adapter, before=found)).kind == "conflict"
    over = replace(found, over=True)
    idle = [one for one in await adapter.preflight(over, BLUE) if one.code == "haproxy-idle"]
    assert [nodes[-1].node in one.text for one in idle] == [True]
    assert (await adapter.shift(over, BLUE, stamp="A:shift-back")).weights == BLUE
    assert all(node.weights()["blue-1"] > 0 for node in nodes)


@pytest.mark.parametrize("nodes", [2], indirect=True)
async def test_a_way_back_of_nodes_that_differed_puts_each_back_to_its_own(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes)
    nodes[1].set(blue_1=0, green_1=100)
    mixed = await adapter.observe()
    assert mixed.parts == {nodes[0].node: BLUE, nodes[1].node: GREEN}
    shown = await adapter.deployment()
    assert (shown.live, [side.weight_pct for side in shown.colors.values()]) == ("mixed", [None, None])
    assert "50 %" not in shown.truth.control.detail + adapter.describe_shift(mixed, GREEN)[1]
    flipped = await adapter.shift(mixed, GREEN, stamp="A:shift")
    back = replace(flipped, over=True, back_to=mixed.parts)
    after = await adapter.shift(back, mixed.weights, stamp="A:shift-back")
    assert (after.parts, after.stamp) == (mixed.parts, "A:shift-back")


@pytest.mark.parametrize("nodes", [2], indirect=True)
async def test_an_undo_takes_the_nodes_in_reverse_and_keeps_what_it_reached(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes, nodes=[f"unix:{nodes[0].operator}", nodes[1].node])
    for node in nodes:
        node.meddle(GREEN, 7, stamp="A:shift")
    error = await error_of(adapter, BLUE, stamp="A:shift-back")
    assert (error.kind, "as it was" in error.message) == ("auth", False)
    assert (nodes[0].weights()["blue-1"], nodes[1].weights()["green-1"]) == (0, 0)
