"""Lines of logs."""

from datetime import datetime
from typing import Literal

from msgspec import Struct, field

from backends.models.health import Health

LogLevel = Literal["debug", "info", "warning", "error", "critical", "unknown"]


class LogEntry(Struct, frozen=True, kw_only=True):
    """One line of a log. `at_ns` is the time in nanoseconds as a string, since JSON numbers lose it.

    Both are null for a line without a time of its own: a time is never made up. `late`: it came when younger ones
    had been handed out already, of its own source or of those that it is merged with.
    """

    at: datetime | None
    at_ns: str | None = None
    source: str
    level: LogLevel = "unknown"
    message: str
    labels: dict[str, str] = field(default_factory=dict)
    late: bool = False

    @property
    def health(self) -> Health:
        """Errors are critical, warnings warnings, the rest is fine."""
        if self.level in ("error", "critical"):
            return "critical"
        return "warning" if self.level == "warning" else "ok"
