"""What the sandbox tests share: a platform of router and two colors within the test's own event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from console.sandbox import files, suites, warehouse
from console.sandbox.children import listen
from console.sandbox.http1 import Server
from console.sandbox.router import Router
from console.sandbox.service import Analytics

T = TypeVar("T")


def until(condition: Callable[[], T], *, timeout_s: float = 10.0) -> T:
    """What `condition` returns once it is true; AssertionError when that takes too long."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.02)
    return found


def prepare(directory: Path) -> None:
    """Everything that the tasks and the service expect to be there."""
    (directory / "logs").mkdir()
    (directory / files.ACCESS_LOG).touch()
    suites.write_suites(directory)
    warehouse.create(directory)
    switch(directory, blue=100, green=0)


def switch(directory: Path, *, generation: int = 1, **weights: int) -> None:
    """Write the switch file as the adapter does: at once."""
    files.write_json(directory / files.SWITCH, {"weights": weights, "generation": generation, "stamp": "test:1"})


class Platform:
    """Ports and servers of a platform that runs."""

    def __init__(self, directory: Path, ports: dict[str, int], servers: dict[str, Server], router: Router) -> None:
        self.directory, self.ports, self.servers, self.router = directory, ports, servers, router

    @property
    def port(self) -> int:
        return self.ports["router"]


@asynccontextmanager
async def platform(directory: Path) -> AsyncIterator[Platform]:
    prepare(directory)
    sockets = {name: listen(0) for name in ("router", *files.COLORS)}
    ports = {name: socket.getsockname()[1] for name, socket in sockets.items()}
    files.write_json(directory / files.PORTS, ports)
    router = Router(directory, ports)
    servers = {color: Server(Analytics(directory, color, files.VERSIONS[color]).answer) for color in files.COLORS}
    servers["router"] = Server(router.answer)
    for name, server in servers.items():
        await server.start(sockets[name])
    try:
        yield Platform(directory, ports, servers, router)
    finally:
        for name in ("router", *files.COLORS):
            await servers[name].drain(1.0)
        await router.aclose()
        await asyncio.sleep(0)
