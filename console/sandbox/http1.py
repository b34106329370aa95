"""As much HTTP/1.1 as two servers, a proxy and their clients on loopback need: keep-alive, whole bodies, drain."""

import asyncio
import os
import signal
import socket
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import h11

MAX_HEAD_BYTES = 32 * 1024
MAX_BODY_BYTES = 1024 * 1024
CHUNK_BYTES = 4 * 1024  # h11 looks at the size of a head only while it has not come whole
KEEP_ALIVE_S = 75.0
PER_CONNECTION = frozenset(
    {"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
REASONS = {status.value: status.phrase for status in HTTPStatus}


class Malformed(Exception):
    """What came is not HTTP, or more than is taken here; `status` is what to answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Request:
    """A request with its whole body. Header names are lower case, `headers` has none that is of one connection only."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(slots=True)
class Response:
    """An answer with its whole body; headers as those of a `Request`."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Channel:
    """One end of a connection: messages in and out, one after the other; h11 knows what may come when."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, role: type[h11.CLIENT] | type[h11.SERVER]
    ) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(role, max_incomplete_event_size=MAX_HEAD_BYTES)

    @classmethod
    async def to(cls, port: int) -> "Channel":
        """The asking end of a fresh connection on loopback. Raises OSError."""
        return cls(*await asyncio.open_connection("127.0.0.1", port), h11.CLIENT)

    @property
    def is_open(self) -> bool:
        """Whether the other end has not closed it yet, as far as is known."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    @property
    def is_reusable(self) -> bool:
        """Whether both have said all of one exchange, and neither wants the connection closed."""
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def close(self) -> None:
        self._writer.close()

    async def ask(self, request: Request, *, keep: bool = True) -> Response:
        """The answer to `request`. Raises OSError, ConnectionError where no whole answer came."""
        headers = {"host": "127.0.0.1", **request.headers, "connection": "keep-alive" if keep else "close"}
        if request.body:
            headers["content-length"] = str(len(request.body))
        self._next_exchange()
        try:
            await self._send(
                h11.Request(method=request.method, target=request.target, headers=_pairs(headers)), request.body
            )
            while isinstance(event := await self._event(), h11.InformationalResponse):
                pass
            if not isinstance(event, h11.Response):
                raise ConnectionResetError("closed without an answer")
            return Response(event.status_code, await self._body(), _headers(event))
        except (Malformed, h11.LocalProtocolError) as error:
            raise ConnectionError(str(error)) from None

    async def receive(self) -> Request | None:
        """The next request; None where the other end has closed. Raises Malformed, OSError."""
        self._next_exchange()
        event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        declared = next((value for name, value in event.headers if name == b"content-length"), b"0")
        if int(declared) > MAX_BODY_BYTES:
            raise Malformed(413, "the body is too large")
        return Request(event.method.decode(), event.target.decode(), _headers(event), await self._body())

    async def answer(self, response: Response, *, head_only: bool = False, keep: bool = True) -> None:
        """Send `response` to the request that was received last. Raises OSError."""
        headers = {**response.headers, "content-length": str(len(response.body))}
        if not keep:
            headers["connection"] = "close"
        reason = REASONS.get(response.status, "")
        head = h11.Response(status_code=response.status, headers=_pairs(headers), reason=reason)
        await self._send(head, b"" if head_only else response.body)

    def _next_exchange(self) -> None:
        if self.is_reusable:
            self._http.start_next_cycle()

    async def _send(self, head: h11.Request | h11.Response, body: bytes) -> None:
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()

    async def _event(self) -> h11.Event:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise Malformed(error.error_status_hint, str(error)) from None
            if isinstance(event, h11.Event):
                return event
            if self._http.they_are_waiting_for_100_continue:
                self._writer.write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            self._http.receive_data(await self._reader.read(CHUNK_BYTES))

    async def _body(self) -> bytes:
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                raise Malformed(413, "the body is too large")
        return bytes(body)


def _headers(message: h11.Request | h11.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in message.headers:
        name, value = raw_name.decode(), raw_value.decode("latin-1")
        if name not in PER_CONNECTION:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _pairs(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


class Server:
    """Answers requests on one listening socket, one after the other per connection, until it is drained."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._idle: set[Channel] = set()
        self._busy = 0
        self._draining = False
        self._quiet = asyncio.Event()

    async def start(self, listener: socket.socket) -> None:
        """Accept from now on."""
        self._server = await asyncio.start_server(self._serve, sock=listener, backlog=512)

    async def drain(self, grace_s: float) -> None:
        """Accept no more, let what is under way finish within `grace_s`, close what is idle."""
        self._draining = True
        if self._server is not None:
            self._server.close()
        for channel in list(self._idle):
            channel.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self._busy:
                    self._quiet.clear()
                    await self._quiet.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = Channel(reader, writer, h11.SERVER)
        try:
            while not self._draining and await self._serve_one(channel):
                pass
        except (OSError, TimeoutError):
            pass  # the client is gone or idle for long: nobody is left to tell
        finally:
            channel.close()

    async def _serve_one(self, channel: Channel) -> bool:
        self._idle.add(channel)
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                request = await channel.receive()
        except Malformed as error:
            await channel.answer(Response(error.status, str(error).encode()), keep=False)
            return False
        finally:
            self._idle.discard(channel)
        if request is None:
            return False
        self._busy += 1
        try:
            response = await self._answered(request)
            await channel.answer(response, head_only=request.method == "HEAD", keep=not self._draining)
            return channel.is_reusable
        finally:
            self._busy -= 1
            self._quiet.set()

    async def _answered(self, request: Request) -> Response:
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
