"""A request as cheap as one can be: a connection of its own, one GET, and all that comes until it is closed."""

import asyncio
from typing import cast
from urllib.parse import urlsplit


class _Answer(asyncio.Protocol):
    def __init__(self, request: bytes, said: "asyncio.Future[bytes]") -> None:
        self._request, self._said = request, said
        self._heard = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._heard += data

    def connection_lost(self, error: Exception | None) -> None:
        if self._said.done():
            return
        if error is None:
            self._said.set_result(bytes(self._heard))
        else:
            self._said.set_exception(error)


async def ask(url: str) -> tuple[str, bytes]:
    """The first line of the answer and its body; both empty where there is none. Raises OSError."""
    where, loop = urlsplit(url), asyncio.get_running_loop()
    head = f"GET {where.path or '/'} HTTP/1.1\r\nhost: {where.netloc}\r\nconnection: close\r\n\r\n"
    said = loop.create_future()
    transport, _ = await loop.create_connection(lambda: _Answer(head.encode(), said), where.hostname, where.port)
    try:
        answer: bytes = await said
    finally:
        transport.abort()
    lines, _, body = answer.partition(b"\r\n\r\n")
    return lines.partition(b"\r\n")[0].decode("latin-1"), body
