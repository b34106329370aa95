"""How well a panel is, by its items and by whether its sources can be trusted."""

from datetime import datetime

from backends.models import Health, worst
from console.ports.store import Snapshot
from console.ports.table import reading_of


def panel_health(snapshots: list[Snapshot], now: datetime | None = None) -> Health:
    """The worst item of a panel; a source whose data cannot be trusted any more makes it unknown. Empty is ok."""
    healths: list[Health] = []
    for snapshot in snapshots:
        trusted = snapshot.trust(now)
        reading = reading_of(snapshot.key.panel)
        if trusted == "unknown" or (snapshot.error is not None and snapshot.fetched_at is None):
            healths.append("unknown")
        elif reading is None or not reading.checked:
            healths.append("ok")  # what was in the past is evidence, not a state
        else:
            healths += [item.health for item in reading.standing([snapshot])]
        if snapshot.error is not None or snapshot.missing:
            healths.append("unknown")
        healths.append(trusted)  # stale: it may have changed since
    return worst(healths) if healths else "ok"
