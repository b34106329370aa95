"""Sources of numbers: asked where something needs one, and read by nobody by themselves."""

from typing import Any

from backends.ports import Metrics
from console.ports.entry import Entry
from console.ports.record import Adapters, Port


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    metrics = adapters.of(METRICS, entry.name)
    await metrics.series_exist(metrics.usual)
    return []


METRICS: Port[Metrics, Any] = Port(
    name="metrics",
    about="sources of numbers, for gates, quality, alerts and checks.",
    protocol=Metrics,
    ask=_ask,
    referred=True,
)
