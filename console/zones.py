"""The operator's time zone."""

import os
import sys
import time
from datetime import UTC, datetime, tzinfo

from backends.text import clean
from console.errors import ConfigError

_DAY_S = 86400


def mend_zone() -> None:
    """Where TZ is a day or more away from UTC, every question for the local time would fail: UTC is taken, and said."""
    if max(abs(time.timezone), abs(time.altzone)) < _DAY_S:
        return
    named = clean(os.environ.get("TZ", ""), 60)
    os.environ["TZ"] = "UTC"
    time.tzset()
    sys.stderr.write(f"teal: TZ={named} is no time zone, so times are UTC (unset TZ, or set it like Europe/Berlin)\n")


def zone_of(name: str) -> tzinfo:
    """The zone of that name; the host's for an empty one. Raises ConfigError."""
    if not name:
        return datetime.now().astimezone().tzinfo or UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f'timezone = "{name}" is not known', fix='use a name like "Europe/Berlin"') from None
