"""One row for one cause: what it costs to fold five thousand alerts, beside the event loop and on it."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from backends.models import Alert
from console.ports.links import LinkRow, Links
from console.ports.store import Snapshot, SourceKey, Store
from console.reading.not_well import Causes
from console.reading.one_cause import fold

NOW = datetime(2026, 11, 30, 14, 0, tzinfo=UTC)
ALERT_COUNT, SOURCES, SERVICES, NAMES = 5_000, 5, 50, 70
ROUNDS = 7
FOLD_LIMIT_MS, LOOP_LIMIT_MS = 300.0, 20.0
LINKS = Links(
    rows=tuple(
        LinkRow(pipeline=f"etl_{at}", datasets=(f"table_{at}",), services=(f"service-{at % SERVICES}",))
        for at in range(200)
    )
)


def alerts() -> list[Alert]:
    """Of five sources, two of three about a service and the others about a machine, each in words of its own."""
    return [
        Alert(
            ref=f"am{at % SOURCES}/{at}", backend=f"am{at % SOURCES}", fingerprint=str(at), name=f"Alert{at % NAMES}",
            severity="critical", state="firing", since=NOW - timedelta(seconds=at % 7200),
            summary=f"pod-{at} is not ready for {at} s: connection refused",
            labels={
                "pod": f"pod-{at}",
                **({"service": f"service-{at % SERVICES}"} if at % 3 else {"instance": f"10.0.{at % 250}.7:9100"}),
            },
        )
        for at in range(ALERT_COUNT)
    ]  # fmt: skip


def folding_s() -> float:
    """Processor seconds to fold them."""
    things = alerts()
    began = time.thread_time()
    fold(things, (), LINKS, NOW)
    return time.thread_time() - began


def json_s() -> float:
    """Processor seconds to write and read the same as JSON, by the standard library."""
    things = msgspec.to_builtins(alerts())
    began = time.thread_time()
    json.loads(json.dumps(things))
    return time.thread_time() - began


def on_loop_s() -> float:
    """Processor seconds that the thread of the event loop spends while they are folded."""
    store, found = Store(), alerts()
    for name in sorted({alert.backend for alert in found}):
        items = tuple(alert for alert in found if alert.backend == name)
        store.put(Snapshot(key=SourceKey("alerts", name), type="alertmanager", items=items, fetched_at=NOW))

    async def read() -> float:
        causes = Causes(store, LINKS)
        began = time.thread_time()
        assert await causes.read(NOW)
        return time.thread_time() - began

    return asyncio.run(read())


def best(of: Callable[[], float]) -> float:
    """The least of several rounds."""
    return min(of() for _ in range(ROUNDS))


def report() -> bool:
    """Print and judge both budgets; the ratio says what the machine is worth now."""
    took, loop, peer = best(folding_s) * 1000, best(on_loop_s) * 1000, best(json_s) * 1000
    for name, ms, limit in (
        ("folding 5,000 alerts", took, FOLD_LIMIT_MS),
        ("the same, on the event loop", loop, LOOP_LIMIT_MS),
    ):
        print(f"{'ok' if ms <= limit else 'OVER':5} {name:41} {ms:11.1f} ms of {limit:g} ms")
    print(f"      the same 5,000 through json                 {peer:11.1f} ms ({took / peer:.1f} x)")
    return took <= FOLD_LIMIT_MS and loop <= LOOP_LIMIT_MS
