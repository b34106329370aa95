"""A way back that the journal can not take: planned without it, and handed to whoever waits for its end."""

from collections.abc import Awaitable, Callable

from actions import outcome
from actions.controlling.back_plan import without_journal
from actions.expected import ControlExpected
from actions.guards import Policy
from actions.journal.audit import AuditEntry
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.rows import Draft
from actions.models import Action, Plan
from actions.switching.unjournalled_plan import plan_without_journal
from actions.targets import Targets
from backends.command_line import command

RunUnjournalled = Callable[[Draft, list[AuditEntry]], Awaitable[Action]]
"""Runs it in this process to its end, and keeps the records."""


async def planned_without_journal(
    plan: Plan, policy: Policy, journal: Journal, targets: Targets, lost: JournalError
) -> Plan:
    """`plan`, made by a journal that can not take it: why is `lost`. Raises Refused, BackendError."""
    if isinstance(plan.expected, ControlExpected):
        return without_journal(plan, lost)
    return await plan_without_journal(plan.request, policy, journal, await targets.switch(plan.service), lost)


async def run_where_waited_for(
    draft: Draft, audit: list[AuditEntry], run: RunUnjournalled | None, lost: JournalError
) -> Action:
    """What came of it. Raises `lost`, with the command that would run it, where nobody is here to (`run` is None)."""
    if draft.plan.already:
        return outcome.already(draft.plan, actor=draft.actor)
    if run is None:
        lost.fix = f"{command('deploy rollback', draft.plan.service, flags='-y')} does it without the journal"
        raise lost
    return await run(draft, audit)
