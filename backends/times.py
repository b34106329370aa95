"""Times as databases and files hand them over, made aware UTC."""

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

_MILLISECONDS_FROM = 1e11  # as seconds that is the year 5138


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
