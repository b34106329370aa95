"""What is to be known of the journal once: said in every plan, nobody reads it any more, nor what stands below it."""

from collections.abc import Sequence

from msgspec.structs import replace

from actions.journal.journal import Journal
from actions.journal.location import JournalLocation
from actions.models import Finding, Plan
from backends.models import FindingLevel
from backends.room import FIX


async def noted_once(plan: Plan, notes: Sequence[Finding], journal: Journal) -> Plan:
    """`plan` without `notes` where the journal has an action already. Raises BackendError."""
    if not any(finding in notes for finding in plan.findings) or not await journal.actions(plan.context, limit=1):
        return plan
    return replace(plan, findings=tuple(finding for finding in plan.findings if finding not in notes))


def with_room(plan: Plan, location: JournalLocation) -> Plan:
    """`plan`, which goes forward. It is not begun where its records would have no room: nobody could run or end it."""
    room = None if plan.already else location.room()
    if room is None or room.health == "ok":
        return plan
    level: FindingLevel = "block" if room.health == "critical" else "warning"
    found = Finding(level=level, code="journal-space", text=f"journal {room.words}", fix=FIX)
    return replace(plan, findings=(found, *plan.findings))
