"""Outcomes of health checks."""

from msgspec import Struct

from backends.models.health import Health


class PerfDatum(Struct, frozen=True, kw_only=True):
    """One measured value of a check, as the monitoring plugins write it: label, value, unit, limits."""

    label: str
    value: float | None
    unit: str = ""
    warn: str = ""
    crit: str = ""
    min: float | None = None
    max: float | None = None


class CheckResult(Struct, frozen=True, kw_only=True):
    """The outcome of one health check. `latency_ms` is how long it took."""

    ref: str
    name: str
    state: Health
    message: str
    latency_ms: float | None = None
    perfdata: tuple[PerfDatum, ...] = ()

    @property
    def health(self) -> Health:
        """The same word as `state`."""
        return self.state
