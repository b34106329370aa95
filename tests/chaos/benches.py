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
from tests.live.kubernetes import Cluster, Namespace, cluster, namespace
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
            context = AdapterContext(self._service, self._directory, self._directory / "state", self._http)
            self._adapter = build("deployments", self._kind, self._config, context)
        described = describe(
            "deployments", self._kind, self._service, self._config,
            base_dir=self._directory, state_dir=self._directory / "state",
        )  # fmt: skip
        return SwitchTarget(self._adapter, described)

    async def pipelines(self, backend: str) -> Any:
        """None here."""
        raise BackendError("not_found", f"no backend {backend}")

    async def silencer(self, backend: str) -> Any:
        """None here."""
        raise BackendError("not_found", f"no alerts source {backend}")


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
        for color in COLORS:
            (self._colors.directory / f"{color}.version").unlink(missing_ok=True)
        (self._colors.directory / "state" / f"{self.service}.deployed.json").unlink(missing_ok=True)

    async def weights(self) -> dict[str, int]:
        """What the file says."""
        found: dict[str, int] = json.loads(self._colors.switch.read_text())["weights"]
        return found


@contextlib.asynccontextmanager
async def file_bench(directory: Path) -> AsyncIterator[Bench]:
    """`FileBench` in `directory`."""
    async with TwoColors(directory) as colors:
        http = Http()
        try:
            yield FileBench(colors, http)
        finally:
            await http.aclose()


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
        http = Http()
        bench = KubernetesBench(space, directory, http)
        try:
            yield bench
        finally:
            await bench.targets.aclose()
            await http.aclose()


@contextlib.asynccontextmanager
async def kubernetes_bench(directory: Path) -> AsyncIterator[Bench]:
    """The same on the control plane of the environment, else on one of its own."""
    with cluster(directory / "kube") as found:
        async with over_kubernetes(found, directory) as bench:
            yield bench


BENCHES: dict[str, Callable[[Path], AbstractAsyncContextManager[Bench]]] = {
    "file-switch": file_bench,
    "kubernetes": kubernetes_bench,
}
