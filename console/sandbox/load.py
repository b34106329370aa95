"""Bounded traffic through the router, half of it on fresh connections, half on kept ones; nothing is retried."""

import asyncio
import time
from collections import Counter

from msgspec import Struct

from console.sandbox.http1 import MAX_BODY_BYTES, Malformed, read_message

MAX_RPS = 500.0
MAX_SECONDS = 120.0
TIMEOUT_S = 15.0
TARGETS = ("/api/customers", "/api/transactions", "/api/products", "/work")
KEPT_CONNECTIONS = 16

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LoadReport(Struct, frozen=True, kw_only=True):
    """What the clients saw. `errors`: no answer, or a status of 500 and above; `by_color` counts good answers."""

    requests: int
    errors: int
    by_color: dict[str, int]
    p95_ms: float | None
    seconds: float
    reasons: dict[str, int]


class _Tally:
    def __init__(self) -> None:
        self.colors: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.took_ms: list[float] = []

    def report(self, seconds: float) -> LoadReport:
        ordered, errors = sorted(self.took_ms), self.reasons.total()
        p95 = round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1) if ordered else None
        return LoadReport(
            requests=self.colors.total() + errors,
            errors=errors,
            by_color=dict(self.colors),
            p95_ms=p95,
            seconds=round(seconds, 2),
            reasons=dict(self.reasons),
        )


async def ask(port: int, target: str, kept: Connection | None = None) -> tuple[int, str, Connection | None]:
    """One GET: status, color, and the connection where it was `kept` and may be used again.

    Raises OSError (TimeoutError among them) where no whole answer came.
    """
    reader, writer = kept or await asyncio.open_connection("127.0.0.1", port, limit=MAX_BODY_BYTES)
    connection = "keep-alive" if kept else "close"
    again = False
    try:
        async with asyncio.timeout(TIMEOUT_S):
            writer.write(
                f"GET {target} HTTP/1.1\r\nhost: analytics\r\nconnection: {connection}\r\n\r\n".encode("latin-1")
            )
            answer = await read_message(reader, answer_to="GET")
        if answer is None:
            raise ConnectionResetError("closed without an answer")
        again = kept is not None and answer.keeps_alive
        return int(answer.first[1]), answer.headers.get("x-environment", "none"), kept if again else None
    except (asyncio.IncompleteReadError, Malformed, ValueError) as error:
        raise ConnectionError(f"half an answer: {error}") from None
    finally:
        if not again:
            writer.close()


async def drive(port: int, rps: float, seconds: float) -> LoadReport:
    """`rps` requests a second for `seconds`, each sent when it is due whether or not the earlier ones are answered."""
    loop, tally = asyncio.get_running_loop(), _Tally()
    rps, seconds = min(max(rps, 0.1), MAX_RPS), min(max(seconds, 0.1), MAX_SECONDS)
    kept: list[Connection] = []
    started, under_way = loop.time(), set[asyncio.Task[None]]()
    for number in range(max(1, round(rps * seconds))):
        wait_s = started + number / rps - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        task = asyncio.create_task(_one(port, number, kept, tally))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    if under_way:
        await asyncio.wait(under_way)
    for _, writer in kept:
        writer.close()
    return tally.report(loop.time() - started)


async def _one(port: int, number: int, kept: list[Connection], tally: _Tally) -> None:
    started = time.perf_counter()
    connection = None
    try:
        if number % 2:
            connection = kept.pop() if kept else await asyncio.open_connection("127.0.0.1", port, limit=MAX_BODY_BYTES)
        status, color, again = await ask(port, TARGETS[number // 2 % len(TARGETS)], connection)
    except OSError as error:
        tally.reasons[type(error).__name__] += 1
        return
    if again is not None:
        if len(kept) < KEPT_CONNECTIONS:
            kept.append(again)
        else:
            again[1].close()
    tally.took_ms.append((time.perf_counter() - started) * 1000)
    if status >= 500:
        tally.reasons[f"status {status}"] += 1
    else:
        tally.colors[color] += 1
