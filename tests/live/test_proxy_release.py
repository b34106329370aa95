"""`teal deploy release` and `rollback` on real HAProxy nodes and a real nginx, under load, by the command line."""

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.live.haproxy import Haproxy, haproxy
from tests.live.nginx import nginx
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.load import Load
from tests.two_colors import COLORS, TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("proxies")]
RPS = 30.0


class Proxied(Struct, frozen=True):
    """Two colors behind a proxy of `kind`: every URL that clients use, and who has the traffic, past the adapter."""

    kind: str
    urls: list[str]
    live: Callable[[], set[str]]
    teal: CommandLine
    nodes: list[Haproxy]


@contextlib.asynccontextmanager
async def behind_haproxy(home: Path, colors: TwoColors, **config: Any) -> AsyncIterator[Proxied]:
    """Two nodes; a node keeps its weights over a reload by a command."""
    with contextlib.ExitStack() as stack:
        servers = [(f"{color}-1", colors.ports[color], "weight 0" if color == "green" else "") for color in COLORS]
        nodes = [await asyncio.to_thread(stack.enter_context, haproxy(home / f"lb{n}", servers)) for n in (1, 2)]
        for node in nodes:
            await asyncio.to_thread(until, node.up, "servers up")
        entry = {
            "type": "haproxy",
            "nodes": [nodes[0].node, f"127.0.0.1:{nodes[1].tcp}"],
            "backend": "model",
            "servers": {color: [f"{color}-1"] for color in COLORS},
            "probe": {"url": nodes[0].url, "header": "X-Environment"},
        }

        def live() -> set[str]:
            return {name.partition("-")[0] for node in nodes for name, weight in node.weights().items() if weight}

        yield Proxied("haproxy", [node.url for node in nodes], live, _teal(home, colors, entry, config), nodes)


