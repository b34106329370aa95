"""What stands between a runner's fresh requests and the load balancer: it passes them on, lags, or says nothing."""

import asyncio
import contextlib
from typing import Literal, Self
from urllib.parse import urlsplit

Mood = Literal["passes", "lags", "hangs"]


class Relay:
    """`async with Relay(url) as relay:` listens at `relay.url`. While it lags, every answer is one of `lagging`."""

    def __init__(self, url: str, lagging: str = "blue") -> None:
        self._there = urlsplit(url)
        self._lagging = lagging
        self.mood: Mood = "passes"
        self.url = ""
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._there.path or '/'}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            while self.mood == "hangs" and not reader.at_eof():
                await asyncio.sleep(0.05)
            writer.write(self._old() if self.mood == "lags" else await self._passed(head))
            await writer.drain()

    def _old(self) -> bytes:
        head = f"HTTP/1.1 200 OK\r\nx-environment: {self._lagging}\r\nx-version: 0\r\nconnection: close\r\n"
        return f"{head}content-length: 0\r\n\r\n".encode()

    async def _passed(self, head: bytes) -> bytes:
        there, onward = await asyncio.open_connection(self._there.hostname, self._there.port)
        try:
            first, _, rest = head.partition(b"\r\n")
            lines = [first, *(line for line in rest.split(b"\r\n") if line and not _hop(line)), b"connection: close"]
            onward.write(b"\r\n".join([*lines, b"", b""]))
            return await there.read()
        finally:
            onward.close()


def _hop(line: bytes) -> bool:
    return line.lower().startswith((b"connection:", b"keep-alive:"))
