"""Times as databases and files hand them over, made aware UTC."""

import math
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any

_MILLISECONDS_FROM = 1e11  # as seconds that is the year 5138

_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86_400.0


def local_words(at: datetime, zone: tzinfo) -> str:
    """A time as a person reads it: `14:02 CET`, and `28 Nov 14:02 CET` where it is of another day than today."""
    local = at.astimezone(zone)
    form = "%H:%M %Z" if local.date() == datetime.now(zone).date() else "%d %b %H:%M %Z"
    return local.strftime(form)


def away(at: datetime) -> str:
    """How far from now: `12s`, `5m`, `3h`, `2d`. For what knows no operator's zone, as a backend does."""
    seconds = abs((at - datetime.now(UTC)).total_seconds())
    for unit, size in (("d", _DAY_S), ("h", _HOUR_S), ("m", _MINUTE_S)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def parse_time(value: Any) -> datetime | None:
    """A datetime, a date, ISO 8601 text, or seconds or milliseconds since the epoch; None for anything else.

    Without an offset it is UTC.
    """
    try:
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, date):
            found = datetime.combine(value, time())
        elif isinstance(value, str):
            found = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            seconds = float(value)
            if not math.isfinite(seconds):
                return None
            found = datetime.fromtimestamp(seconds / 1000 if abs(seconds) >= _MILLISECONDS_FROM else seconds, UTC)
        else:
            return None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
