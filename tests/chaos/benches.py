"""The switches that chaos is let loose on, by name. Each is a context manager that starts real servers on loopback."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from actions.targets import SwitchTarget, describe
from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext, build
from tests.chaos.harness import Bench
from tests.live.haproxy import Haproxy, haproxy
from tests.live.kubernetes import Cluster, Namespace, cluster, namespace
from tests.live.nginx import Nginx, nginx
from tests.live.process import run, until
from tests.two_colors import COLORS, TwoColors


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

    async def switch(self, service: str) -> SwitchTarget:
        """The switch."""
        if self._adapter is None:
            self._adapter = self.built()
        described = describe(
            "deployments", self._kind, self._service, self._config,
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

    def __init__(self, colors: TwoColors, http: Http) -> None:
        self._colors = colors
        self.url = colors.url("router", "/")
        config = colors.config(bake="100ms", smoke=["true"])
        self.targets = ConfiguredTargets(self.name, self.service, config, colors.directory, http)

    async def reset(self) -> None:
        """As on the first day."""
        self._colors.write({"blue": 100, "green": 0})
        forget_deployed(self._colors.directory, self.service)

    async def weights(self) -> dict[str, int]:
        """What the file says."""
        found: dict[str, int] = json.loads(self._colors.switch.read_text())["weights"]
        return found


@contextlib.asynccontextmanager
async def file_bench(directory: Path) -> AsyncIterator[Bench]:
    """`FileBench` in `directory`."""
    async with TwoColors(directory) as colors, opened(lambda http: FileBench(colors, http)) as bench:
        yield bench


def forget_deployed(directory: Path, service: str) -> None:
    """Nothing was ever deployed by a command."""
    for color in COLORS:
        (directory / f"{color}.version").unlink(missing_ok=True)
    (directory / "state" / f"{service}.deployed.json").unlink(missing_ok=True)


def proxied(colors: TwoColors, url: str) -> dict[str, Any]:
    """What the entries of both proxies have in common; clients ask `url`."""
    shared = {key: value for key, value in colors.config().items() if key in ("health", "deploy", "retire")}
    probe = {"url": url, "header": "X-Environment"}
    return {**shared, "probe": probe, "probe_timeout": "20s", "bake": "100ms", "smoke": ["true"]}


class HaproxyBench:
    """Two HAProxy nodes in front of two colors."""

    name = "haproxy"
    service = "analytics"

    def __init__(self, colors: TwoColors, nodes: list[Haproxy], http: Http) -> None:
        self._colors, self._nodes = colors, nodes
        self._resets = 0
        self.url = nodes[0].url
        config = {
            **proxied(colors, self.url),
            "nodes": [nodes[0].node, f"127.0.0.1:{nodes[1].tcp}"],
            "backend": "model",
            "servers": {color: [f"{color}-1"] for color in COLORS},
        }
        self.targets = ConfiguredTargets(self.name, self.service, config, colors.directory, http)

    async def reset(self) -> None:
        """As a hand would have left it, and not without a trace."""
        self._resets += 1
        forget_deployed(self._colors.directory, self.service)
        for node in self._nodes:
            await asyncio.to_thread(node.meddle, {"blue": 100, "green": 0}, 1000 * self._resets, "hand")

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
            async with opened(lambda http: HaproxyBench(colors, nodes, http)) as bench:
                yield bench


class NginxBench:
    """An nginx in front of two colors, begun and reset by the commands that `teal` prints for hands."""

    name = "nginx"
    service = "analytics"

    def __init__(self, colors: TwoColors, server: Nginx, http: Http) -> None:
        self._colors, self._server = colors, server
        self.url = server.url
        config = {**proxied(colors, self.url), **server.entry({color: colors.ports[color] for color in COLORS})}
        self.targets = ConfiguredTargets(self.name, self.service, config, colors.directory, http)

    async def reset(self) -> None:
        """As a hand would have left it."""
        forget_deployed(self._colors.directory, self.service)
        adapter = (await self.targets.switch(self.service)).adapter
        write, *commands, _ = adapter.manual_commands({"blue": 100, "green": 0})
        await asyncio.to_thread(run, ["sh", "-c", write])
        if self._server.process is None:
            await asyncio.to_thread(self._server.start)
        else:
            await asyncio.to_thread(self._renewed, commands)
        assert (await adapter.observe()).live == "blue"

    def _renewed(self, commands: list[str]) -> None:
        with self._server.renewing():
            for command in commands:
                run(["sh", "-c", command])

    async def weights(self) -> dict[str, int]:
        """What the process says that runs."""
        url = f"http://127.0.0.1:{self._server.stamp_port}/__color"
        told = (await asyncio.to_thread(run, ["curl", "-s", url])).split(" ", 1)[0]
        return {color: 100 if color == told else 0 if told in COLORS else 50 for color in COLORS}


@contextlib.asynccontextmanager
async def nginx_bench(directory: Path) -> AsyncIterator[Bench]:
    """`NginxBench` in `directory`."""
    async with TwoColors(directory) as colors:
        with nginx(directory / "nginx", mode="split_clients") as server:
            async with opened(lambda http: NginxBench(colors, server, http)) as bench:
                yield bench


class KubernetesBench:
    """A Service with two Deployments in a namespace of a real control plane."""

    name = "kubernetes"
    service = "analytics"

    def __init__(self, space: Namespace, directory: Path, http: Http) -> None:
        self._space = space
        self.url = space.url(path="/work")
        config = space.config(bake="100ms", smoke=["true"])
        self.targets = ConfiguredTargets(self.name, self.service, config, directory, http)

    async def reset(self) -> None:
        """A Service that nobody has written, 2.4.0 on both sides, all ready."""
        await asyncio.to_thread(self._space.reset)

    async def weights(self) -> dict[str, int]:
        """What the selector says."""
        live = await asyncio.to_thread(self._space.color)
        return {color: 100 if color == live else 0 for color in COLORS}


@contextlib.asynccontextmanager
async def over_kubernetes(cluster: Cluster, directory: Path) -> AsyncIterator[Bench]:
    """`KubernetesBench` in a namespace of its own."""
    with namespace(cluster) as space:
        async with opened(lambda http: KubernetesBench(space, directory, http)) as bench:
            yield bench


@contextlib.asynccontextmanager
async def kubernetes_bench(directory: Path) -> AsyncIterator[Bench]:
    """The same on the control plane of the environment, else on one of its own."""
    with cluster(directory / "kube") as found:
        async with over_kubernetes(found, directory) as bench:
            yield bench


BENCHES: dict[str, Callable[[Path], AbstractAsyncContextManager[Bench]]] = {
    "file-switch": file_bench,
    "haproxy": haproxy_bench,
    "nginx": nginx_bench,
    "kubernetes": kubernetes_bench,
}
