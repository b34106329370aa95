"""The journal's statements. Everything here blocks; `actions.journal.journal.Journal` runs it on a thread of its own.

Loads SQLAlchemy. Only plain SQL: the same statements are right for SQLite and for PostgreSQL.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from actions.ids import canonical, now, time_text
from actions.journal import consoles, episodes_sql, events_sql, orders_sql, tables
from actions.journal.actions_sql import (
    as_of_now,
    events_of,
    is_later,
    keyed,
    known_row,
    looked_at,
    must_be_unused,
    newest_first,
    next_place,
    of_kinds,
    open_row,
    row_of,
    whole,
)
from actions.journal.agreed_sql import believed, must_be_agreed, not_believed, with_digest
from actions.journal.audit import AuditEntry
from actions.journal.audit_sql import append
from actions.journal.chain_sql import SqlChain
from actions.journal.episodes import Book, Episode
from actions.journal.late_sql import add_late
from actions.journal.lease import Lease
from actions.journal.lease_sql import acquire, check, expire, lock_entry, marked, newest_fence, renew
from actions.journal.location import JournalLocation
from actions.journal.rows import (
    Changes,
    Command,
    Draft,
    Event,
    Key,
    Late,
    Occupied,
    StoredEvent,
    action_of,
    change_row,
    digest_of_plan,
    draft_of,
    draft_row,
    dropped_by,
    event_row,
    plan_of,
)
from actions.journal.schema import BESIDE_WAITS_S, Database, identity_of
from actions.kinds import moving
from actions.models import ENDED, Action, Actor, OpenConsole, Owner, Plan, Watch
from backends.errors import BackendError
from backends.text import clean

SHOWN_END = 6  # of an id, by screens


class SqlJournal:
    """One database, opened when it is first needed; created by the first write."""

    def __init__(self, location: JournalLocation) -> None:
        self._database = Database(location)
        self.chain = SqlChain(self._database)

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    def is_there(self) -> bool:
        """Whether the file that is open is still the one of that name."""
        return self._database.is_there()

    def draft(self, action_id: str) -> Draft:
        """What an action was begun with. Raises BackendError(not_found)."""
        with self._database.reading() as connection:
            return draft_of(known_row(connection, action_id))

    def check_whole(self) -> None:
        """Raises BackendError(malformed) for a damaged SQLite file."""
        with self._database.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise BackendError("malformed", f"the journal is damaged: {clean(str(found), 200)}")

    def writable(self) -> None:
        """Raises BackendError where it could only be read."""
        self._database.writable()

    # ---- actions

    def begin(self, draft: Draft, audit: Sequence[AuditEntry], wait_s: float | None = None) -> Action:
        """Write a new action, its steps and what is told of it. Raises KeyUsed or Occupied; nothing is written then."""
        plan = draft.plan
        with self._database.writing(wait_s) as connection:
            must_be_unused(connection, Key(plan.context, draft.idempotency_key, draft.request_hash))
            if draft.alone and (occupied := open_row(connection, plan.context, plan.service)) is not None:
                raise Occupied(whole(connection, occupied))
            at = time_text(now())
            row = draft_row(draft, at, place=next_place(connection, plan.context))
            try:
                with connection.begin_nested():
                    connection.execute(insert(tables.actions).values(row))
            except IntegrityError:
                occupied = open_row(connection, plan.context, plan.service)
                if occupied is None:
                    raise
                raise Occupied(whole(connection, occupied)) from None
            for step in draft.steps:
                event = Event(step=step, kind="planned", status="pending")
                connection.execute(insert(tables.events).values(event_row(draft.id, 0, at, event)))
            append(connection, with_digest(draft, audit))
            written = row_of(connection, id=draft.id)
            assert written is not None
            must_be_agreed(connection, [written])  # a trigger writes, too
            return whole(connection, written)

    def write(
        self,
        lease: Lease,
        events: Sequence[Event],
        changes: Changes | None,
        audit: Sequence[AuditEntry],
        undone: str | None,
        mark: str = "",
    ) -> bool:
        """One step of a runner, in one transaction. Raises LeaseLost where another took the action over.

        False, and nothing written, where it would end an action as succeeded to which an order is still waiting.
        `undone` is the action that this one has undone. `mark` is this write's own: what was written under it already,
        and only not answered, is not written twice.
        """
        with self._database.writing() as connection:
            if check(connection, lease) == mark != "":
                return True
            marked(connection, lease, mark)
            ends = changes is not None and changes.status in ENDED
            if (
                changes is not None
                and changes.status == "succeeded"
                and orders_sql.waiting(connection, lease.action_id)
            ):
                return False
            at = time_text(now())
            for event in events:
                connection.execute(insert(tables.events).values(event_row(lease.action_id, lease.fence, at, event)))
            values = change_row(changes) if changes is not None else {}
            if ends:
                values["ended_at"] = at
                expire(connection, lease)
            if values:
                connection.execute(update(tables.actions).where(tables.actions.c.id == lease.action_id).values(values))
            if undone is not None:
                taken_back = update(tables.actions).where(tables.actions.c.id == undone)
                connection.execute(taken_back.values(undone_by=lease.action_id))
            append(connection, audit)
            return True

    def close_orphan(self, action_id: str, changes: Changes, audit: Sequence[AuditEntry]) -> bool:
        """End an action that nobody runs. False where it has ended meanwhile."""
        with self._database.writing() as connection:
            where = and_(tables.actions.c.id == action_id, tables.actions.c.ended_at.is_(None))
            values = {**change_row(changes), "ended_at": time_text(now())}
            if connection.execute(update(tables.actions).where(where).values(values)).rowcount == 0:
                return False
            append(connection, audit)
            return True

    def add_late(self, late: Late) -> bool:
        """Add an action that was done without the journal, closed; False where it is there."""
        with self._database.writing(BESIDE_WAITS_S) as connection:
            return add_late(connection, late)

    def claim(self, action_id: str, what: str, still: Callable[[Action], bool], audit: Sequence[AuditEntry]) -> bool:
        """Insert the event `what` under an action's newest lease; False where it is there, or it is not `still` so."""
        with self._database.writing(BESIDE_WAITS_S) as connection:
            row = row_of(connection, id=action_id)
            if row is None or not still(looked_at(connection, row)):
                return False
            fence = newest_fence(connection, action_id)
            made = select(tables.events.c.id).filter_by(action_id=action_id, kind=what, fence=fence)
            if connection.execute(made).first() is not None:
                return False
            event = event_row(action_id, fence, time_text(now()), Event(step="", kind=what))
            connection.execute(insert(tables.events).values(event))
            append(connection, audit)
            return True

    def action(self, context: str, wanted: str) -> list[Action]:
        """The action of that id, or up to ten whose id begins with `wanted` (any case); of six characters and more also
        those that end with it, since screens show the end."""
        if not wanted.isalnum():
            return []
        table = tables.actions
        alike = [f"{wanted.upper()}%"] + ([f"%{wanted.upper()}"] if len(wanted) >= SHOWN_END else [])
        query = select(table).where(table.c.context == context, or_(*map(table.c.id.like, alike))).limit(10)
        with self._database.reading() as connection:
            return as_of_now(connection, context, connection.execute(query).mappings().all())

    def actions(self, context: str, open_only: bool, limit: int) -> list[Action]:
        """Newest first."""
        table = tables.actions
        query = newest_first(select(table).where(table.c.context == context))
        if open_only:
            query = query.where(table.c.ended_at.is_(None))
        with self._database.reading() as connection:
            return as_of_now(connection, context, connection.execute(query.limit(limit)).mappings().all())

    def of_service(self, context: str, service: str, kinds: Sequence[str], limit: int) -> list[Action]:
        """Those of `kinds`, newest first."""
        query = of_kinds(context, service, kinds).where(tables.actions.c.changed.is_(True))
        with self._database.reading() as connection:
            return [action_of(row, ()) for row in connection.execute(query.limit(limit)).mappings()]

    def plan(self, action_id: str, digest: str) -> Plan:
        """The plan of an action. Raises BackendError: not_found, or malformed where it is not as it was agreed to."""
        with self._database.reading() as connection:
            row = known_row(connection, action_id)
            must_be_agreed(connection, [row], digest)
        return plan_of(row)

    def digest(self, action_id: str) -> str:
        """That of the plan of an action. Raises BackendError as `plan` does."""
        with self._database.reading() as connection:
            row = known_row(connection, action_id)
            must_be_agreed(connection, [row])
        return digest_of_plan(row["plan"])

    def not_believed(self, action_id: str) -> bool:
        """Whether it has ended, and it was noted that its row is not believed."""
        with self._database.reading() as connection:
            ended = known_row(connection, action_id)["ended_at"] is not None
            return ended and action_id in not_believed(connection, {action_id})

    def identity(self) -> str:
        """The id of the journal; empty where its schema has none yet."""
        with self._database.reading() as connection:
            return identity_of(connection)

    def context_of(self, action_id: str) -> str:
        """The context of an action of this journal; empty where it is none."""
        with self._database.reading() as connection:
            row = row_of(connection, id=action_id)
            return "" if row is None else str(row["context"])

    def is_later(self, action_id: str, than: str) -> bool:
        """Whether one action was recorded after another; False where either is none of this journal."""
        with self._database.reading() as connection:
            return is_later(connection, action_id, than)

    def by_key(self, context: str, key: str) -> tuple[Action, str] | None:
        """The action of an idempotency key, and the hash of its request."""
        with self._database.reading() as connection:
            return keyed(connection, context, key)

    def open_action(self, context: str, service: str) -> Action | None:
        """The one action of a service that has not ended."""
        with self._database.reading() as connection:
            row = open_row(connection, context, service)
            must_be_agreed(connection, [row] if row else [])
            return None if row is None else whole(connection, row)

    def open_id(self, context: str, service: str) -> str:
        """The id of that action, whatever else its row says; empty where there is none."""
        with self._database.reading() as connection:
            row = open_row(connection, context, service)
            return "" if row is None else row["id"]

    def planned(self, context: str, service: str, kinds: Sequence[str], limit: int) -> list[tuple[Action, Plan]]:
        """Those of `kinds`, newest first, without steps. Raises BackendError(malformed) where one is not as it was
        agreed to."""
        query = of_kinds(context, service, kinds)
        with self._database.reading() as connection:
            rows = believed(connection, connection.execute(query.limit(limit)).mappings().all())
            return [(action_of(row, ()), plan_of(row)) for row in rows]

    def moved(self, context: str, service: str, limit: int) -> list[Action]:
        """Those that have or may have moved traffic, newest first, without steps."""
        table = tables.actions
        query = of_kinds(context, service, moving())
        query = query.where(or_(table.c.changed.is_(True), table.c.status.in_(("rollback_failed", "abandoned"))))
        with self._database.reading() as connection:
            return [action_of(row, ()) for row in connection.execute(query.limit(limit)).mappings()]

    def history(self, action_id: str) -> list[StoredEvent]:
        """Every event of an action, oldest first."""
        with self._database.reading() as connection:
            return events_of(connection, action_id)

    def commands_of(self, context: str, service: str) -> list[StoredEvent]:
        """When commands of the newest actions of a service began and ended."""
        with self._database.reading() as connection:
            return events_sql.commands_of(connection, context, service)

    def verified(self, context: str, service: str) -> dict[str, Any] | None:
        """What the newest proof of traffic on a service was recorded with."""
        with self._database.reading() as connection:
            return events_sql.verified(connection, context, service)

    # ---- leases

    def acquire(self, action_id: str, owner: Owner, ttl_s: float) -> Lease:
        """Become the owner for `ttl_s`; one that holds the lock file of the action proves an earlier owner of this host
        dead. Raises LeaseHeld, or BackendError(not_found) for an action that is not there or has ended."""
        with self._database.writing() as connection:
            row = row_of(connection, id=action_id)
            if row is None or row["ended_at"] is not None:
                raise BackendError("not_found", f"no open action {clean(action_id, 64)}", fix="`teal action list`")
            history = partial(events_of, connection, action_id)
            lease = acquire(connection, row["context"], row["service"], action_id, owner, ttl_s, history)
            changes = {"owner": canonical(lease.owner), **({"status": "running"} if row["status"] == "planned" else {})}
            connection.execute(update(tables.actions).where(tables.actions.c.id == action_id).values(changes))
            append(connection, [lock_entry(lease, row["kind"], taken_over=row["owner"] is not None)])
            return lease

    def renew(self, lease: Lease, ttl_s: float) -> Lease:
        """Push the end of the lease out to `ttl_s` from now. Raises LeaseLost."""
        with self._database.writing() as connection:
            return renew(connection, lease, ttl_s)

    def let_go(self, lease: Lease) -> None:
        """End the lease of an action that goes on without a runner. Raises LeaseLost."""
        with self._database.writing() as connection:
            check(connection, lease)
            expire(connection, lease)

    # ---- orders to a running action

    def enqueue(
        self,
        action_id: str,
        word: str,
        actor: Actor,
        reason: str,
        audit: Sequence[AuditEntry],
        key: Key | None,
        wait_s: float | None = None,
    ) -> bool:
        """Queue an order; False where the action has ended. Raises KeyUsed; nothing is written then."""
        with self._database.writing(wait_s) as connection:
            dropped = orders_sql.enqueue(connection, action_id, word, actor, reason, key)
            if dropped is None:
                return False
            append(connection, [*audit, *(dropped_by(audit, word, each) for each in dropped)])
            return True

    def waiting(self, action_id: str) -> list[Command]:
        """The orders that were not yet obeyed, oldest first."""
        with self._database.reading() as connection:
            return orders_sql.waiting(connection, action_id)

    def taken(self, lease: Lease, command_id: int) -> None:
        """Mark an order as obeyed. Raises LeaseLost."""
        with self._database.writing() as connection:
            check(connection, lease)
            orders_sql.taken(connection, command_id)

    # ---- who is on

    def seen(self, console_id: str, context: str, actor: Actor, pid: int, armed: bool) -> None:
        """A console is open now."""
        with self._database.writing() as connection:
            consoles.seen(connection, console_id, context, actor, pid, armed=armed)

    def gone(self, console_id: str) -> None:
        """The console is closed."""
        with self._database.writing() as connection:
            consoles.gone(connection, console_id)

    def looked(self, context: str) -> None:
        """Somebody without a console looked."""
        with self._database.writing() as connection:
            consoles.looked(connection, context)

    def who_is_on(self, context: str) -> list[OpenConsole]:
        """The open consoles of a context."""
        with self._database.reading() as connection:
            return consoles.who_is_on(connection, context)

    def watched(self, context: str) -> list[Watch]:
        """When consoles of a context were open, in the last month."""
        with self._database.reading() as connection:
            return consoles.watched(connection, context)

    # ---- what was wrong

    def keep(self, context: str, news: Sequence[Episode]) -> bool:
        """Keep what began and what ended; False where the schema has no room for it yet."""
        with self._database.writing(BESIDE_WAITS_S) as connection:
            return episodes_sql.keep(connection, context, news)

    def episodes(self, context: str, since: datetime, until: datetime) -> Book:
        """What was wrong at some time between the two, oldest first."""
        with self._database.reading() as connection:
            return episodes_sql.between(connection, context, since, until)
