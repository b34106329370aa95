"""The journal as the rest of the program sees it: asynchronous, on one thread of its own, opened when it is needed.

Reading a journal that does not exist finds nothing, creates nothing and loads no database library.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from actions.ids import new_id
from actions.journal.audit import EMPTY, AuditEntry, AuditRecord, AuditVerdict, Head
from actions.journal.breaker import Breaker
from actions.journal.episodes import Book, Episode
from actions.journal.errors import NO_SENSE, JournalError, without_sense
from actions.journal.lease import Lease, LeaseTimes, steady_clock
from actions.journal.location import JournalLocation
from actions.journal.patience import asked_again, patient, patiently
from actions.journal.rows import Changes, Command, Draft, Event, Key, StoredEvent
from actions.journal.taken_away import Records, refuse_stray
from actions.models import Action, Actor, OpenConsole, Owner, Plan, Watch
from backends.errors import BackendError
from backends.threads import DaemonExecutor

if TYPE_CHECKING:
    from actions.journal.rows import Late
    from actions.journal.sql import SqlJournal

T = TypeVar("T")


class Journal:
    """What was ordered, what was intended and observed, who runs it, and the audit. Raises BackendError everywhere."""

    def __init__(
        self, location: JournalLocation, times: LeaseTimes | None = None, *, lost: BackendError | None = None
    ) -> None:
        """`lost`: why it can not even be asked, as where its address is a secret that is not there."""
        self.location = location
        self._lost = lost
        self._breaker = Breaker()
        self.times = times or LeaseTimes()
        self._renewed: dict[str, float] = {}
        self._writing = asyncio.Lock()
        self._records: Records | None = None
        self._executor = DaemonExecutor(1, "journal")  # `aclose` waits; nothing else, for a server that hangs
        self._sql: SqlJournal | None = None

    @contextlib.asynccontextmanager
    async def keeping(self, action_id: str, context: str, tell: Callable[[str], None]) -> AsyncIterator[None]:
        """While a runner works by it: where its file is taken away, its records are kept beside; `tell` is told so, in
        words."""
        loop = asyncio.get_running_loop()
        records = Records(
            self.location, action_id, os.environ, lambda words: _quietly(loop.call_soon_threadsafe, tell, words)
        )
        self._records = records
        try:
            yield
        finally:
            if self._sql is not None and self.location.path is not None:
                await self._do(lambda sql: records.end(sql, context))
            self._records = None

    @property
    def is_loaded(self) -> bool:
        """Whether the database itself could be asked by now: its library is loaded by the first who asks."""
        return self._sql is not None or self._lost is not None

    def another(self) -> "Journal":
        """The same one with a thread and a connection of its own, for what nothing here may wait for."""
        return Journal(self.location, self.times, lost=self._lost)

    async def aclose(self, *, wait: bool = True) -> None:
        """Close the database, behind what is asked of it; safe to call twice. Without `wait` what hangs is left."""
        if self._sql is not None and wait:
            sql, self._sql = self._sql, None
            await asyncio.get_running_loop().run_in_executor(self._executor, sql.close)
        self._executor.shutdown(wait=False)

    # ---- actions

    async def begin(self, draft: Draft, *, audit: Sequence[AuditEntry] = (), wait_s: float | None = None) -> Action:
        """Write a new action, waiting for other writers for `wait_s` at most. Raises Occupied or KeyUsed; nothing is
        written then."""
        return await self._do(lambda sql: sql.begin(draft, audit, wait_s))

    async def write(
        self,
        lease: Lease,
        *events: Event,
        changes: Changes | None = None,
        audit: Sequence[AuditEntry] = (),
        undone: str | None = None,
    ) -> bool:
        """One fenced transaction of a runner, on disk when this returns. Raises LeaseLost.

        False, and nothing written, where it would end an action as succeeded to which an order is still waiting.
        A database that is away is asked again as long as the lease is sure to be held; what was written and only not
        answered is not written twice.
        """
        mark = new_id()

        async def write() -> bool:
            if self.unsure_in_s(lease) <= 0:  # this process, its host or the database stood still meanwhile
                await self.renew(lease)
            return await self._do(lambda sql: sql.write(lease, events, changes, audit, undone, mark))

        async with self._writing:
            with patient(None):
                return await asked_again(write, lambda: self.unsure_in_s(lease))

    async def close_orphan(self, action_id: str, changes: Changes, *, audit: Sequence[AuditEntry] = ()) -> bool:
        """End an action that nobody runs. False where it has ended meanwhile."""
        return await self._do(lambda sql: sql.close_orphan(action_id, changes, audit))

    async def check_whole(self) -> None:
        """Raises JournalError where the file is damaged."""
        await self._do(lambda sql: sql.check_whole())

    async def add_late(self, late: "Late") -> bool:
        """Add an action that was done without this journal, and its records; False where it has been added before."""
        return await self._do(lambda sql: sql.add_late(late))

    async def claim(
        self, action_id: str, what: str, still: Callable[[Action], bool], *, audit: Sequence[AuditEntry] = ()
    ) -> bool:
        """Whether the caller is the first to do `what` about an action under its newest lease, while it is `still` so;
        the event that says so is on disk then."""
        return await self._do(lambda sql: sql.claim(action_id, what, still, audit))

    async def action(self, context: str, wanted: str) -> list[Action]:
        """The actions whose id begins with `wanted`, or ends so where that is six characters or more; at most ten."""
        return await self._look([], lambda sql: sql.action(context, wanted), follows=True)

    async def actions(self, context: str, *, open_only: bool = False, limit: int = 50) -> list[Action]:
        """Newest first."""
        return await self._look([], lambda sql: sql.actions(context, open_only, limit))

    async def of_service(self, context: str, service: str, kinds: Sequence[str], *, limit: int) -> list[Action]:
        """The actions of `kinds` on a service that changed something, newest first, without their steps."""
        return await self._look([], lambda sql: sql.of_service(context, service, kinds, limit))

    async def plan(self, action_id: str, *, digest: str = "") -> Plan:
        """The plan that an action was begun with. Raises BackendError(not_found); JournalError where its row is not as
        it was agreed to, by the audit and by the `digest` that a runner was told."""
        return await self._do(lambda sql: sql.plan(action_id, digest))

    async def digest(self, action_id: str) -> str:
        """That of the plan of an action, held to the audit. Raises as `plan` does."""
        return await self._do(lambda sql: sql.digest(action_id))

    async def not_believed(self, action_id: str) -> bool:
        """Whether an action has ended, and an operator had it noted in the audit that its row is not believed."""
        return await self._do(lambda sql: sql.not_believed(action_id))

    async def identity(self) -> str:
        """The random id that the journal was made with; empty where there is none, or none yet."""
        return await self._look("", lambda sql: sql.identity())

    async def context_of(self, action_id: str) -> str:
        """The context of the action of that very id; empty where it is none of this journal."""
        return await self._look("", lambda sql: sql.context_of(action_id))

    async def is_later(self, action_id: str, than: str) -> bool:
        """Whether one action was recorded after another; False where either is none of this journal. Ids do not say
        it, nor do times: a clock may have been set since."""
        return await self._look(False, lambda sql: sql.is_later(action_id, than))

    async def by_key(self, context: str, key: str) -> tuple[Action, str] | None:
        """The action of an idempotency key, and the hash of its request."""
        return await self._look(None, lambda sql: sql.by_key(context, key))

    async def open_action(self, context: str, service: str) -> Action | None:
        """The one action of a service that has not ended. Raises JournalError where its row was edited."""
        return await self._look(None, lambda sql: sql.open_action(context, service))

    async def open_id(self, context: str, service: str) -> str:
        """The id of that action, whatever else its row says; empty where there is none."""
        return await self._look("", lambda sql: sql.open_id(context, service))

    async def planned(
        self, context: str, service: str, kinds: Sequence[str], *, limit: int = 20
    ) -> list[tuple[Action, Plan]]:
        """The actions of `kinds` on a service with their plans, newest first, without their steps. Raises JournalError
        where one is not as it was agreed to."""
        return await self._look([], lambda sql: sql.planned(context, service, kinds, limit))

    async def moved(self, context: str, service: str, *, limit: int = 20) -> list[Action]:
        """The actions on a service that have or may have moved traffic, newest first, without their steps. Whether they
        are as they were agreed to is for who goes by one to ask (`plan`)."""
        return await self._look([], lambda sql: sql.moved(context, service, limit))

    async def history(self, action_id: str) -> list[StoredEvent]:
        """Every event of an action, oldest first."""
        return await self._look([], lambda sql: sql.history(action_id))

    async def commands_of(self, context: str, service: str) -> list[StoredEvent]:
        """When commands of the newest actions of a service began and ended, oldest first."""
        return await self._look([], lambda sql: sql.commands_of(context, service))

    async def verified(self, context: str, service: str) -> dict[str, Any] | None:
        """What the newest proof of traffic on a service was recorded with."""
        return await self._look(None, lambda sql: sql.verified(context, service))

    # ---- leases and orders

    async def acquire(self, action_id: str, owner: Owner) -> Lease:
        """Become the owner of an action, whose lock file the caller holds where `owner` names it. Raises LeaseHeld."""
        began = steady_clock()
        lease = await self._do(lambda sql: sql.acquire(action_id, owner, self.times.ttl_s))
        self._renewed[action_id] = began
        return lease

    async def renew(self, lease: Lease) -> Lease:
        """Push the end of the lease out. Raises LeaseLost."""

        async def renew() -> Lease:
            began = steady_clock()
            with patient(None):
                renewed = await self._do(lambda sql: sql.renew(lease, self.times.ttl_s))
            self._renewed[lease.action_id] = began
            return renewed

        return await patiently(renew)

    def unsure_in_s(self, lease: Lease) -> float:
        """Seconds for which a lease that was won or renewed here can not be another's; negative: it may be."""
        renewed = self._renewed.get(lease.action_id, float("-inf"))
        return renewed + self.times.self_fence_s - steady_clock()

    async def let_go(self, lease: Lease) -> None:
        """End the lease of an action that goes on without a runner. Raises LeaseLost."""
        await self._do(lambda sql: sql.let_go(lease))

    async def enqueue(
        self,
        action_id: str,
        word: str,
        actor: Actor,
        reason: str,
        *,
        audit: Sequence[AuditEntry] = (),
        key: Key | None = None,
        wait_s: float | None = None,
    ) -> bool:
        """Queue an order to an open action; False where it has ended. `wait_s` as for `begin`. Raises KeyUsed."""
        return await self._do(lambda sql: sql.enqueue(action_id, word, actor, reason, audit, key, wait_s))

    async def waiting(self, action_id: str) -> list[Command]:
        """The orders to an action that were not yet obeyed."""
        return await self._look([], lambda sql: sql.waiting(action_id))

    async def taken(self, lease: Lease, command_id: int) -> None:
        """Mark an order as obeyed. Raises LeaseLost."""
        await self._do(lambda sql: sql.taken(lease, command_id))

    # ---- who is on

    async def seen(self, console_id: str, context: str, actor: Actor, pid: int, *, armed: bool) -> None:
        """A console is open now; nothing is written where there is no journal yet."""
        await self._look(None, lambda sql: sql.seen(console_id, context, actor, pid, armed))

    async def gone(self, console_id: str) -> None:
        """The console is closed."""
        await self._look(None, lambda sql: sql.gone(console_id))

    async def looked(self, context: str) -> None:
        """Somebody without a console looked, and was told to record it: it is made where there is none."""
        await self._do(lambda sql: sql.looked(context))

    async def who_is_on(self, context: str) -> list[OpenConsole]:
        """The consoles that are open on a context, the longest open first."""
        return await self._look([], lambda sql: sql.who_is_on(context))

    async def watched(self, context: str) -> list[Watch]:
        """When consoles of a context were open, in the last month."""
        return await self._look([], lambda sql: sql.watched(context))

    # ---- what was wrong

    async def keep(self, context: str, news: Sequence[Episode]) -> bool:
        """Keep what began and what ended; False where there is no journal yet, or no room in it. Waits for no other
        writer for longer than half a second."""
        if self._lost is None and not self.location.exists():
            return False
        return await self._do(lambda sql: sql.keep(context, news))

    async def episodes(self, context: str, since: datetime, until: datetime) -> Book:
        """What was wrong at some time between the two, oldest first."""
        return await self._look(Book(), lambda sql: sql.episodes(context, since, until))

    # ---- audit

    async def audit(self, *entries: AuditEntry) -> None:
        """Append to the chain what changed nothing else."""
        await self._do(lambda sql: sql.chain.add(entries))

    async def note_once(self, entry: AuditEntry, since: datetime) -> bool:
        """Append `entry` unless one of its step, order, target and result stands there since; whether it did."""
        return await self._do(lambda sql: sql.chain.note_once(entry, since))

    async def audit_records(self, *, since: datetime | None = None) -> list[AuditRecord]:
        """The chain, oldest first."""
        return await self._look([], lambda sql: sql.chain.records(since))

    async def audit_lines(self) -> list[str]:
        """The chain as JSON lines with the text that was hashed."""
        return await self._look([], lambda sql: sql.chain.lines())

    async def audit_head(self) -> Head | None:
        """The newest record; None where there is no journal yet."""
        return await self._look(None, lambda sql: sql.chain.head())

    async def audit_verify(self, known: Head | None = None) -> AuditVerdict:
        """Walk the chain; the first record that does not fit is named."""
        return await self._look(
            AuditVerdict(intact=False, records=0, detail=EMPTY), lambda sql: sql.chain.verify(known)
        )

    # ---- inside

    async def writable(self) -> None:
        """Raises BackendError where it could only be read. Nothing is written, and none is made."""
        await self._look(None, lambda sql: sql.writable())

    async def _look(self, nothing: T, ask: Callable[["SqlJournal"], T], *, follows: bool = False) -> T:
        """`follows`: an action that was found here is looked at, also in a file that was taken away since."""
        if self._lost is None and self._sql is None and not self.location.exists():
            refuse_stray(self.location, os.environ)
            return nothing
        return await self._do(ask, reads=True, follows=follows)

    async def _do(self, ask: Callable[["SqlJournal"], T], *, reads: bool = False, follows: bool = False) -> T:
        return await patiently(lambda: self._asked(ask, reads=reads, follows=follows))

    async def _asked(self, ask: Callable[["SqlJournal"], T], *, reads: bool, follows: bool) -> T:
        records = self._records

        def asked() -> T:
            return self._breaker.read(lambda: self._told(ask)) if reads else self._told(ask)

        def answered() -> T:
            if records is None:
                if not follows:
                    self._must_be_there()
                return asked()
            found = asked()
            if self._sql is not None:
                records.look(self._sql)
                if not reads:
                    records.keep(self._sql)
            return found

        work = asyncio.get_running_loop().run_in_executor(self._executor, answered)
        # What goes wrong once the caller has gone is told nobody: else asyncio prints it over the screen.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        # A transaction that has begun ends on its own: the caller may stop waiting, the thread does not.
        return await asyncio.shield(work)

    def _told(self, ask: Callable[["SqlJournal"], T]) -> T:
        """Raises JournalError for all that is the journal's own trouble, also where its rows make no sense."""
        try:
            if self._lost is not None:
                raise self._lost
            return ask(self._open())
        except BackendError as error:
            if isinstance(error, JournalError) or error.kind == "not_found":
                raise
            raise JournalError(error.kind, error.message, fix=error.fix) from None
        except NO_SENSE as error:
            raise without_sense(error, self.location.name) from None

    def _must_be_there(self) -> None:
        """A file that was taken away is left: what is written there nobody reads. Raises JournalError where a runner
        lives that the one of that name does not know."""
        if self._sql is not None and not self._sql.is_there():
            sql, self._sql = self._sql, None
            sql.close()
        refuse_stray(self.location, os.environ)

    def _open(self) -> "SqlJournal":
        if self._sql is None:
            from actions.journal.sql import SqlJournal

            self._sql = SqlJournal(self.location)
        return self._sql


def _quietly(call: Callable[..., Any], *given: Any) -> None:
    """For a loop that may be closed by now."""
    with contextlib.suppress(RuntimeError):
        call(*given)
