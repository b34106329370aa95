"""A real HTTP server on loopback that answers well until told to fail in a given way.

```python
async with FaultyServer() as server:
    server.fault = "429"          # until it is "" again
    server.faults_left = 1        # or only so often
    await http.get(server.url + "/health")
    server.requests               # what arrived
```
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any

BIG = 200 * 2**20
CHUNK = b"[" + b"0," * (2**15)
HTML = b"<!doctype html><html><title>Sign in</title></html>"


@dataclass
class Received:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FaultyServer:
    """`healthy` is the JSON of a good answer, `status` its status; or `answer` gives both for a request, a string being
    plain text. `fault` is a key of `FAULTS`, or empty."""

    fault: str = ""
    faults_left: int | None = None
    healthy: Any = field(default_factory=lambda: {"status": "healthy"})
    status: int = 200
    answer: "Callable[[Received], tuple[int, Any]] | None" = None
    extra_headers: dict[str, str] = field(default_factory=dict)
    slow_s: float = 0.2
    requests: list[Received] = field(default_factory=list)
    bytes_sent: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """Without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "FaultyServer":
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close the port and every connection; safe to call twice."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                failing = self.fault and self.faults_left != 0
                if failing and self.faults_left is not None:
                    self.faults_left -= 1
                if failing:
                    await FAULTS[self.fault](self, writer)
                    break
                await self.respond(writer, request)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, which is what many tests are about
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def respond(self, writer: asyncio.StreamWriter, request: Received) -> None:
        """The good answer; a subclass may look at what was asked."""
        status, body = self.answer(request) if self.answer else (self.status, self.healthy)
        if self.answer and isinstance(body, str):
            await self.send(writer, status, body.encode(), {"content-type": "text/plain; charset=utf-8"})
        else:
            await self.send(writer, status, json.dumps(body).encode(), self.extra_headers)

    async def send(
        self, writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        """One whole answer; `headers` win over the usual ones."""
        usual = {"content-type": "application/json", "content-length": str(len(body))}
        await self.write(writer, head(status, {**usual, **(headers or {})}) + body)

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Bytes, counted."""
        writer.write(data)
        await writer.drain()
        self.bytes_sent += len(data)


def head(status: int, headers: dict[str, str]) -> bytes:
    """A status line and headers."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = lines[0].split(" ", 2)
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, target, headers, body)


Fault = Callable[[FaultyServer, asyncio.StreamWriter], Awaitable[None]]


def _status(status: int, body: bytes = b'{"detail": "no"}', headers: dict[str, str] | None = None) -> Fault:
    async def answer(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
        await server.send(writer, status, body, {"connection": "close", **(headers or {}), **server.extra_headers})

    return answer


async def _hang(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def _slow(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(server.slow_s)
    await server.send(writer, 200, json.dumps(server.healthy).encode(), {"connection": "close"})


async def _drip(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
    await server.write(writer, head(200, {"content-type": "application/json"}))
    while True:
        await server.write(writer, b" ")
        await asyncio.sleep(0.05)


async def _no_answer(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _reset(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _truncated_body(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
    await server.write(writer, head(200, {"content-type": "application/json", "content-length": "1000"}) + b'{"a":')


async def _huge(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
    await server.write(writer, head(200, {"content-type": "application/json"}))
    while server.bytes_sent < BIG:
        await server.write(writer, CHUNK)


async def _not_http(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
    await server.write(writer, b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def _bad_gzip(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
    await server.send(writer, 200, b"this is no gzip", {"content-encoding": "gzip", "connection": "close"})


async def _echo(server: FaultyServer, writer: asyncio.StreamWriter) -> None:
    """What careless servers do: quote the request in the error."""
    request = server.requests[-1]
    quoted = json.dumps({"error": {"target": request.target, "headers": request.headers}}).encode()
    await server.send(writer, 400, quoted, {"connection": "close"})


FAULTS: dict[str, Fault] = {
    "hang": _hang,
    "slow": _slow,
    "drip": _drip,
    "no answer": _no_answer,
    "reset": _reset,
    "400": _status(400),
    "401": _status(401),
    "403": _status(403),
    "404": _status(404),
    "409": _status(409),
    "429": _status(429, headers={"retry-after": "1"}),
    "500": _status(500),
    "502": _status(502),
    "503": _status(503),
    "504": _status(504),
    "html": _status(200, HTML, {"content-type": "text/html"}),
    "html 503": _status(503, HTML, {"content-type": "text/html"}),
    "empty": _status(200, b""),
    "truncated JSON": _status(200, b'{"status": "heal'),
    "nested too deep": _status(200, b"[" * 200_000),
    "nested 500": _status(500, b'{"detail":' * 100_000),
    "truncated body": _truncated_body,
    "huge": _huge,
    "invalid UTF-8": _status(200, b'{"status": "\xff\xfe"}'),
    "redirect": _status(302, b"", {"location": "https://login.example.com/sso?token=hunter2"}),
    "not HTTP": _not_http,
    "bad gzip": _bad_gzip,
    "echo": _echo,
    "escapes": _status(500, b'{"detail": "\x1b]52;c;aGk=\x07red \x1b[31m\xe2\x80\xaeRTL"}'),
}
