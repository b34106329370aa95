"""The gate of one context, made when it is first asked for, and the adapters that it gets handed in."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec.structs import replace

from actions.who import acting_as, current_actor
from backends.errors import BackendError
from backends.models import Deployment, Finding, Freeze
from backends.room import Room, room_at
from console.caring import Caring
from console.config.load import Context
from console.crash import Defects
from console.patience import LATE_S, waited_for
from console.ports.deployments import DEPLOYMENTS
from console.reading.adapters import Adapters
from console.reading.way_back import WAIT_S, WaysBack, unproven
from console.zones import zone_doubts, zone_of

if TYPE_CHECKING:
    # The gate costs 7 ms to import, and the console's first paint needs none.
    from actions.gate import Gate
    from actions.journal.audit import AuditEntry, AuditRecord, AuditVerdict, Head
    from actions.journal.episodes import Book, Episode
    from actions.journal.errors import JournalError
    from actions.journal.journal import Journal
    from actions.models import Action, Actor, Consent, OpenConsole, Plan, Request, Watch
    from actions.unjournalled_order import RunUnjournalled
    from backends.ports import Switch
    from console.config_targets import ConfigTargets
    from console.lingering import LogoutFate
    from console.runners import InProcess

T = TypeVar("T")

CLOSING_S = 1.0
PATIENCE_S = 6.0
"""So long a journal may take to say who acts; what is live does not wait longer for it."""


class Orders:
    """What a console may order and read of orders. Reading creates no journal, and loads no database library for one
    that is not there."""

    def __init__(self, context: Context, adapters: Adapters, defects: Defects | None = None) -> None:
        self._context = context
        self._adapters = adapters
        self._gate: Gate | None = None
        self._in_process: InProcess | None = None
        self._fate: LogoutFate | None = None
        self._console_id: str | None = None
        self._caring = Caring(context, self._opened, lambda: self.targets, defects or Defects())
        self.unjournalled: set[str] = set()
        self.patience_s = PATIENCE_S
        self.unasked = "it is not asked from a read-only context" if adapters.read_only else ""
        """Why no switch is asked whether it would take a rollback; empty: each is."""
        self._ways_back = WaysBack()
        self._hanging: asyncio.Future[Any] | None = None
        self._beside: Journal | None = None

    @cached_property
    def actor(self) -> Actor:
        """Who orders, as the audit keeps it."""
        return current_actor(os.environ)

    @property
    def identity(self) -> str:
        """Who acts: the user behind sudo, or the login user, at this host."""
        return acting_as(os.environ)

    async def plan(self, request: Request) -> Plan:
        """What would be done; nothing is written. Raises Refused or BackendError."""
        gate = await self._opened()
        if self._fate is None:
            from console.lingering import fate_of_runners

            self._fate = await fate_of_runners(os.environ)
            gate.policy = replace(gate.policy, host=(self._fate.finding,) if self._fate.finding else ())
        return await gate.plan(request)

    async def submit(
        self,
        plan: Plan,
        consent: Consent,
        *,
        foreground: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> Action:
        """Through the gate; `foreground` runs it in this process. Raises Refused: nothing changed then.

        `tell` gets where the audit of a rollback is kept that the journal has no room for, and its records where no
        file has room either; without it, that is refused.
        """
        gate = await self._opened()
        self.begin_care()
        if foreground and self._in_process is None:
            from console.runners import InProcess

            self._in_process = InProcess(gate.journal, gate.own)
        launch = self._in_process if foreground else None
        return await gate.submit(
            plan, consent, launch=launch, without_journal=self._unjournalled(gate, tell) if tell else None
        )

    def park(self) -> None:
        """Leave what runs in this process, at its next safe point, to whoever resumes it."""
        if self._in_process is not None:
            self._in_process.park.set()

    async def watch(self, action_id: str, *, in_time: bool = False) -> AsyncIterator[Action]:
        """The action each time that its journal changes, until it has ended or nobody runs it. `in_time`: raises
        BackendError(timeout) where the journal says nothing within `patience_s`."""
        async for action in (await self._opened()).watch(action_id, self.action if in_time else None):
            yield action

    async def action(self, wanted: str) -> Action:
        """The action whose id is, begins or ends so. Raises Refused (5) for none or several."""
        return await self._soon(lambda gate: gate.action(wanted))

    async def actions(self, *, open_only: bool = False, limit: int = 50) -> list[Action]:
        """Newest first."""
        return await self._soon(lambda gate: gate.actions(open_only=open_only, limit=limit))

    async def audit_records(self, *, since: datetime | None = None) -> list[AuditRecord]:
        """The chain, oldest first."""
        return await (await self._opened()).audit_records(since=since)

    async def records_here(self, *, since: datetime | None = None) -> list[AuditRecord]:
        """Of the chain what is of this context, oldest first: several contexts may share a journal."""
        return [each for each in await self.audit_records(since=since) if each.context == self._context.name]

    async def audit_lines(self) -> list[str]:
        """The chain as JSON lines with the text that was hashed."""
        return await (await self._opened()).journal.audit_lines()

    async def note(self, sentence: str) -> AuditEntry:
        """Write a sentence down in the audit, with who and when."""
        from actions.journal.audit import AuditEntry

        entry = AuditEntry(kind="note", context=self._context.name, actor=self.actor, detail=sentence)
        await self.append_audit(entry)
        return entry

    async def say_on(self, *, armed: bool) -> None:
        """Tell the others that this console is open; nothing where there is no journal."""
        if self._console_id is None:
            from actions.ids import new_id

            self._console_id = new_id()
        journal = (await self._opened()).journal
        await journal.seen(self._console_id, self._context.name, self.actor, os.getpid(), armed=armed)

    def begin_care(self) -> None:
        """`care`, beside what else is done; `aclose` waits for it."""
        self._caring.begin()

    async def care(self) -> None:
        """Tell those whom this config names of actions that nobody runs, unless somebody has; from now on also of each
        pause of a controller that is read and that no action watches. Nothing depends on it."""
        await self._caring.look()

    async def watched(self) -> list[Watch]:
        """When consoles were open on this context, in the last month."""
        return await self._soon(lambda gate: gate.journal.watched(self._context.name))

    async def episodes(self, since: datetime, until: datetime) -> Book:
        """What the journal has kept of what was wrong between the two."""
        return await self._soon(lambda gate: gate.journal.episodes(self._context.name, since, until))

    async def keep(self, news: Sequence[Episode]) -> bool:
        """Keep what began and what ended, beside all else that is asked of the journal: no order waits for it. False
        where nothing may be written from here, or there is no journal."""
        if self._adapters.read_only:
            return False
        if self._beside is None:
            self._beside = (await self._opened()).journal.another()
        return await self._beside.keep(self._context.name, news)

    async def say_looked(self) -> None:
        """Keep that somebody without a console looked; makes a journal where there is none. Raises BackendError."""
        if not self._adapters.read_only:
            await (await self._opened()).journal.looked(self._context.name)

    async def who_is_on(self) -> list[OpenConsole]:
        """The consoles that are open on this context."""
        return await self._soon(lambda gate: gate.journal.who_is_on(self._context.name))

    async def standing(self, service: str) -> tuple[Freeze | None, list[Action]]:
        """What holds a service back: its freeze (of the config too), and what rejects versions."""
        from actions.orders.freeze_and_reject import standing_against

        return await self._soon(lambda gate: standing_against(service, gate.policy, gate.journal))

    async def append_audit(self, *entries: AuditEntry) -> None:
        """Add to the chain what changed nothing: a note."""
        await (await self._opened()).journal.audit(*entries)

    async def audit_head(self) -> Head | None:
        """The newest record of the audit."""
        return await (await self._opened()).journal.audit_head()

    async def verify_audit(self, known: Head | None = None) -> AuditVerdict:
        """Walk the chain."""
        return await (await self._opened()).verify_audit(known)

    async def enrich(self, deployment: Deployment) -> Deployment:
        """`deployment` with what only the journal knows: the open action, the last switch, the way back."""
        enriched = await self._judged(await self._soon(lambda gate: gate.enrich(deployment)))
        self._caring.mind(enriched)
        offer, last = enriched.rollback, enriched.last_switch
        if offer is None or offer.until is None or last is None:
            return enriched
        from backends.deployments.common import shared_settings

        settings = shared_settings(self._adapters.entry("deployments", deployment.backend).data)
        until = last.at + timedelta(seconds=settings.rollback_window)
        return replace(enriched, rollback=replace(offer, until=until))

    async def _judged(self, deployment: Deployment) -> Deployment:
        """With the way back as the switch itself sees it, where its rights are those that an order would have."""
        offer = deployment.rollback
        if offer is None or not offer.ready or deployment.controller is not None:
            return deployment
        if self.unasked:
            return replace(deployment, rollback=unproven(offer, self.unasked))
        wait_s = min(WAIT_S, self.patience_s)
        return await self._ways_back.judged(
            deployment, lambda: cast("Switch", self._adapters.of(DEPLOYMENTS, deployment.backend)), wait_s=wait_s
        )

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What every plan shows of the journal; nothing before it was read."""
        return () if self._gate is None else self._gate.policy.notes

    async def back_without(
        self, request: Request, consent: Consent, error: JournalError, tell: Callable[[str], None]
    ) -> Action:
        """A rollback that no runner can own by the journal, in this process. Raises Refused, BackendError."""
        gate = await self._opened()
        return await gate.back_without(request, consent, error, self._unjournalled(gate, tell))

    @property
    def runs_here(self) -> bool:
        """Whether this process is the runner of an action."""
        return self._in_process is not None and self._in_process.runs

    async def run_out(self) -> None:
        """Wait until what runs in this process has ended or was left."""
        if self._in_process is not None:
            await self._in_process.aclose()

    async def aclose(self) -> None:
        """Wait for what runs in this process, and close the journal; safe to call twice."""
        await self.run_out()
        await self._ways_back.aclose()
        hangs = self._hangs()
        await self._caring.aclose(hangs=hangs)
        if self._beside is not None:
            with contextlib.suppress(TimeoutError):  # behind a write that hangs
                async with asyncio.timeout(CLOSING_S):
                    await self._beside.aclose()
            self._beside = None
        if self._gate is not None:
            if self._console_id is not None and not hangs:
                with contextlib.suppress(BackendError):
                    await self._gate.journal.gone(self._console_id)
            await self._gate.journal.aclose(wait=not hangs)
            self._gate = None

    @cached_property
    def targets(self) -> ConfigTargets:
        """What the gate orders of."""
        from console.config_targets import ConfigTargets

        return ConfigTargets(self._context, self._adapters)

    async def _soon(self, ask: Callable[[Gate], Awaitable[T]]) -> T:
        """What the journal says within `patience_s`, for who only looks: a server that is frozen takes the question and
        never answers. While one hangs nothing else is asked. Raises BackendError(timeout)."""
        if self._hangs():
            raise self._silent()

        async def answer() -> T:
            return await ask(await self._opened())

        asking = asyncio.ensure_future(answer())
        try:
            late_s = await waited_for(asking, self.patience_s, self._is_asked)
        except asyncio.CancelledError:
            asking.cancel()
            raise
        if asking.done():
            return asking.result()
        asking.add_done_callback(lambda late: late.cancelled() or late.exception())
        self._hanging = asking
        raise self._silent(late_s)

    def _hangs(self) -> bool:
        return self._hanging is not None and not self._hanging.done()

    def _is_asked(self) -> bool:
        """Not while its library is loaded, which says nothing of the journal."""
        return self._gate is None or self._gate.journal.is_loaded

    def _silent(self, late_s: float = 0.0) -> BackendError:
        location = self._gate.journal.location if self._gate is not None else None
        where = f" {location.name}" if location is not None else ""
        late = f"this host was late by {late_s:.1f} s" if late_s >= LATE_S else ""
        if not self._is_asked():
            fix = "try again; `uptime` shows the load of this host"
            return BackendError("timeout", f"journal{where}: not asked yet: {late or 'this host is late'}", fix=fix)
        words = f"journal{where}: no answer in {self.patience_s:.3g} s" + (f"; {late}" if late else "")
        hangs = "its server is frozen" if location is None or location.path is None else "its file system hangs"
        return BackendError("timeout", words, fix=f"see whether {hangs}")

    async def _opened(self) -> Gate:
        if self._gate is None:
            from actions.gate import Gate
            from actions.guards import Policy
            from actions.journal.journal import Journal
            from actions.journal.location import JournalLocation, journal_location
            from console.config.journal_place import journal_of
            from console.entry_now import EntryNow

            config, lost = self._context.config, None
            try:
                location = await journal_of(self._context, os.environ)
            except BackendError as error:  # where it is can not be read: what is beside another one says nothing of it
                lost = error
                location = JournalLocation("", None, journal_location(None, os.environ).directory, shared=True)
            policy = Policy(
                context=self._context.name,
                protected=config.protected,
                read_only=config.read_only,
                freeze=config.freeze,
                doubts=(*self._context.doubts, *zone_doubts(config.timezone, config.freeze)),
                zone=zone_of(config.timezone),
                lock=config.lock,
                shared_journal=location.shared,
                notes=(location.finding,) if location.finding and not self._context.sandbox else (),
            )

            async def launch(action_id: str, digest: str) -> None:
                from console.runners import launch_detached

                wrap = self._fate.wrap if self._fate else ()
                await launch_detached(action_id, location, self._context.path, self._context.name, wrap, digest)

            entry_now = EntryNow(self._context, lambda: self.targets)
            self._gate = Gate(policy, Journal(location, lost=lost), self.targets, self.actor, launch, entry_now)
            await self._add_late(self._gate.journal)
        return self._gate

    def rooms(self) -> list[Room]:
        """What is left where the journal and the state are, as far as that is known: one a file system."""
        from console.paths import state_dir

        journal = self._gate.journal.location.room() if self._gate is not None else None
        found = {room.place: room for room in (journal, room_at(state_dir())) if room is not None}
        return list(found.values())

    async def _add_late(self, journal: Journal) -> None:
        """What was done while the journal could not be written comes into it with the first command that can."""
        from actions.journal.late import add_late, waiting

        with contextlib.suppress(BackendError, OSError):
            if journal.location.exists() or waiting(journal.location, os.environ):
                await add_late(journal, self._context.name, os.environ)

    def _unjournalled(self, gate: Gate, tell: Callable[[str], None]) -> RunUnjournalled:
        from console.unjournalled import kept_elsewhere

        return kept_elsewhere(gate, tell, self.unjournalled)
