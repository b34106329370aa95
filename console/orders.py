"""How this console orders and reads actions: the gate and the journal of a context, each opened when it is needed."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from actions.audit import AuditRecord, AuditVerdict
from actions.journal import Journal
from actions.location import JournalLocation, journal_location
from actions.models import Action, Consent, Plan, Request
from actions.who import current_actor
from backends.deployments.common import shared_settings
from backends.models import Deployment, LastSwitch, RollbackOffer
from backends.settings import reveal
from console.adapters import Adapters
from console.config import Context
from console.errors import EXIT_NOT_FOUND, CommandError

if TYPE_CHECKING:
    from actions.gate import Gate


class Orders:
    """Reads never create a journal, and load no database library where there is none."""

    def __init__(self, context: Context, adapters: Adapters) -> None:
        self._context = context
        self._adapters = adapters
        self.actor = current_actor(os.environ)
        self._journal: Journal | None = None
        self._gate: Gate | None = None

    @property
    def identity(self) -> str:
        """Who acts: the login user, or the one behind sudo, at this host."""
        return f"{self.actor.sudo_user or self.actor.login}@{self.actor.host}"

    # ---- writing

    async def plan(self, request: Request) -> Plan:
        """What would be done; nothing is written. Raises Refused or BackendError."""
        return await (await self._opened_gate()).plan(request)

    async def submit(self, plan: Plan, consent: Consent, *, foreground: bool = False) -> Action:
        """Through the gate; `foreground` runs it in this process. Raises Refused; nothing changed then."""
        return await (await self._opened_gate()).submit(plan, consent, foreground=foreground)

    # ---- reading

    async def watch(self, action_id: str) -> AsyncIterator[Action]:
        """The action each time that its journal changes, until it has ended."""
        async for action in (await self._opened_gate()).watch(action_id):
            yield action

    async def actions(self, *, open_only: bool = False, limit: int = 50) -> list[Action]:
        """Newest first."""
        return await (await self._opened_journal()).actions(self._context.name, open_only=open_only, limit=limit)

    async def action(self, wanted: str) -> Action:
        """The action of that id, or of that unique prefix. Raises CommandError(5)."""
        found = await (await self._opened_journal()).action(self._context.name, wanted.upper())
        if len(found) == 1:
            return found[0]
        if not found:
            raise CommandError(EXIT_NOT_FOUND, "not_found", f'no action "{wanted}"', fix="`teal action list`")
        names = ", ".join(each.id or "" for each in found)
        raise CommandError(EXIT_NOT_FOUND, "ambiguous", f'"{wanted}" means {len(found)} actions', fix=names)

    async def audit_records(self) -> list[AuditRecord]:
        """The chain, oldest first."""
        return await (await self._opened_journal()).audit_records()

    async def audit_lines(self) -> list[str]:
        """The chain as JSON lines with the text that was hashed."""
        return await (await self._opened_journal()).audit_lines()

    async def verify_audit(self) -> AuditVerdict:
        """Walk the chain."""
        return await (await self._opened_journal()).audit_verify()

    async def enrich(self, deployment: Deployment) -> Deployment:
        """`deployment` with what only the journal knows: the open action, the last switch, the way back."""
        journal, name = await self._opened_journal(), self._context.name
        opened = await journal.open_action(name, deployment.service)
        flip = await journal.last_switch(name, deployment.service)
        moved = await journal.last_switch(name, deployment.service, ("flip", "rollback"))
        return replace(
            deployment,
            action=opened.id if opened else None,
            last_switch=_last_switch(moved[0]) if moved else None,
            rollback=self._offer(deployment, *flip) if flip else None,
        )

    async def aclose(self) -> None:
        """Close the journal; safe to call twice."""
        if self._journal is not None:
            await self._journal.aclose()
            self._journal = None
            self._gate = None

    # ---- inside

    async def _location(self) -> JournalLocation:
        configured = self._context.config.journal
        return journal_location(await reveal(configured) if configured else None, os.environ)

    async def _opened_journal(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(await self._location())
        return self._journal

    async def _opened_gate(self) -> "Gate":
        if self._gate is None:
            from console.ordering import make_gate

            self._gate = make_gate(self._context, self._adapters, await self._opened_journal(), self.actor)
        return self._gate

    def _offer(self, deployment: Deployment, flip: Action, undone_by: str | None) -> RollbackOffer:
        if undone_by is not None or deployment.live != flip.to:
            reason = "the last switch was rolled back" if undone_by else f"{flip.to.upper()} is not live any more"
            return RollbackOffer(to=None, ready=False, reason=reason)
        back = deployment.colors.get(flip.from_)
        ready = back is not None and back.healthy is True
        window = shared_settings(self._adapters.entry("deployments", deployment.backend).data).rollback_window
        return RollbackOffer(
            to=flip.from_,
            ready=ready,
            instant=ready,
            until=flip.ended_at + timedelta(seconds=window) if flip.ended_at else None,
            reason="" if ready else (back.detail if back else "this color is gone"),
        )


def _last_switch(flip: Action) -> LastSwitch | None:
    at = flip.ended_at or flip.started_at
    if at is None:
        return None
    return LastSwitch(at=at, by=flip.actor.login if flip.actor else "", from_=flip.from_, to=flip.to, action=flip.id)
