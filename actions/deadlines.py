"""The end of what lasts for a while, as its event in the journal tells it.

A clock may be set meanwhile: in the boot in which it was begun the clock since boot says how much is left, which nobody
can set. Elsewhere the time says it, and never more than it was to last.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from actions.ids import now, time_of, time_text
from actions.journal.lease import steady_clock
from backends.processes import boot_id


def ending_in(seconds: float) -> dict[str, Any]:
    """What an event tells of an end that is so far away. `until` is for who looks."""
    until = time_text(now() + timedelta(seconds=seconds))
    return {"until": until, "lasts_s": seconds, "boot": boot_id(), "ends_s": steady_clock() + seconds}


def left_s(told: Mapping[str, Any]) -> float | None:
    """Seconds until then; None where no end was told. An earlier program told the time alone."""
    until = time_of(told.get("until"))
    if until is None:
        return None
    if told.get("boot") and told["boot"] == boot_id():
        left = float(told["ends_s"]) - steady_clock()
    else:
        left = min((until - now()).total_seconds(), float(told.get("lasts_s", "inf")))
    return max(0.0, left)


def left_of(lasts_s: float, since: datetime) -> float:
    """Seconds that are left of `lasts_s` since then: all of them where a clock was set back meanwhile."""
    return max(0.0, lasts_s - max(0.0, (now() - since).total_seconds()))
