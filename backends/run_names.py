"""What people call a run, of the id that its system gave it."""

import re
from datetime import UTC, datetime, tzinfo

_ULID = r"[^_]+__([0-7][0-9A-HJKMNP-TV-Z]{25})"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DATED = r"[^_]+__(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)"


def run_name(run_id: str, zone: tzinfo = UTC) -> str:
    """A run as people say it: `#1842`; of an id with its kind and time in it (as Airflow's, and ours of what was
    triggered from here) the time in `zone`; else the id."""
    if run_id.isdigit():
        return f"#{run_id}"
    ordered, found = re.fullmatch(_ULID, run_id), re.match(_DATED, run_id)
    try:
        if ordered:
            return _named(datetime.fromtimestamp(_milliseconds(ordered[1]) / 1000, UTC), zone)
        at = datetime.fromisoformat(found[1]) if found else None
        return _named(at.replace(tzinfo=at.tzinfo or UTC), zone) if at else run_id
    except (ValueError, OverflowError):
        return run_id


def _named(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).strftime("%m-%d %H:%M")


def _milliseconds(ulid: str) -> int:
    """Since the epoch: what the first ten letters say."""
    told = 0
    for letter in ulid[:10]:
        told = 32 * told + _CROCKFORD.index(letter)
    return told
