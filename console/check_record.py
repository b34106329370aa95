"""Changes of state of checks, kept as notes in the journal's audit."""

from collections.abc import Sequence

from actions.journal.audit import AuditEntry
from backends.models import CheckResult, Health
from console.orders import Orders

PREFIX = "check:"
PRESUMED: Health = "ok"  # of a check that was never recorded


async def record_changes(orders: Orders, context: str, results: Sequence[CheckResult]) -> list[AuditEntry]:
    """Append a note for each check whose state is not the one recorded last; returns them. Raises BackendError."""
    last: dict[str, str] = {}
    for record in await orders.records_here():
        if record.kind == "note" and record.target.startswith(PREFIX):
            last[record.target] = record.result
    notes = [
        AuditEntry(
            kind="note",
            context=context,
            target=PREFIX + result.name,
            actor=orders.actor,
            before={"state": before},
            after={"state": result.state},
            result=result.state,
            detail=result.message,
        )
        for result in results
        if (before := last.get(PREFIX + result.name, PRESUMED)) != result.state
    ]
    if notes:
        await orders.append_audit(*notes)
    return notes
