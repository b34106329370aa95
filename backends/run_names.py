"""What people call a run, of the id that its system gave it."""

import re
from datetime import UTC, datetime, tzinfo

_DATED = r"[^_]+__(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)"


def run_name(run_id: str, zone: tzinfo = UTC) -> str:
    """A run as people say it: `#1842`; of an id with its kind and time in it (as Airflow's) the time in `zone`; else
    the id."""
    if run_id.isdigit():
        return f"#{run_id}"
    found = re.match(_DATED, run_id)
    try:
        at = datetime.fromisoformat(found[1]) if found else None
        return (at.replace(tzinfo=at.tzinfo or UTC).astimezone(zone)).strftime("%m-%d %H:%M") if at else run_id
    except (ValueError, OverflowError):
        return run_id
