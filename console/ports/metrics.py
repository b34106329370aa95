"""Sources of numbers: asked where something needs one, and read by nobody by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.ports.entry import Entry
from console.ports.record import Adapters, Port

if TYPE_CHECKING:
    from backends.ports import Metrics


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    metrics = adapters.of(METRICS, entry.name)
    await metrics.series_exist(metrics.usual)
    return []


METRICS: Port[Metrics, Any] = Port(
    name="metrics",
    about="sources of numbers, for gates, quality, alerts and checks.",
    protocol="backends.ports:Metrics",
    ask=_ask,
    referred=True,
)
