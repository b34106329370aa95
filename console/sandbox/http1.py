"""As much HTTP/1.1 as two servers, a proxy and their clients on loopback need: keep-alive, whole bodies, drain."""

import asyncio
import os
import signal
import socket
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

MAX_HEAD_BYTES = 32 * 1024
MAX_BODY_BYTES = 1024 * 1024
KEEP_ALIVE_S = 75.0
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 411: "Length Required",
           413: "Content Too Large", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
           502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip


class Malformed(Exception):
    """What came is not HTTP as it is spoken here; `status` is what to answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Message:
    """A request or a response with its whole body. Header names are lower case."""

    first: tuple[str, str, str]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def method(self) -> str:
        return self.first[0]

    @property
    def target(self) -> str:
        return self.first[1]

    @property
    def path(self) -> str:
        return self.first[1].partition("?")[0]

    @property
    def keeps_alive(self) -> bool:
        """Whether the sender lets the connection be used again."""
        wish = self.headers.get("connection", "").lower()
        return wish != "close" and ("HTTP/1.1" in self.first or wish == "keep-alive")


@dataclass(slots=True)
class Response:
    """What is answered; `Content-Length` and `Connection` are added on the way out."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self, *, keep_alive: bool, head_only: bool) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"content-length: {len(self.body)}", f"connection: {'keep-alive' if keep_alive else 'close'}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + (b"" if head_only else self.body)


async def read_message(reader: asyncio.StreamReader, *, answer_to: str = "") -> Message | None:
    """The next message, a response where `answer_to` is the method that was sent; None at a clean end of the stream.

    Raises Malformed, and OSError or IncompleteReadError where the connection broke in the middle.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    except asyncio.LimitOverrunError:
        raise Malformed(431, "the head is too large") from None
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) != 3:
        raise Malformed(400, "not an HTTP/1.1 line")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed(400, "not a header line")
        headers[name.strip().lower()] = value.strip()
    message = Message((words[0], words[1], words[2]), headers)
    if answer_to == "HEAD" or (answer_to and words[1] in ("204", "304")):
        return message
    if "transfer-encoding" in headers:
        raise Malformed(411, "a body needs a Content-Length")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise Malformed(400, "Content-Length is not a number")
    if int(length) > MAX_BODY_BYTES:
        raise Malformed(413, "the body is too large")
    if int(length):
        message.body = await reader.readexactly(int(length))
    return message


class Server:
    """Answers requests on one listening socket, one after the other per connection, until it is drained."""

    def __init__(self, answer: Callable[[Message], Awaitable[Response]]) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._idle: set[asyncio.StreamWriter] = set()
        self._busy = 0
        self._draining = False
        self._quiet = asyncio.Event()

    async def start(self, listener: socket.socket) -> None:
        """Accept from now on."""
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=MAX_HEAD_BYTES, backlog=512)

    async def drain(self, grace_s: float) -> None:
        """Accept no more, let what is under way finish within `grace_s`, close what is idle."""
        self._draining = True
        if self._server is not None:
            self._server.close()
        for writer in list(self._idle):
            writer.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self._busy:
                    self._quiet.clear()
                    await self._quiet.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not self._draining and await self._serve_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client is gone or idle for long: nobody is left to tell
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self._idle.add(writer)
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                request = await read_message(reader)
        except Malformed as error:
            writer.write(Response(error.status, str(error).encode()).encode(keep_alive=False, head_only=False))
            await writer.drain()
            return False
        finally:
            self._idle.discard(writer)
        if request is None:
            return False
        self._busy += 1
        try:
            response = await self._answered(request)
            keep_alive = request.keeps_alive and not self._draining
            writer.write(response.encode(keep_alive=keep_alive, head_only=request.method == "HEAD"))
            await writer.drain()
            return keep_alive
        finally:
            self._busy -= 1
            self._quiet.set()

    async def _answered(self, request: Message) -> Response:
        try:
            return await self._answer(request)
        except Exception:  # a defect in one answer: the client is told, the others are served on
            traceback.print_exc()
            return Response(500, b"internal error\n")


async def serve_until_told(server: Server, listener: socket.socket, *, grace_s: float = 3.0) -> None:
    """Serve until SIGTERM, then drain; end at once when stdin closes, since then the supervisor is dead."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_reader(0, os._exit, 0)
    await server.start(listener)
    await told.wait()
    await server.drain(grace_s)
