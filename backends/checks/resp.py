"""As much of Redis' protocol as a check needs: one command, one answer. Source: https://redis.io/docs/reference/protocol-spec.

No client library: this is all of it, and a check's answers must keep the server's own error words.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

from msgspec import Struct

MAX_BULK_BYTES = 4 * 2**20
CLOSE_S = 1.0


class ErrorReply(Exception):
    """The server refused; `code` is its first word (`NOAUTH`, `LOADING`, …)."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.code = words.partition(" ")[0]


class BrokenReply(Exception):
    """What came is not this protocol."""


class RedisTarget(Struct, frozen=True):
    """Where a server is, and as whom to speak to it. `path` is a socket's, instead of host and port."""

    host: str = ""
    port: int = 6379
    path: str = ""
    tls: bool = False
    user: str = ""
    password: str = ""

    @property
    def where(self) -> str:
        """For messages: never the password."""
        return self.path or f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_target(url: str) -> RedisTarget:
    """`redis://`, `rediss://` (TLS) or `unix://`, with `user:password@`. Raises ValueError, which quotes nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        raise ValueError("not a Redis URL") from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "unix" and parts.path:
        return RedisTarget(path=unquote(parts.path), user=user, password=password)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError("not a Redis URL")
    return RedisTarget(parts.hostname, port, tls=parts.scheme == "rediss", user=user, password=password)


class RedisConnection:
    """One connection, one command at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, *words: str) -> str:
        """The answer as text. Raises ErrorReply, BrokenReply, OSError, EOFError."""
        arguments = [word.encode() for word in words]
        parts = [b"*%d\r\n" % len(arguments), *(b"$%d\r\n%b\r\n" % (len(part), part) for part in arguments)]
        with contextlib.suppress(ConnectionError):  # whoever is refused at the door still gets the reason to read
            self._writer.write(b"".join(parts))
            await self._writer.drain()
        line = (await self._line()).decode("utf-8", "replace")
        kind, rest = line[:1], line[1:]
        if kind == "-":
            raise ErrorReply(rest)
        if kind in ("+", ":"):
            return rest
        if kind != "$" or not rest.isdecimal() or int(rest) > MAX_BULK_BYTES:
            raise BrokenReply("the answer is not that of a Redis server")
        return (await self._reader.readexactly(int(rest) + 2))[:-2].decode("utf-8", "replace")

    async def _line(self) -> bytes:
        try:
            return (await self._reader.readuntil(b"\r\n"))[:-2]
        except asyncio.LimitOverrunError:
            raise BrokenReply("the answer is not that of a Redis server") from None


@contextlib.asynccontextmanager
async def connected(target: RedisTarget) -> AsyncIterator[RedisConnection]:
    """A connection that is closed at the end of the block; nothing was said yet. Raises OSError."""
    if target.path:
        reader, writer = await asyncio.open_unix_connection(target.path)
    else:
        context = ssl.create_default_context() if target.tls else None
        reader, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
    try:
        yield RedisConnection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await writer.wait_closed()
