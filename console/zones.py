"""The operator's time zone."""

import os
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from backends.text import clean
from console.errors import ConfigError

_DAY_S = 86400
_EVERYWHERE = frozenset({"", "UTC", "GMT", "Etc/UTC"})
_RULE = re.compile(r"(<[\w+-]{3,}>|[A-Za-z]{3,})[+-]?\d{1,3}.*", re.ASCII)
"""What POSIX writes without a name: `CET-1CEST,M3.5.0,M10.5.0/3` (The Open Group Base Specifications, chapter 8.3)."""
SAID = "none"
"""What TZ is after its user was told that it is no zone: runners and commands need not tell it again."""


def mend_zone() -> None:
    """Say where TZ is no zone: UTC is taken. Libc takes it, too, without a word, for a name that it does not know; for
    a zone a day or more away from it every question for the local time would fail."""
    far = max(abs(time.timezone), abs(time.altzone)) >= _DAY_S
    named = clean(os.environ.get("TZ", ""), 60).removeprefix(":") if far else unknown_zone()
    if named and named != SAID:
        os.environ["TZ"] = SAID
        time.tzset()
        sys.stderr.write(
            f"teal: TZ={named} is no time zone, so times are UTC (unset TZ, or set it like Europe/Berlin)\n"
        )


def unknown_zone() -> str:
    """What TZ says, where that is no zone that this host knows; empty where it is one, or nothing is said."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if named in _EVERYWHERE or _RULE.fullmatch(named) or (named.startswith("/") and os.path.exists(named)):
        return ""
    from zoneinfo import ZoneInfo  # 4 ms, and most hosts set no TZ

    try:
        ZoneInfo(named)
    except (LookupError, ValueError, OSError):
        return clean(named, 60)
    return ""


def zone_doubts(timezone: str, windows: Sequence[str]) -> tuple[str, ...]:
    """Why nobody knows when the freeze `windows` of a context are; none where its `timezone` or the host says it."""
    unknown = unknown_zone() if windows and not timezone else ""
    words = "is no time zone, and `freeze` goes by it: set TZ, or `timezone` in the config"
    return (f"TZ={unknown} {words}",) if unknown else ()


def zone_of(name: str) -> tzinfo:
    """The zone of that name; the host's for an empty one. Raises ConfigError."""
    if not name:
        return UTC if unknown_zone() else datetime.now().astimezone().tzinfo or UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f'timezone = "{name}" is not known', fix='use a name like "Europe/Berlin"') from None
