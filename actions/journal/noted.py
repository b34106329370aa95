"""What is to be known of the journal once: said in every plan, nobody reads it any more, nor what stands below it."""

from collections.abc import Sequence

from msgspec.structs import replace

from actions.journal.journal import Journal
from actions.models import Finding, Plan


async def noted_once(plan: Plan, notes: Sequence[Finding], journal: Journal) -> Plan:
    """`plan` without `notes` where the journal has an action already. Raises BackendError."""
    if not any(finding in notes for finding in plan.findings) or not await journal.actions(plan.context, limit=1):
        return plan
    return replace(plan, findings=tuple(finding for finding in plan.findings if finding not in notes))
