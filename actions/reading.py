"""Open and ended actions of one context as whoever looks or orders sees them: with whether anybody runs them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from actions.described import Described, KeptEntry
from actions.enrichment import enriched
from actions.entry_now import with_ways
from actions.guards import Policy
from actions.journal.audit import AuditRecord, AuditVerdict, Head
from actions.journal.config_entry import FindEntry
from actions.journal.journal import Journal
from actions.models import Action, ActionError, Refused
from actions.orphans import held_by, judged, orphaned_since
from actions.targets import Targets, described
from backends.models import Deployment
from backends.text import clean

WATCH_POLL_S = 0.1
ORPHAN_AFTER_S = 1.0


class ActionReader:
    """Reads the journal of one context, and writes nothing. `entry_now`: the entries that a runner which begins now
    goes by; by default those of `targets`."""

    def __init__(self, policy: Policy, journal: Journal, targets: Targets, entry_now: FindEntry | None = None) -> None:
        self.policy = policy
        self.journal = journal
        self._targets = targets
        self._entry_now = entry_now

    async def own(self, row: KeptEntry) -> Described:
        """`FindEntry`: what a runner that begins now goes by."""
        return await (self._entry_now(row) if self._entry_now is not None else described(self._targets, row))

    async def action(self, wanted: str) -> Action:
        """The action whose id is, begins or ends so. Raises Refused (5) for none or several."""
        found = await self.journal.action(self.policy.context, wanted) if wanted else []
        exact = [action for action in found if action.id == wanted.upper()]
        if len(exact or found) == 1:
            return await self._looked_at((exact or found)[0])
        shown = clean(wanted, 64)
        if not found:
            raise Refused(5, ActionError(kind="not_found", message=f"no action {shown}", fix="`teal action list`"))
        ids = ", ".join(str(action.id) for action in found)
        raise Refused(5, ActionError(kind="ambiguous", message=f"{shown} could be: {ids}", fix="more of the id"))

    async def actions(self, *, open_only: bool = False, limit: int = 50) -> list[Action]:
        """Newest first."""
        found = await self.journal.actions(self.policy.context, open_only=open_only, limit=limit)
        return [await self._looked_at(action) for action in found]

    async def _looked_at(self, action: Action) -> Action:
        """With whether anybody runs it; one that nobody does is read again: it may have ended between the two looks."""
        judged = self._judged(action)
        if judged.orphaned_since is None or action.id is None:
            return judged
        again = await self.journal.action(self.policy.context, action.id)
        found = next((found for found in again if found.id == action.id), action)
        return self._judged(await self._with_ways(found))

    async def _with_ways(self, action: Action) -> Action:
        return await with_ways(action, self.journal, self.own) if self.orphaned(action) else action

    async def watch(
        self, action_id: str, look: Callable[[str], Awaitable[Action]] | None = None
    ) -> AsyncIterator[Action]:
        """The action each time that it changes, until it has ended or nobody runs it any more; `look` reads it. Raises
        Refused (5)."""
        look = look or self.action
        last: Action | None = None
        alone_since: float | None = None
        clock = asyncio.get_running_loop().time
        while True:
            found = await look(action_id)
            if found != last:
                last = found
                yield found
            if not found.open:
                return
            if self.orphaned(found):
                alone_since = clock() if alone_since is None else alone_since
                if clock() - alone_since > ORPHAN_AFTER_S:
                    return
            else:
                alone_since = None
            await asyncio.sleep(WATCH_POLL_S)

    def orphaned(self, action: Action) -> bool:
        """Whether nobody runs an open action."""
        return orphaned_since(action, self.journal.location) is not None

    async def enrich(self, deployment: Deployment) -> Deployment:
        """`deployment` with what only the journal knows: the open action, the last switch, the way back."""
        return await enriched(deployment, self.policy, self.journal, self._targets, self.own)

    async def audit_records(self, *, since: datetime | None = None) -> list[AuditRecord]:
        """The chain, oldest first."""
        return await self.journal.audit_records(since=since)

    async def verify_audit(self, known: Head | None = None) -> AuditVerdict:
        """Walk the chain; `known` is a record of it that somebody kept elsewhere."""
        return await self.journal.audit_verify(known)

    def _judged(self, action: Action) -> Action:
        return judged(action, self.journal.location, self.policy.zone)

    async def _held(self, occupied: Action) -> ActionError:
        occupied = await self._with_ways(occupied)
        words, fix = held_by(occupied, self.journal.location, self.policy.zone, "watch")
        return ActionError(kind="held", message=words, fix=fix)
