"""Steady, bounded traffic over fresh connections, and what came of each request."""

import asyncio
import contextlib
import time
from collections import Counter
from typing import Self
from urllib.parse import urlsplit

from msgspec import Struct

REQUEST_TIMEOUT_S = 20.0


class Seen(Struct, frozen=True):
    """One request: when it was sent and answered (`time.monotonic()`), its status (0: none) and the color."""

    sent: float
    answered: float
    status: int
    color: str


class Load:
    """`async with Load(url, 200) as load:` sends 200 requests a second until the block ends, then waits for answers."""

    def __init__(self, url: str, rps: float) -> None:
        where = urlsplit(url)
        self._host, self._port, self._path = where.hostname or "", where.port or 80, where.path
        self._rps = rps
        self.seen: list[Seen] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._driver: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._driver = asyncio.create_task(self._drive())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._driver is not None
        self._driver.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._driver
        await asyncio.gather(*self._sending)

    @property
    def lost(self) -> list[Seen]:
        """What was not answered with 200."""
        return [seen for seen in self.seen if seen.status != 200]

    def colors(self) -> Counter[str]:
        """Answers by color."""
        return Counter(seen.color for seen in self.seen)

    def last_of(self, color: str, since: float) -> float:
        """Seconds from `since` to the last answer of `color` to a request that was sent after it; 0 where none was."""
        times = [seen.answered - since for seen in self.seen if seen.color == color and seen.sent >= since]
        return max(times, default=0.0)

    async def _drive(self) -> None:
        at = time.monotonic()
        while True:
            task = asyncio.create_task(self._request())
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            # A machine that is too slow for the rate gets less of it, and no burst afterwards.
            at = max(at + 1 / self._rps, time.monotonic() - 0.1)
            await asyncio.sleep(max(0.0, at - time.monotonic()))

    async def _request(self) -> None:
        sent, status, color = time.monotonic(), 0, ""
        with contextlib.suppress(OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                try:
                    head = f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n"
                    writer.write(head.encode())
                    answer = (await reader.read()).decode("latin-1")
                finally:
                    writer.close()
                lines = answer.partition("\r\n\r\n")[0].split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
                status, color = int(lines[0].split(" ")[1]), headers.get("x-environment", "")
        self.seen.append(Seen(sent, time.monotonic(), status, color))
