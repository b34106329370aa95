"""The load balancer: an HTTP/1.1 reverse proxy that follows `switch.json` per request.

    python -P -m console.sandbox.router DIR LISTENING_FD

`{"weights": {"blue": 100, "green": 0}, "generation": 7, "stamp": "<action>:<step>", "at": "…Z"}`. The file is looked at
for each request (a stat costs 2 µs), so that the first request after a switch takes the new way and an idle router
costs nothing. What cannot be read leaves the last good weights in force; `GET /__switch` tells.
"""

import asyncio
import json
import os
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from backends.json_text import decode_text
from console.sandbox import files
from console.sandbox.http1 import Channel, Request, Response, Server, serve_until_told

UPSTREAM_TIMEOUT_S = 10.0
SETTLED_S = 0.05
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class SwitchFile:
    """The weights that are in force."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._settled = False
        self._credit: dict[str, float] = {}
        self.weights: dict[str, int] = {}
        self.document: dict[str, Any] = {}
        self.error = "not read yet"

    def choose(self) -> str | None:
        """The color of the next request: each gets its share in any short run of requests, not just on average."""
        self.refresh()
        best, total = None, 0
        for color, weight in self.weights.items():
            if weight:
                total += weight
                self._credit[color] = self._credit.get(color, 0) + weight
                if best is None or self._credit[color] > self._credit[best]:
                    best = color
        if best is not None:
            self._credit[best] -= total
        return best

    def refresh(self) -> None:
        """Read the file where it is another than before."""
        try:
            found = os.stat(self._path)
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen == self._seen and self._settled:
                return
            # Two writes within one tick of the file system's clock look alike: trust a stat only once it is older.
            self._settled = time.time() - found.st_mtime > SETTLED_S
            self._seen = seen
            self._accept(decode_text(self._path.read_bytes(), object))
            self.error = ""
        except OSError as error:
            self._seen, self.error = None, f"{self._path.name}: {error.strerror}"
        except (ValueError, msgspec.DecodeError) as error:
            self.error = f"{self._path.name}: {error}"

    def _accept(self, document: Any) -> None:
        weights = document.get("weights") if isinstance(document, dict) else None
        if not isinstance(weights, dict):
            raise ValueError('no object "weights"')
        for color, weight in weights.items():
            if color not in files.COLORS:
                raise ValueError(f'unknown color "{color}"')
            if type(weight) is not int or weight < 0:
                raise ValueError(f"weight of {color} is {weight!r}")
        if not sum(weights.values()):
            raise ValueError("weights sum to 0")
        if weights != self.weights:
            self._credit = {}
        self.weights, self.document = weights, document


class Upstream:
    """One color, with the connections to it that can be used again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[Channel] = deque()

    async def exchange(self, request: Request) -> Response:
        """The answer to `request`. Raises OSError where the color could not be asked or broke off.

        A connection that was kept may have been closed meanwhile: what is safe to repeat is sent again on a fresh one.
        """
        while self._idle:
            channel = self._idle.pop()
            if not channel.is_open:
                channel.close()
                continue
            try:
                return await self._ask(channel, request)
            except TimeoutError:
                raise
            except OSError:
                if request.method not in SAFE:
                    raise
                break
        return await self._ask(await self._connect(), request)

    def close(self) -> None:
        """Let go of the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    async def _connect(self) -> Channel:
        try:
            return await Channel.to(self._port)
        except OSError:
            await asyncio.sleep(0.02)
            return await Channel.to(self._port)

    async def _ask(self, channel: Channel, request: Request) -> Response:
        try:
            answer = await channel.ask(request)
        except BaseException:
            channel.close()
            raise
        if channel.is_reusable:
            self._idle.append(channel)
        else:
            channel.close()
        return answer


class AccessLog:
    """One line per request, in a file that is put aside at 5 MB. A full disk costs lines, never requests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("a", encoding="utf-8", buffering=1)
        self._bytes = path.stat().st_size

    def write(self, request: Request, status: int, took_s: float, color: str) -> None:
        """Health probes that went well are not worth a line."""
        if request.path == "/health" and status == 200:
            return
        level = "ERROR" if status >= 500 else "WARN" if status >= 400 else "INFO"
        target = request.target[:200]
        line = f"{files.now_text()} {level} {request.method} {target} {status} {took_s * 1000:.0f}ms color={color}\n"
        try:
            if self._bytes > files.MAX_LOG_BYTES:
                self._stream.close()
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._stream, self._bytes = self._path.open("a", encoding="utf-8", buffering=1), 0
            self._stream.write(line)
            self._bytes += len(line)
        except (OSError, ValueError):
            pass

    def close(self) -> None:
        self._stream.close()


class Router:
    """Sends each request to the color that the switch file names for it."""

    def __init__(self, directory: Path, ports: dict[str, int]) -> None:
        self.switch = SwitchFile(directory / files.SWITCH)
        self._upstreams = {color: Upstream(ports[color]) for color in files.COLORS}
        self._log = AccessLog(directory / files.ACCESS_LOG)

    async def answer(self, request: Request) -> Response:
        """The color's answer, `X-Environment` and all; 502, 503 or 504 where there is none."""
        if request.path == "/__switch":
            return self._told()
        started = time.perf_counter()
        color = self.switch.choose()
        if color is None:
            response = Response(503, f"no traffic weights: {self.switch.error}\n".encode())
        else:
            response = await self._ask(color, request)
        self._log.write(request, response.status, time.perf_counter() - started, color or "none")
        return response

    async def _ask(self, color: str, request: Request) -> Response:
        try:
            async with asyncio.timeout(UPSTREAM_TIMEOUT_S):
                return await self._upstreams[color].exchange(request)
        except TimeoutError:
            return Response(504, f"{color} did not answer within {UPSTREAM_TIMEOUT_S:.0f} s\n".encode())
        except OSError as error:
            return Response(502, f"{color}: {error.strerror or error}\n".encode())

    async def aclose(self) -> None:
        """Let go of the connections to the colors, and of the log."""
        for upstream in self._upstreams.values():
            upstream.close()
        self._log.close()

    def _told(self) -> Response:
        self.switch.refresh()
        document = self.switch.document
        told = {
            "weights": self.switch.weights,
            "generation": document.get("generation"),
            "stamp": document.get("stamp"),
            "error": self.switch.error or None,
        }
        return Response(200, json.dumps(told).encode(), {"content-type": "application/json"})


def main() -> None:
    directory, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    router = Router(directory, files.read_json(directory / files.PORTS))
    asyncio.run(serve_until_told(Server(router.answer), listener))


if __name__ == "__main__":
    main()
