"""Bounded traffic through the router, half of it on fresh connections, half on kept ones; nothing is retried."""

import asyncio
import time
from collections import Counter

from msgspec import Struct

from console.sandbox.http1 import Channel, Request

MAX_RPS = 500.0
MAX_SECONDS = 120.0
TIMEOUT_S = 15.0
TARGETS = ("/api/customers", "/api/transactions", "/api/products", "/work")
KEPT_CONNECTIONS = 16


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


async def ask(port: int, target: str, kept: Channel | None = None) -> tuple[int, str, Channel | None]:
    """One GET: status, color, and the connection where it was `kept` and may be used again.

    Raises OSError (TimeoutError among them) where no whole answer came.
    """
    channel = kept or await Channel.to(port)
    again = False
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await channel.ask(Request("GET", target, {"host": "analytics"}), keep=kept is not None)
        again = kept is not None and channel.is_reusable
        return answer.status, answer.headers.get("x-environment", "none"), kept if again else None
    finally:
        if not again:
            channel.close()


async def drive(port: int, rps: float, seconds: float) -> LoadReport:
    """`rps` requests a second for `seconds`, each sent when it is due whether or not the earlier ones are answered."""
    loop, tally = asyncio.get_running_loop(), _Tally()
    rps, seconds = min(max(rps, 0.1), MAX_RPS), min(max(seconds, 0.1), MAX_SECONDS)
    kept: list[Channel] = []
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
    for channel in kept:
        channel.close()
    return tally.report(loop.time() - started)


async def _one(port: int, number: int, kept: list[Channel], tally: _Tally) -> None:
    started = time.perf_counter()
    connection = None
    try:
        if number % 2:
            connection = kept.pop() if kept else await Channel.to(port)
        status, color, again = await ask(port, TARGETS[number // 2 % len(TARGETS)], connection)
    except OSError as error:
        tally.reasons[type(error).__name__] += 1
        return
    if again is not None:
        if len(kept) < KEPT_CONNECTIONS:
            kept.append(again)
        else:
            again.close()
    tally.took_ms.append((time.perf_counter() - started) * 1000)
    if status >= 500:
        tally.reasons[f"status {status}"] += 1
    else:
        tally.colors[color] += 1
