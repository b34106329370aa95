"""A way back whose runner died: whoever ordered it runs it in this process, and without the journal where that lets
nobody run it. It is in nobody's way that no process of its own comes up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from actions.kinds import kind_of
from actions.models import Action, Consent, Refused, Request
from actions.orphans import died_unsaid
from actions.telling import outcome
from backends.command_line import command
from backends.errors import BackendError

if TYPE_CHECKING:
    from console.orders import Orders

LOOK_S = 0.5

Say = Callable[[str], None]


def goes_back(request: Request) -> bool:
    """Whether it is an order to go back: a rollback, or one that leads an open action there, or goes on with one."""
    return kind_of("rollback" if request.order in ("abort", "rollback") else request.kind).back


class GoingBack:
    """One order to go back, agreed to as `consent` says. `say` gets what becomes of it, `kept` where its records are
    that the journal does not take, and themselves where no file has room."""

    def __init__(self, orders: Orders, request: Request, consent: Consent, *, say: Say, kept: Say) -> None:
        self._orders = orders
        self._request = request
        self._consent = replace(consent, plan_hash="", idempotency_key="")
        self._say = say
        self._kept = kept

    async def once_more(self, action: Action) -> Action:
        """The same order again, begun in this process; `action` where that is not possible now."""
        self._say("its runner died: once more, in this process")  # on a disk that is full, without the journal
        try:
            plan = await self._orders.plan(self._request)
            return await self._orders.submit(plan, self._consent, foreground=True, tell=self._kept)
        except (Refused, BackendError) as no:
            self._say(_why(no))
            return action

    async def ended(self, action: Action) -> Action:
        """What came of one that was begun here, once nothing runs here any more: without the journal where that lets
        nobody run it, not even this process; else `action`, of which the journal tells. Raises BackendError where it
        can not be run here for another reason."""
        from actions.journal.errors import JournalError

        try:
            await self._orders.run_out()
            return action
        except JournalError as error:
            self._say(f"{error.message}: without the journal")
            lost = error
        back = replace(self._request, kind="rollback", order="", ref="")
        try:
            return await self._orders.back_without(back, self._consent, lost, self._kept)
        except (Refused, BackendError) as no:
            self._say(_why(no))
            return action

    async def seen_through(self, action: Action) -> None:
        """Look at it until it has ended, or a person must look; where its runner dies without a word, it goes on here.
        What can not be run here either is said with what to type."""
        while action.open and action.id is not None and action.orphaned_since is None:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(Refused, BackendError):  # its page says so; its runner has a journal of its own
                action = await self._orders.action(action.id)
        if action.id is None or not died_unsaid(action):
            return
        try:
            action = await self.ended(await self.once_more(action))
            if action.id not in self._orders.unjournalled:
                action = await self._orders.action(action.id or "")
        except (Refused, BackendError) as no:
            self._say(_why(no))
        if action.id in self._orders.unjournalled:
            self._say(f"{outcome(action)}, without the journal")
        elif died_unsaid(action):
            self._say(f"nobody runs it: {command('deploy rollback', action.service)}")


def _why(no: Refused | BackendError) -> str:
    return no.error.message if isinstance(no, Refused) else no.message
