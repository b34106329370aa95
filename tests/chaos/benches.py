"""The switches that chaos is let loose on, by name. Each is a context manager that starts real servers on loopback."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

from actions.described import Described
from actions.targets import SwitchTarget
from backends.deployments.haproxy.state import variable_of
from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext, build
from tests.chaos.asking import ask
from tests.chaos.harness import Bench
from tests.chaos.relay import Relay
from tests.live.haproxy import Haproxy, haproxy
from tests.live.kubernetes import Cluster, Namespace, answering, cluster, namespace
from tests.live.nginx import Nginx, nginx
from tests.live.process import run, until
from tests.live.routes import routed
from tests.two_colors import COLORS, TwoColors

SHORTENED = 3000
"""What a person would configure, divided by this: a bake of 5 minutes, stages of 10, a `--timeout` of 75."""
BAKE, STAGE, TIMEOUT_S = f"{300_000 // SHORTENED}ms", f"{600_000 // SHORTENED}ms", 4500 / SHORTENED
SLOW_S = 2.0


def controlled(what: str, then: str = "true") -> list[str]:
    """A command that the files `hang-WHAT` and `slow-WHAT` beside it steer; it leaves `begun-WHAT`."""
    begun = f"touch begun-{what}"  # once it is known how it goes on: the files may be gone by then
    hangs = f"test ! -e hang-{what} || {{ {begun}; sleep 600; }}"
    slow = f"test ! -e slow-{what} || {{ {begun}; sleep {SLOW_S:g}; }}"
    return ["sh", "-c", f"{hangs}; {slow}; {begun}; {then}"]


DEPLOY = [*controlled("deploy", "echo $1 > $0.version"), "{color}", "{version}"]


def eventful(relay: Relay) -> dict[str, Any]:
    """What the entries of all benches have in common."""
    return {
        "probe": {"url": relay.url, "header": "X-Environment"}, "probe_timeout": "20s",
        "bake": BAKE, "stage_time": STAGE, "stages": {"gradual": [50, 100]},
        "smoke": controlled("smoke", "touch late-smoke"),
    }  # fmt: skip


class ConfiguredTargets:
    """`Targets` of one service from a config entry, as the console would have it."""

    def __init__(self, kind: str, service: str, config: dict[str, Any], directory: Path, http: Http) -> None:
        self._kind, self._service, self._config = kind, service, config
        self._directory, self._http = directory, http
        self._adapter: Any = None

    async def aclose(self) -> None:
        """Close the adapter."""
        if self._adapter is not None:
            await self._adapter.aclose()

    async def controller(self, service: str) -> None:
        return None

    async def switch(self, service: str) -> SwitchTarget:
        """The switch."""
        if self._adapter is None:
            self._adapter = self.built()
        described = Described(
            port="deployments", type=self._kind, name=self._service, config=self._config,
            base_dir=self._directory, state_dir=self._directory / "state",
        )  # fmt: skip
        return SwitchTarget(self._adapter, described)

    def built(self) -> Any:
        """An adapter of its own, for a runner that closes it."""
        context = AdapterContext(self._service, self._directory, self._directory / "state", self._http)
        return build("deployments", self._kind, self._config, context)

    def having(self, **config: Any) -> "ConfiguredTargets":
        """The same service with another config."""
        return ConfiguredTargets(self._kind, self._service, self._config | config, self._directory, self._http)

    async def pipelines(self, backend: str) -> Any:
        """None here."""
        raise BackendError("not_found", f"no backend {backend}")

    async def incidents(self, backend: str) -> Any:
        return None

    async def silencer(self, backend: str) -> Any:
        """None here."""
        raise BackendError("not_found", f"no alerts source {backend}")


@contextlib.asynccontextmanager
async def opened(make: Callable[[Http], Bench]) -> AsyncIterator[Bench]:
    """A bench with an HTTP client of its own; both closed at the end."""
    http = Http()
    bench = make(http)
    try:
        yield bench
    finally:
        await bench.targets.aclose()
        await http.aclose()


class FileBench:
    """A switch file and a router that follows it."""

    name = "file-switch"
    service = "analytics"
    edited_node_by_node = False
    deploys_by_command = True

    def __init__(self, colors: TwoColors, relay: Relay, http: Http) -> None:
        self._colors, self.relay = colors, relay
        self.directory = colors.directory
        self.url = colors.url("router", "/")
        config = {**colors.config(), **eventful(relay), "deploy": DEPLOY}
        self.targets = ConfiguredTargets(self.name, self.service, config, colors.directory, http)

    async def reset(self) -> None:
        """As on the first day."""
        self._colors.write({"blue": 100, "green": 0})
        forget_deployed(self._colors.directory, self.service)
        await revived(self._colors)

    async def weights(self) -> dict[str, int]:
        """What the file says."""
        found: dict[str, int] = json.loads(self._colors.switch.read_text())["weights"]
        return found

    async def edit(self, weights: dict[str, int]) -> None:
        """By hand."""
        self._colors.write(weights, generation=99)

    async def fail(self, color: str) -> None:
        """It refuses connections."""
        await failed(self._colors, color)

    async def version(self, color: str) -> str:
        """What it says."""
        return self._colors.version(color)


@contextlib.asynccontextmanager
async def file_bench(directory: Path) -> AsyncIterator[Bench]:
    """`FileBench` in `directory`."""
    async with (
        TwoColors(directory) as colors,
        Relay(colors.url("router")) as relay,
        opened(lambda http: FileBench(colors, relay, http)) as bench,
    ):
        yield bench


def forget_deployed(directory: Path, service: str) -> None:
    """Nothing was ever deployed by a command."""
    for color in COLORS:
        (directory / f"{color}.version").unlink(missing_ok=True)
    for notes in (directory / "state").glob(f"{service}*deployed.json"):
        notes.unlink()


async def failed(colors: TwoColors, color: str) -> None:
    """A side refuses connections; the router, which knows no connections, says 502 for it."""
    colors.faults[color].status = 502
    await colors.stop(color)


async def revived(colors: TwoColors) -> bool:
    """Both sides are up; whether one was not."""
    down = [color for color in COLORS if colors.faults[color].status != 200]
    for color in down:
        colors.faults[color].status = 200
        await colors.start(color)
    return bool(down)


def proxied(colors: TwoColors, relay: Relay) -> dict[str, Any]:
    """What the entries of both proxies have in common."""
    shared = {key: value for key, value in colors.config().items() if key in ("health", "retire")}
    return {**shared, **eventful(relay), "deploy": DEPLOY}


class HaproxyBench:
    """Two HAProxy nodes in front of two colors."""

    name = "haproxy"
    service = "analytics"
    # An edit of two nodes is two writes; one of ours in the same moment can leave a node to each (as writer.py says).
    edited_node_by_node = True
    deploys_by_command = True

    def __init__(self, colors: TwoColors, nodes: list[Haproxy], relay: Relay, http: Http) -> None:
        self._colors, self._nodes, self.relay = colors, nodes, relay
        self.directory = colors.directory
        self.url = nodes[0].url
        config = {
            **proxied(colors, relay),
            "nodes": [nodes[0].node, f"127.0.0.1:{nodes[1].tcp}"],
            "backend": "model",
            "servers": {color: [f"{color}-1"] for color in COLORS},
        }
        self.targets = ConfiguredTargets(self.name, self.service, config, colors.directory, http)

    async def reset(self) -> None:
        """As another console would have left it."""
        forget_deployed(self._colors.directory, self.service)
        await self.edit({"blue": 100, "green": 0})
        if await revived(self._colors):
            for node in self._nodes:
                await asyncio.to_thread(until, node.up, "servers up")
        for node in self._nodes:
            await asyncio.to_thread(node.ask, f"experimental-mode on; set var {variable_of(node.backend)} str()")

    async def edit(self, weights: dict[str, int]) -> None:
        """By hand, on one node after the other: a side gains before the other loses, or nobody would answer between."""
        gaining = sorted(weights, key=lambda color: -weights[color])
        for node in self._nodes:
            await asyncio.to_thread(node.set, **{f"{color}-1": weights[color] for color in gaining})

    async def fail(self, color: str) -> None:
        """It refuses connections."""
        await failed(self._colors, color)

    async def version(self, color: str) -> str:
        """What it says."""
        return self._colors.version(color)

    async def weights(self) -> dict[str, int]:
        """What the nodes say; half of each color where they differ."""
        found = {frozenset((await asyncio.to_thread(node.weights)).items()) for node in self._nodes}
        weights = [dict(each) for each in found]
        gone = [name.partition("-")[0] for each in weights for name, weight in each.items() if weight == 0]
        alone = len(weights) == 1 and len(gone) == 1
        return {color: (0 if color in gone else 100) if alone else 50 for color in COLORS}


@contextlib.asynccontextmanager
async def haproxy_bench(directory: Path) -> AsyncIterator[Bench]:
    """`HaproxyBench` in `directory`."""
    async with TwoColors(directory) as colors:
        with contextlib.ExitStack() as stack:
            servers = [(f"{color}-1", colors.ports[color], "weight 0" if color == "green" else "") for color in COLORS]
            nodes = [
                await asyncio.to_thread(stack.enter_context, haproxy(directory / f"lb{number}", servers))
                for number in (1, 2)
            ]
            for node in nodes:
                await asyncio.to_thread(until, node.up, "servers up")
            async with (
                Relay(nodes[0].url) as relay,
                opened(lambda http: HaproxyBench(colors, nodes, relay, http)) as bench,
            ):
                yield bench


class NginxBench:
    """An nginx in front of two colors, begun and reset by the commands that `teal` prints for hands."""

    name = "nginx"
    service = "analytics"
    edited_node_by_node = False
    deploys_by_command = True

    def __init__(self, colors: TwoColors, server: Nginx, relay: Relay, http: Http) -> None:
        self._colors, self._server, self.relay = colors, server, relay
        self.directory = colors.directory
        self.url = server.url
        config = {**proxied(colors, relay), **server.entry({color: colors.ports[color] for color in COLORS})}
        self.targets = ConfiguredTargets(self.name, self.service, config, colors.directory, http)

    async def reset(self) -> None:
        """As a hand would have left it."""
        forget_deployed(self._colors.directory, self.service)
        await revived(self._colors)
        await self.edit({"blue": 100, "green": 0})
        assert (await (await self.targets.switch(self.service)).adapter.observe()).live == "blue"

    async def edit(self, weights: dict[str, int]) -> None:
        """By hand, as the commands say."""
        write, *commands, _ = (await self.targets.switch(self.service)).adapter.manual_commands(weights)
        await asyncio.to_thread(run, ["sh", "-c", write])
        if self._server.process is None:
            await asyncio.to_thread(self._server.start)
        else:
            await asyncio.to_thread(self._renewed, commands)

    async def fail(self, color: str) -> None:
        """It refuses connections."""
        await failed(self._colors, color)

    async def version(self, color: str) -> str:
        """What it says."""
        return self._colors.version(color)

    def _renewed(self, commands: list[str]) -> None:
        with self._server.renewing():
            for command in commands:
                run(["sh", "-c", command])

    async def weights(self) -> dict[str, int]:
        """What the workers say; none of either color while those of before take connections beside the new ones."""
        if not self._server.is_of_one_mind():
            return dict.fromkeys(COLORS, 0)
        url = f"http://127.0.0.1:{self._server.stamp_port}/__color"
        _, said = await ask(url)
        told = said.decode().split(" ", 1)[0]
        return {color: 100 if color == told else 0 if told in COLORS else 50 for color in COLORS}


@contextlib.asynccontextmanager
async def nginx_bench(directory: Path) -> AsyncIterator[Bench]:
    """`NginxBench` in `directory`."""
    async with TwoColors(directory) as colors:
        with nginx(directory / "nginx", mode="split_clients") as server:
            async with (
                Relay(server.url) as relay,
                opened(lambda http: NginxBench(colors, server, relay, http)) as bench,
            ):
                yield bench


class KubernetesBench:
    """Two Deployments in a namespace of a real control plane, behind a Service or a route."""

    service = "analytics"
    edited_node_by_node = False
    deploys_by_command = False

    def __init__(self, space: Namespace, directory: Path, relay: Relay, http: Http) -> None:
        self._space, self.relay = space, relay
        self.name = space.kind
        self.directory = directory
        self.url = space.url(path="/work")
        config = space.config(**eventful(relay))
        self.targets = ConfiguredTargets(self.name, self.service, config, directory, http)

    async def reset(self) -> None:
        """A Service or a route that nobody has written, 2.4.0 on both sides, all ready."""
        await asyncio.to_thread(self._space.reset)

    async def weights(self) -> dict[str, int]:
        """What the selector or the rule says."""
        return await asyncio.to_thread(self._space.weights)

    async def edit(self, weights: dict[str, int]) -> None:
        """By hand; a selector can not split."""
        await asyncio.to_thread(self._space.meddle, weights)

    async def fail(self, color: str) -> None:
        """All its pods are gone."""
        await asyncio.to_thread(self._space.scale, color, 0)

        def nobody() -> bool:
            return answering(self._space.url(f"analytics-{color}")) == ""

        await asyncio.to_thread(until, nobody, f"{color} gone")

    async def version(self, color: str) -> str:
        """The tag of its image."""
        return await asyncio.to_thread(self._space.tag, color)


@contextlib.asynccontextmanager
async def over_kubernetes(cluster: Cluster, directory: Path, kind: str = "kubernetes") -> AsyncIterator[Bench]:
    """`KubernetesBench` in a namespace of its own."""
    with namespace(cluster) if kind == "kubernetes" else routed(cluster, kind) as space:
        async with (
            Relay(space.url()) as relay,
            opened(lambda http: KubernetesBench(space, directory, relay, http)) as bench,
        ):
            yield bench


@contextlib.asynccontextmanager
async def kubernetes_bench(directory: Path, kind: str = "kubernetes") -> AsyncIterator[Bench]:
    """The same on the control plane of the environment, else on one of its own."""
    with cluster(directory / "kube") as found:
        async with over_kubernetes(found, directory, kind) as bench:
            yield bench


@contextlib.asynccontextmanager
async def alb_bench(directory: Path) -> AsyncIterator[Bench]:
    """Two listeners of a load balancer of AWS."""
    from tests.chaos import alb

    async with alb.alb_bench(directory) as bench:
        yield bench


BENCHES: dict[str, Callable[[Path], AbstractAsyncContextManager[Bench]]] = {
    "file-switch": file_bench,
    "haproxy": haproxy_bench,
    "nginx": nginx_bench,
    "kubernetes": kubernetes_bench,
    "gateway-api": partial(kubernetes_bench, kind="gateway-api"),
    "istio": partial(kubernetes_bench, kind="istio"),
    "alb": alb_bench,
}
