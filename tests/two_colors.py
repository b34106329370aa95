"""A real service of two colors on loopback, behind a router that follows a switch file, for tests to drive."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

COLORS = ("blue", "green")
ACCEPTED_LATE = 8


@dataclass
class Fault:
    """What a color or the router does wrong; the defaults are a healthy one."""

    status: int = 200
    word: str = "healthy"
    says: str | None = None  # the color that it claims to be; "" for none
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    released: asyncio.Event | None = None  # it answers nobody before


class TwoColors:
    """`async with TwoColors(tmp_path) as service`: `service.config()` is the entry of a `file-switch` deployment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.switch = directory / "switch.json"
        self.faults = {color: Fault() for color in COLORS}
        self.router_status = 200
        self.router_frozen: str | None = None  # the color that it sends everything to, whatever the file says
        self.router_says: tuple[int, str] | None = None  # a status, and the color that the answer names
        self.router_loses = ""  # the color whose requests are never answered through it
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.ports: dict[str, int] = {}
        self._due = dict.fromkeys(COLORS, 0)
        self._servers: dict[str, asyncio.Server] = {}
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self.write({"blue": 100, "green": 0})
        for name in (*COLORS, "router"):
            await self.start(name)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self._servers):
            await self.stop(name)

    async def start(self, name: str) -> None:
        """Bring one of them up, on the port that it had before."""
        self._servers[name] = await asyncio.start_server(self._handler(name), "127.0.0.1", self.ports.get(name, 0))
        self.ports[name] = self._servers[name].sockets[0].getsockname()[1]

    async def stop(self, name: str) -> None:
        """Take one of them down; connections to it are refused from now on."""
        server = self._servers.pop(name)
        for listening in server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(ACCEPTED_LATE):  # of what was accepted a moment ago nobody else closes the socket
            await asyncio.sleep(0)
        server.close()
        writers = list(self._writers)
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
        await asyncio.sleep(0)

    def write(self, weights: dict[str, int], **more: Any) -> None:
        """Write the switch file as a hand would."""
        document = {"weights": weights, "generation": 1, "stamp": "hand", "at": "2026-01-01T00:00:00Z", **more}
        self.switch.write_text(json.dumps(document))

    def weights(self) -> dict[str, int]:
        """What the switch file says."""
        found: dict[str, int] = json.loads(self.switch.read_text())["weights"]
        return found

    def sicken(self, color: str) -> None:
        """From now on it answers, and says that it is unhealthy."""
        self.faults[color].status, self.faults[color].word = 503, "unhealthy"

    def version(self, color: str) -> str:
        """What a color runs: what the `deploy` command of the config has written, or nothing."""
        deployed = self.directory / f"{color}.version"
        return deployed.read_text().strip() if deployed.exists() else f"2.4.{COLORS.index(color)}"

    def url(self, name: str, path: str = "/health") -> str:
        """The URL of a color or of the router."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def config(self, **more: Any) -> dict[str, Any]:
        """Plain data, as TOML would give it."""
        return {
            "path": "switch.json",
            "probe": {"url": self.url("router"), "header": "X-Environment"},
            "health": {color: self.url(color) for color in COLORS},
            "deploy": ["sh", "-c", "echo $1 > $0.version", "{color}", "{version}"],
            "retire": ["sh", "-c", ": > $0.version", "{color}"],
            "bake": "200ms",
            "probe_timeout": "20s",
            **more,
        }

    def _turn(self) -> str | None:
        """Which color answers through the router; None where it answers itself."""
        if self.router_says is not None or self.router_status != 200:
            return None
        return self.router_frozen or self._next()

    def _next(self) -> str:
        """The color whose turn it is, so that each gets exactly its share."""
        shares = self.weights()
        for color in COLORS:
            self._due[color] += shares.get(color, 0)
        turn = max(COLORS, key=lambda color: (shares.get(color, 0) > 0, self._due[color]))
        self._due[turn] -= 100
        return turn

    def _handler(self, name: str) -> Any:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            self._writers.add(writer)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    lines = head.decode("latin-1").split("\r\n")
                    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
                    if name == "router":
                        self.requests.append((lines[0].split(" ")[1], headers))
                    elif (released := self.faults[name].released) is not None:
                        await released.wait()
                    turn = self._turn() if name == "router" else name
                    if name == "router" and turn == self.router_loses:
                        await reader.read()
                        break
                    writer.write(self._answer(name, turn))
                    await writer.drain()
                    if headers.get("connection") == "close":
                        break
            self._writers.discard(writer)
            writer.close()

        return handle

    def _answer(self, name: str, turn: str | None) -> bytes:
        if name == "router":
            if self.router_says is not None:
                status, color = self.router_says
                return _response(status, b"no", {"x-environment": color})
            if turn is None:
                return _response(self.router_status, b"bad gateway", {})
            name = turn
        fault = self.faults[name]
        says = name if fault.says is None else fault.says
        version = self.version(name)
        if not version:
            return _response(503, b"nothing is deployed", {})
        word, status = ("unhealthy", 503) if version.endswith("-sick") else (fault.word, fault.status)
        told = {"status": word, "version": version, "environment": says}
        if not says:
            del told["environment"]
        body = fault.body if fault.body is not None else json.dumps(told).encode()
        return _response(status, body, {**({"x-environment": says} if says else {}), **fault.headers})


def _response(status: int, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} X",
        f"content-length: {len(body)}",
        *(f"{key}: {value}" for key, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
