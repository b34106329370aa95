"""A service of two colors that counts its requests as the presets ask, and a steady load on it through a proxy.

Both run on an event loop in a thread of their own: what a test does meanwhile is not measured.
"""

import asyncio
import contextlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

BUCKETS = (0.005, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
CONNECTIONS = 40
PATIENCE_S = 10.0


@dataclass
class Color:
    """One side. `errors`: the share of its answers that are 503; `delay_s` is added to each. `/health` stays healthy:
    what is wrong shows in the metrics alone."""

    name: str
    errors: float = 0.0
    delay_s: float = 0.0
    port: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    buckets: Counter[float] = field(default_factory=Counter)
    seconds: float = 0.0

    def metrics(self) -> str:
        """In Prometheus' text format."""
        side, count = f'color="{self.name}"', sum(self.answered.values())
        lines = [
            f'http_requests_total{{{side},status="{status}"}} {number}' for status, number in self.answered.items()
        ]
        for bound in BUCKETS:
            below = sum(number for edge, number in self.buckets.items() if edge <= bound)
            lines.append(f'http_request_duration_seconds_bucket{{{side},le="{bound}"}} {below}')
        lines.append(f'http_request_duration_seconds_bucket{{{side},le="+Inf"}} {count}')
        lines.append(f"http_request_duration_seconds_count{{{side}}} {count}")
        lines.append(f"http_request_duration_seconds_sum{{{side}}} {self.seconds:.6f}")
        return "\n".join(lines) + "\n"

    async def answer(self, path: str) -> tuple[int, str, str]:
        """Status, content type, body."""
        if path.startswith("/metrics"):
            return 200, "text/plain; version=0.0.4", self.metrics()
        if path.startswith("/health"):
            told = {"status": "healthy", "version": f"2.4.{self.name}", "environment": self.name}
            return 200, "application/json", json.dumps(told)
        began = time.monotonic()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        took_s = time.monotonic() - began
        status = 503 if random.random() < self.errors else 200
        self.answered[str(status)] += 1
        self.seconds += took_s
        self.buckets[next((bound for bound in BUCKETS if took_s <= bound), float("inf"))] += 1
        return status, "application/json", "{}"


class Measured:
    """`colors` by name; `drive` sends load."""

    def __init__(self) -> None:
        self.colors = {name: Color(name) for name in ("blue", "green")}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[asyncio.Server] = []

    def start(self) -> None:
        """Listen on free ports."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)

    def drive(self, port: int, per_second: float) -> None:
        """Requests at a steady rate to whatever listens there, until `stop`."""
        asyncio.run_coroutine_threadsafe(self._drive(port, per_second), self._loop).result(30)

    def heal(self) -> None:
        """Both colors are as they should be."""
        for color in self.colors.values():
            color.errors = color.delay_s = 0.0

    def stop(self) -> None:
        """End everything."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        for color in self.colors.values():
            server = await asyncio.start_server(_handler(color), "127.0.0.1", 0)
            color.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    async def _drive(self, port: int, per_second: float) -> None:
        each = CONNECTIONS / per_second
        self._tasks += [
            asyncio.create_task(_client(port, each, begin=each * number / CONNECTIONS)) for number in range(CONNECTIONS)
        ]

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _handler(color: Color):
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                status, kind, text = await color.answer(head.split(b" ", 2)[1].decode())
                body = text.encode()
                lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(body)}"]
                lines.append(f"x-environment: {color.name}")
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                await writer.drain()
                if b"connection: close" in head.lower():
                    break
        writer.close()

    return handle


async def _client(port: int, every_s: float, *, begin: float) -> None:
    """One kept connection that asks at its own steady times; a lost one is opened again."""
    due = time.monotonic() + begin
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while True:
                    due = max(due + every_s, time.monotonic())
                    await asyncio.sleep(due - time.monotonic())
                    writer.write(b"GET /work HTTP/1.1\r\nhost: x\r\n\r\n")
                    async with asyncio.timeout(PATIENCE_S):
                        head = await reader.readuntil(b"\r\n\r\n")
                        length = next(
                            line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
                        )
                        await reader.readexactly(int(length.partition(b":")[2]))
            finally:
                writer.close()
        await asyncio.sleep(0.1)


@contextlib.contextmanager
def measured() -> Iterator[Measured]:
    """The two colors, gone at the end of the block."""
    found = Measured()
    found.start()
    try:
        yield found
    finally:
        found.stop()