@contextlib.asynccontextmanager
async def behind_nginx(home: Path, colors: TwoColors, **config: Any) -> AsyncIterator[Proxied]:
    """One nginx in mode `split_clients`, begun by the command that `teal` itself says."""
    with nginx(home / "nginx", mode="split_clients") as server:
        entry = {
            "type": "nginx",
            **server.entry({color: colors.ports[color] for color in COLORS}),
            "probe": {"url": server.url, "header": "X-Environment"},
        }
        teal = _teal(home, colors, entry, config)
        _, output, _ = await teal.run("deploy", "status", "analytics", "-o", "json")
        detail = json.loads(output)["items"][0]["truth"]["control"]["detail"]
        (begin,) = (how for _, says, how in (line.partition("BLUE serves: ") for line in detail.split("\n")) if says)
        subprocess.run(begin, shell=True, check=True)
        await asyncio.to_thread(server.start)

        def live() -> set[str]:
            told = subprocess.run(
                ["curl", "-s", f"http://127.0.0.1:{server.stamp_port}/__color"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            return {color for color in COLORS if color in told.split(" ", 1)[0]}

        yield Proxied("nginx", [server.url], live, teal, [])


def _teal(home: Path, colors: TwoColors, entry: dict[str, Any], more: dict[str, Any]) -> CommandLine:
    shared = {key: value for key, value in colors.config().items() if key in ("health", "deploy", "retire")}
    return CommandLine(home, {**entry, **shared, "bake": "1s", "probe_timeout": "20s", **more})


BEHIND = {"haproxy": behind_haproxy, "nginx": behind_nginx}


@pytest.fixture
async def colors(tmp_path: Path) -> AsyncIterator[TwoColors]:
    async with TwoColors(tmp_path) as colors:
        yield colors


@pytest.mark.parametrize("kind", BEHIND)
async def test_a_release_and_its_rollback_lose_no_request(
    tmp_path: Path, colors: TwoColors, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with BEHIND[kind](tmp_path, colors, smoke=["true"]) as service, contextlib.AsyncExitStack() as loads:
        service.teal.cold = True
        assert service.live() == {"blue"}
        load = [await loads.enter_async_context(Load(url, RPS)) for url in service.urls]
        release = ("deploy", "release", "analytics", "--version", "2.5.0", "-y", "--reason", "go")
        released = await service.teal.action(*release)
        assert (released["exit"], released["status"]) == (0, "succeeded"), released
        assert (service.live(), colors.version("green"), colors.version("blue")) == ({"green"}, "2.5.0", "2.4.0")
        assert released["switch"]["errors"] == 0
        pressed = time.monotonic()
        back = await service.teal.action("deploy", "rollback", "analytics", "-y", "--reason", "slow")
        took = time.monotonic() - pressed
        assert (back["exit"], back["status"], back["changed"]) == (0, "succeeded", True), back
        assert service.live() == {"blue"}
        await asyncio.sleep(0.5)
    seen, lost = sum(len(one.seen) for one in load), [gone for one in load for gone in one.lost]
    assert lost == []
    all_old_s = max(one.last_of("green", pressed) for one in load)
    with capsys.disabled():
        print(f"\n{kind}: release and rollback under {RPS * len(load):g} requests/s: {seen} requests, 0 lost", end="; ")
        print(f"last answer of the old side {back['switch']['last_old_s']} s after the write began", end=", ")
        print(f"{all_old_s:.2f} s after the command, which took {took:.2f} s", end=" ")
    code, _, complaints = await service.teal.run("audit", "verify")
    assert code == 0, complaints


@pytest.mark.parametrize("kind", BEHIND)
async def test_a_sick_version_never_gets_traffic(tmp_path: Path, colors: TwoColors, kind: str) -> None:
    async with BEHIND[kind](tmp_path, colors) as service, Load(service.urls[0], RPS) as load:
        order = (
            "deploy",
            "release",
            "analytics",
            "--version",
            "2.5.0-sick",
            "-y",
            "--reason",
            "go",
            "--timeout",
            "20s",
        )
        ended = await service.teal.action(*order)
        assert (ended["exit"], ended["status"], ended["changed"]) == (1, "aborted", False), ended
        assert "production is unchanged" in ended["error"]["message"]
        assert service.live() == {"blue"}
    assert load.lost == []
    assert set(load.colors()) == {"blue"}


@pytest.mark.parametrize("kind", BEHIND)
async def test_a_gradual_release_goes_through_its_shares(tmp_path: Path, colors: TwoColors, kind: str) -> None:
    config = {"stages": {"gradual": [20, 100]}, "stage_time": "1s"}
    async with BEHIND[kind](tmp_path, colors, **config) as service, Load(service.urls[0], RPS) as load:
        order = (
            "deploy",
            "release",
            "analytics",
            "--version",
            "2.5.0",
            "--strategy",
            "gradual",
            "-y",
            "--reason",
            "go",
        )
        ended = await service.teal.action(*order)
        assert (ended["exit"], ended["status"]) == (0, "succeeded"), ended
        assert service.live() == {"green"}
    assert load.lost == []
    steps = {step["name"]: step["status"] for step in ended["steps"]}
    assert steps["shift[20]"] == steps["verify[20]"] == steps["shift[100]"] == "succeeded"


@pytest.mark.parametrize("kind", BEHIND)
async def test_back_is_never_forward(tmp_path: Path, colors: TwoColors, kind: str) -> None:
    """The rows of what a rollback does, on a real proxy: nothing known, forward, back, back after a way back, sick."""
    async with BEHIND[kind](tmp_path, colors, bake="6s") as service:

        async def order(*words: str) -> tuple[int, bool, set[str]]:
            found = await service.teal.action("deploy", *words, "analytics", "-y", "--reason", "test")
            return found["exit"], found["changed"], service.live()

        code, _, _ = await service.teal.run("deploy", "rollback", "analytics", "-y")
        assert code == 5
        assert await order("flip") == (0, True, {"green"})
        assert await order("flip", "--to", "blue") == (0, True, {"blue"})
        sick = asyncio.create_task(order("flip", "--to", "green"))
        while '"phase": "bake"' not in (await service.teal.run("action", "list", "--open", "-o", "json"))[1]:
            assert not sick.done(), sick.result()
        colors.faults["green"].status = 503
        assert await sick == (1, True, {"blue"})
        colors.faults["green"].status = 200
        assert await order("rollback") == (0, False, {"blue"})
        (shown,) = json.loads((await service.teal.run("deploy", "status", "-o", "json"))[1])["items"]
        assert (shown["rollback"]["to"], shown["rollback"]["ready"]) == (None, False)
        blocked = await service.teal.action("deploy", "flip", "analytics", "--to", "green", "-y")
        assert (blocked["exit"], service.live()) == (3, {"blue"})
        assert [finding["code"] for finding in blocked["findings"] if finding["level"] == "block"] == ["rejected"]
        assert await order("flip", "--to", "green", "--override", "rejected") == (0, True, {"green"})
        assert await order("rollback") == (0, True, {"blue"})
        assert await order("rollback") == (0, False, {"blue"})


async def test_weights_changed_by_hand_between_plan_and_write_are_a_conflict(tmp_path: Path, colors: TwoColors) -> None:
    async with behind_haproxy(tmp_path, colors) as service:
        flip = ("deploy", "flip", "analytics", "--to", "green", "--reason", "go")
        planned = await service.teal.action(*flip, "--dry-run")
        assert (planned["exit"], planned["status"]) == (0, "planned"), planned
        assert planned["plan"]["undo"] == "teal deploy rollback analytics"
        for node in service.nodes:
            node.set(blue_1=0, green_1=50)
        refused = await service.teal.action(*flip, "-y", "--plan-hash", planned["plan_hash"])
        assert refused["exit"] == 6, refused
        assert [node.weights() for node in service.nodes] == [{"blue-1": 0, "green-1": 50}] * 2


@pytest.mark.parametrize("to", [(), ("--to", "blue")])
async def test_a_node_that_serves_nobody_is_in_nobodys_way_back(
    tmp_path: Path, colors: TwoColors, to: tuple[str, ...]
) -> None:
    async with behind_haproxy(tmp_path, colors) as service:
        flipped = await service.teal.action("deploy", "flip", "analytics", "--to", "green", "-y", "--reason", "go")
        assert (flipped["exit"], service.live()) == (0, {"green"}), flipped
        service.nodes[1].set(blue_1=0, green_1=0)
        back = await service.teal.action("deploy", "rollback", "analytics", "-y", "--reason", "dark", *to)
        assert (back["exit"], back["status"], service.live()) == (0, "succeeded", {"blue"}), back
        assert all(node.weights()["blue-1"] > 0 for node in service.nodes)


async def test_a_node_that_is_gone_leaves_the_commands_of_the_way_back(tmp_path: Path, colors: TwoColors) -> None:
    async with behind_haproxy(tmp_path, colors) as service:
        flipped = await service.teal.action("deploy", "flip", "analytics", "--to", "green", "-y", "--reason", "go")
        assert flipped["exit"] == 0, flipped
        await asyncio.to_thread(service.nodes[0].stop)
        planned = await service.teal.action("deploy", "rollback", "analytics", "--dry-run")
        (fix,) = (each["fix"] for each in planned["findings"] if each["code"] == "truth-unknown")
        assert (fix.count("socat"), "set server model/blue-1 weight" in fix) == (2, True), planned
        assert (planned["exit"], service.nodes[1].weights()["green-1"] > 0) == (3, True), planned
