"""`haproxy` on real HAProxy nodes: the contract on one and on two, and what only they do."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.haproxy import socket as haproxy_socket
from backends.deployments.haproxy.state import variable_of
from backends.deployments.haproxy.switch import HaproxySwitch
from backends.errors import BackendError
from backends.http import Http
from backends.testing.deployments import BLUE, GREEN, Meddle, Sicken, SwitchContract
from tests.live.haproxy import Haproxy, all_up, error_of, haproxy, lines, one_line, switch_of
from tests.live.process import until
from tests.load import Load
from tests.two_colors import COLORS, TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("haproxy")]


class _OverNodes(SwitchContract):
    @pytest.fixture
    async def adapter(self, service: TwoColors, http: Http, nodes: list[Haproxy]) -> AsyncIterator[HaproxySwitch]:
        adapter = switch_of(service, http, nodes)
        yield adapter
        await adapter.aclose()

    @pytest.fixture
    def meddle(self, nodes: list[Haproxy]) -> Meddle:
        numbers = iter(range(100, 200))

        def meddle(weights: dict[str, int]) -> None:
            number = next(numbers)
            for node in nodes:
                node.meddle(weights, number)

        return meddle

    @pytest.fixture
    def sicken(self, service: TwoColors) -> Sicken:
        return service.sicken


class TestOneNode(_OverNodes):
    pass


@pytest.mark.parametrize("nodes", [2], indirect=True)
class TestTwoNodes(_OverNodes):
    pass


# ---- sockets


async def test_a_socket_without_admin_level_reads_and_is_told_what_it_lacks(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes, nodes=[f"unix:{nodes[0].operator}"])
    before = await adapter.observe()
    assert before.weights == BLUE
    with pytest.raises(BackendError) as caught:
        await adapter.preflight(before, GREEN)
    refused = await error_of(adapter)
    for error in (caught.value, refused):
        assert (error.kind, "level admin" in error.fix, one_line(error)) == ("auth", True, True)
    assert nodes[0].weights() == {"blue-1": 100, "green-1": 0}


async def test_a_node_is_reached_over_tcp_too(service: TwoColors, http: Http, nodes: list[Haproxy]) -> None:
    adapter = switch_of(service, http, nodes, nodes=[f"127.0.0.1:{nodes[0].tcp}"])
    assert (await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")).weights == GREEN
    assert nodes[0].weights()["green-1"] > 0


async def test_a_socket_that_is_gone_is_unknown_and_never_ok(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes)
    before = await adapter.observe()
    await asyncio.to_thread(nodes[0].stop)
    error = await error_of(adapter, before=before)
    assert (error.kind, str(nodes[0].admin) in error.message, one_line(error)) == ("unreachable", True, True)
    found = await adapter.deployment()
    assert (found.live, found.truth.endpoints.value, found.health) == ("unknown", "unknown", "unknown")
    assert (await adapter.color_health("blue")).healthy is None


async def test_a_node_that_hangs_is_left_in_time(
    service: TwoColors, http: Http, nodes: list[Haproxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = switch_of(service, http, nodes)
    before = await adapter.observe()
    monkeypatch.setattr(haproxy_socket, "TIMEOUT_S", 0.3)
    nodes[0].hang()
    try:
        error = await error_of(adapter, before=before)
    finally:
        nodes[0].go_on()
    assert (error.kind, one_line(error)) == ("timeout", True)


# ---- what HAProxy can not, or somebody did


async def test_a_static_algorithm_takes_all_or_nothing_and_says_so(
    service: TwoColors, http: Http, tmp_path: Path
) -> None:
    with haproxy(tmp_path / "static", lines(service, weights=(100, 100)), balance="static-rr") as node:
        node.set(green_1=0)
        adapter = switch_of(service, http, [node])
        before = await adapter.observe()
        assert (before.weights, adapter.can_split) == (BLUE, False)
        error = await error_of(adapter, {"blue": 90, "green": 10})
        assert (error.kind, "split" in error.message, one_line(error)) == ("config", True, True)
        assert await adapter.observe() == before
        assert (await adapter.shift(before, GREEN, stamp="A:shift")).weights == GREEN
        assert node.weights() == {"blue-1": 0, "green-1": 100}


async def test_a_frontend_of_the_same_name_hides_nothing_of_the_backend(
    service: TwoColors, http: Http, tmp_path: Path
) -> None:
    with haproxy(tmp_path / "same", lines(service), frontend="model") as node:
        await all_up([node])
        adapter = switch_of(service, http, [node])
        found = await adapter.observe()
        said = await adapter.preflight(found, {"blue": 90, "green": 10})
        assert "haproxy-algorithm" not in {finding.code for finding in said}
        assert set((await adapter.request_counts()).requests) == set(COLORS)


async def test_a_hash_that_turns_out_to_be_static_is_put_back_and_remembered(
    service: TwoColors, http: Http, tmp_path: Path
) -> None:
    with haproxy(tmp_path / "hash", lines(service, weights=(100, 100)), balance="source") as node:
        node.set(green_1=0)
        adapter = switch_of(service, http, [node])
        before = await adapter.observe()
        assert adapter.can_split
        error = await error_of(adapter, {"blue": 90, "green": 10})
        assert (error.kind, "static LB algorithm" in error.message) == ("failed", True)
        assert await adapter.observe() == before
        assert not adapter.can_split


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"servers": {"blue": ["blue-1"], "green": ["green-9"]}}, 'no server "green-9" (it has: blue-1, green-1)'),
        ({"backend": "nope"}, 'no backend "nope"'),
    ],
)
async def test_a_name_that_haproxy_does_not_have_is_a_matter_of_the_config(
    service: TwoColors, http: Http, nodes: list[Haproxy], config: dict[str, Any], words: str
) -> None:
    adapter = switch_of(service, http, nodes, **config)
    with pytest.raises(BackendError) as caught:
        await adapter.observe()
    assert (caught.value.kind, words in caught.value.message, one_line(caught.value)) == ("config", True, True)
    assert (await adapter.deployment()).live == "unknown"


async def test_a_server_without_a_color_that_takes_traffic_makes_the_truth_unknown(
    service: TwoColors, http: Http, tmp_path: Path
) -> None:
    third = [*lines(service), ("canary-7", service.ports["green"], "weight 5")]
    with haproxy(tmp_path / "third", third) as node:
        adapter = switch_of(service, http, [node])
        found = await adapter.observe()
        assert (found.live, "canary-7" in found.detail) == ("unknown", True)
        assert (await error_of(adapter)).kind == "conflict"
        node.set(canary_7=0)
        assert (await adapter.observe()).weights == BLUE


async def test_what_somebody_drained_stays_drained_and_is_named(service: TwoColors, http: Http, tmp_path: Path) -> None:
    servers = {"blue": ["blue-1", "blue-2"], "green": ["green-1", "green-2", "green-3"]}
    with haproxy(tmp_path / "many", lines(service, blue=2, green=3)) as node:
        await all_up([node])
        adapter = switch_of(service, http, [node], servers=servers)
        node.ask("set server model/green-2 state drain")
        before = await adapter.observe()
        found = await adapter.preflight(before, GREEN)
        rotation = next(finding for finding in found if finding.code == "haproxy-rotation")
        assert (rotation.level, "green-2" in rotation.text) == ("warning", True)
        half = await adapter.shift(before, {"blue": 50, "green": 50}, stamp="A:shift[50]")
        assert half.weights == {"blue": 50, "green": 50}
        weights = node.weights()
        assert weights["blue-1"] + weights["blue-2"] == weights["green-1"] + weights["green-3"]
        assert (await adapter.color_health("green")).ready == 2
        for number in (1, 3):
            node.ask(f"set server model/green-{number} state maint")
        error = await error_of(adapter)
        assert error.message.endswith(
            "(green-1 in maintenance, green-2 drained, green-3 in maintenance): no traffic is sent there"
        )
        assert (await adapter.color_health("green")).healthy is False


async def test_where_the_live_side_was_drained_that_is_named(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes)
    nodes[0].ask("set server model/blue-1 state drain")
    shown = await adapter.deployment()
    assert shown.health == "critical"
    assert "blue-1 is drained, and no other server has weight" in shown.truth.control.detail


async def test_no_traffic_goes_to_a_side_that_haproxy_finds_down(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes)
    service.faults["green"].status = 503
    before = await adapter.observe()
    await asyncio.to_thread(until, lambda: "DOWN" in nodes[0].status("green-1"), "green is down")
    error = await error_of(adapter, before=before)
    assert (error.kind, "no server of GREEN is up" in error.message) == ("unreachable", True)
    assert nodes[0].weights() == {"blue-1": 100, "green-1": 0}


async def test_a_change_by_hand_takes_the_stamp_away_and_is_never_written_over(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes)
    after = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    nodes[0].set(blue_1=50, green_1=50)
    found = await adapter.observe()
    assert (found.live, found.stamp) == ("mixed", "")
    assert (await error_of(adapter, BLUE, after)).kind == "conflict"


@pytest.mark.parametrize(
    "order",
    [
        "str(2/done/7/1/blue=100+green=0/A:shift)",
        "str(1/shift/7/1/blue=100+green=0/A:shift)",
        "str(x)",
        "int(5)",
        "bool(1)",
    ],
)
async def test_a_mark_that_can_not_be_read_is_told_until_it_is_written_over(
    service: TwoColors, http: Http, nodes: list[Haproxy], order: str
) -> None:
    adapter = switch_of(service, http, nodes)
    none = await adapter.observe()
    for node in nodes:
        node.ask(f"experimental-mode on; set var {variable_of('model')} {order}")
    odd = await adapter.observe()
    assert (none.odd_mark, bool(odd.odd_mark), odd.stamp) == ("", True, "")
    assert odd.revision != none.revision
    assert (await error_of(adapter, before=none)).kind == "conflict"
    after = await adapter.shift(odd, GREEN, stamp="A:shift")
    assert (after.odd_mark, after.stamp) == ("", "A:shift")


# ---- by hand, and under load


async def test_the_commands_for_a_person_do_what_they_say(
    service: TwoColors, http: Http, nodes: list[Haproxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    socat = service.directory / "socat"
    socat.write_text(
        "#!/usr/bin/env python3\n"
        "import socket, sys\n"
        "kind, _, where = sys.argv[2].partition(':')\n"
        "assert sys.argv[1] == 'stdio' and kind == 'unix-connect'\n"
        "connection = socket.socket(socket.AF_UNIX)\n"
        "connection.connect(where)\n"
        "connection.sendall(sys.stdin.read().encode())\n"
        "while found := connection.recv(65536): sys.stdout.write(found.decode())\n"
    )
    socat.chmod(0o755)
    monkeypatch.setenv("PATH", f"{service.directory}:{os.environ['PATH']}")
    adapter = switch_of(service, http, nodes, persist=str(nodes[0].state_file))
    for read_before in (False, True):
        if read_before:
            await adapter.observe()
        for weights in (GREEN, {"blue": 75, "green": 25}, BLUE):
            for line in adapter.manual_commands(weights):
                await asyncio.to_thread(subprocess.run, line, shell=True, check=True)
            assert (await adapter.observe()).weights == weights
    assert " model " in nodes[0].state_file.read_text()


@pytest.mark.parametrize("nodes", [2], indirect=True)
async def test_a_dead_node_is_to_be_started_first_and_its_commands_come_last(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes)
    await adapter.observe()
    await asyncio.to_thread(nodes[0].stop)
    with pytest.raises(BackendError):
        await adapter.observe()
    alive, dead = adapter.manual_commands(GREEN)
    assert (str(nodes[1].admin) in alive, alive.startswith("echo ")) == (True, True)
    assert dead.startswith(f"start HAProxy, of which nothing answers at unix:{nodes[0].admin}, then: echo ")


async def test_a_dead_haproxy_loses_nothing_to_the_command_that_would_keep_its_weights(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    """The shell emptied the file of weights before it asked the socket: the next start had none."""
    adapter = switch_of(service, http, nodes, persist=str(nodes[0].state_file))
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    kept = nodes[0].state_file.read_text()
    await asyncio.to_thread(nodes[0].stop)
    done = await asyncio.to_thread(subprocess.run, adapter.manual_commands(BLUE)[-1], shell=True, check=False)
    assert (done.returncode != 0, nodes[0].state_file.read_text()) == (True, kept)


@pytest.mark.parametrize("nodes", [2], indirect=True)
async def test_a_flip_and_a_rollback_under_load_lose_no_request(
    service: TwoColors, http: Http, nodes: list[Haproxy], capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = switch_of(service, http, nodes)
    state = await adapter.observe()
    async with Load(nodes[0].url, 100) as one, Load(nodes[1].url, 100) as two:
        await asyncio.sleep(1)
        state = await adapter.shift(state, GREEN, stamp="A:shift")
        await asyncio.sleep(1)
        pressed = time.monotonic()
        await adapter.shift(state, BLUE, stamp="A:shift-back")
        took = time.monotonic() - pressed
        await asyncio.sleep(1)
    seen = one.seen + two.seen
    back_s = max(load.last_of("green", pressed) for load in (one, two))
    lost = one.lost + two.lost
    with capsys.disabled():
        print(f"\nhaproxy, 2 nodes: {len(seen)} requests, {len(lost)} lost", end="; ")
        print(f"rollback: all old {back_s:.3f} s after the call, which took {took:.3f} s")
    assert lost == []
    assert {found.color for found in seen} == set(COLORS)
    assert back_s < 20


async def test_requests_are_counted_by_side_and_their_share_is_the_planned_one(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes)
    await adapter.shift(await adapter.observe(), {"blue": 75, "green": 25}, stamp="A:shift[25]")
    before = (await adapter.request_counts()).requests
    await adapter.deployment()
    async with Load(nodes[0].url, 200) as load:
        while len(load.seen) < 200:
            await asyncio.sleep(0.05)
    after = (await adapter.request_counts()).requests
    counted = {color: after[color] - before[color] for color in COLORS}
    assert sum(counted.values()) >= len(load.seen)
    assert counted["green"] == pytest.approx(sum(counted.values()) / 4, abs=4)
    side = (await adapter.deployment()).colors["blue"]
    assert side.rps is not None
    assert side.rps > 0
    assert side.error_pct == 0
    assert "ms mean" in side.detail


async def test_an_agent_check_that_sets_weights_is_named(service: TwoColors, http: Http, tmp_path: Path) -> None:
    async def agent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"75%\n")
        writer.close()

    async with await asyncio.start_server(agent, "127.0.0.1", 0) as server:
        asked = f" agent-check agent-inter 200ms agent-port {server.sockets[0].getsockname()[1]}"
        servers = [(name, port, weight + asked * (name == "green-1")) for name, port, weight in lines(service)]
        with contextlib.ExitStack() as stack:
            node = await asyncio.to_thread(stack.enter_context, haproxy(tmp_path / "agent", servers))
            await all_up([node])
            adapter = switch_of(service, http, [node])
            findings = await adapter.preflight(await adapter.observe(), GREEN)
            (found,) = [one for one in findings if one.code == "haproxy-agent"]
            assert (found.level, "green-1" in found.text) == ("warning", True)
            node.ask("disable agent model/green-1")
            assert "haproxy-agent" not in [one.code for one in await adapter.preflight(await adapter.observe(), GREEN)]
            await adapter.aclose()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"backend": "modle"}, "modle"),
        ({"servers": {"blue": ["blue-1"], "green": ["gren-1"]}}, "gren-1"),
        ({"nodes": ["unix:/nosuch.sock"]}, "/nosuch.sock"),
    ],
)
async def test_doctor_really_asks_it(
    service: TwoColors, nodes: list[Haproxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any],
    words: str,
) -> None:  # fmt: skip
    """Reached, authorized and ok, whatever the config said."""
    from console.config.load import load_config
    from console.reading.adapters import Adapters
    from console.reading.asking import ask

    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    (node,) = nodes
    health = {color: service.url(color) for color in ("blue", "green")}
    table = {
        "name": "model", "type": "haproxy", "nodes": [f"unix:{node.admin}"], "backend": "model", "health": health,
        "servers": {"blue": ["blue-1"], "green": ["green-1"]}, **change,
    }  # fmt: skip
    config = tmp_path / "config.toml"
    inline = ", ".join(f"{key} = {_toml(value)}" for key, value in table.items())
    config.write_text(f"[contexts.c]\ndeployments = [{{ {inline} }}]\n")
    loaded = load_config(config)
    assert [str(problem) for problem in loaded.problems] == []
    adapters = Adapters(loaded.contexts["c"])
    try:
        if words:
            with pytest.raises(BackendError, match=words):
                await ask(adapters, loaded.contexts["c"].entries["deployments"][0])
        else:
            assert [found.code for found in await ask(adapters, loaded.contexts["c"].entries["deployments"][0])] == [
                "unproven",  # no probe
                "haproxy-reload",
            ]
    finally:
        await adapters.aclose()


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else f'"{value}"'
