"""Every port, in the order in which it is told of. A new one is a line here; nothing else has a list of them."""

from collections.abc import Iterator
from typing import Any

from console.ports.alerts import ALERTS
from console.ports.checks import CHECKS
from console.ports.deployments import DEPLOYMENTS
from console.ports.errors import ERRORS
from console.ports.logs import LOGS
from console.ports.metrics import METRICS
from console.ports.notify import NOTIFY
from console.ports.oncall import ONCALL
from console.ports.pipelines import PIPELINES
from console.ports.quality import QUALITY
from console.ports.record import Port, Reading
from console.ports.traces import TRACES

PORTS: dict[str, Port[Any, Any]] = {
    port.name: port
    for port in (METRICS, PIPELINES, QUALITY, ALERTS, DEPLOYMENTS, LOGS, TRACES, CHECKS, ERRORS, ONCALL, NOTIFY)
}


def readings() -> Iterator[tuple[str, Reading[Any, Any]]]:
    """The ports that are read again and again, by name."""
    return ((name, port.reading) for name, port in PORTS.items() if port.reading is not None)


def listed() -> dict[str, str]:
    """The key of each of their lists in `teal status -o json`, by port."""
    return {name: reading.listed_as or name for name, reading in readings()}


def reading_of(name: str) -> Reading[Any, Any] | None:
    """How that port is read; None for what is no port, and for one that is only asked."""
    port = PORTS.get(name)
    return port.reading if port is not None else None


def dated() -> tuple[str, ...]:
    """The panels that can show a time of the past."""
    return (*(name for name, reading in readings() if reading.past), "timeline")


def port_of(item: Any) -> Port[Any, Any] | None:
    """The port that hands out such items."""
    return next((port for port in PORTS.values() if port.reading and isinstance(item, port.reading.item)), None)
