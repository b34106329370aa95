"""The statements of the lease: won by one, checked with every write. Loads SQLAlchemy."""

import contextlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, and_, exists, insert, select, update

from actions.ids import canonical, time_of, time_text
from actions.journal import tables
from actions.journal.audit import AuditEntry
from actions.journal.engines import database_now
from actions.journal.lease import Lease, LeaseHeld, LeaseLost, ending_in, is_held, is_over
from actions.journal.rows import StoredEvent, may_be_writing
from actions.journal.schema import identity_of
from actions.journal.tables import leases
from actions.models import Owner
from backends.command_line import command
from backends.errors import BackendError
from backends.json_text import decode_text
from backends.processes import is_stopped


def acquire(
    connection: Connection, context: str, service: str, action_id: str, owner: Owner, ttl_s: float,
    events: Callable[[], list[StoredEvent]],
) -> Lease:  # fmt: skip
    """Take the lease of a service and raise its fence. Raises LeaseHeld where its owner is alive. One that is stopped,
    on this host and between two writes, is as good as gone: continued, it fails at its next intent, which comes before
    every write. `events`: the history of the action."""
    where = _of(context, service)
    lease = connection.execute(select(leases).where(where)).mappings().first()
    at = database_now(connection)
    owner = ending_in(owner, at, ttl_s)
    fence = 1 if lease is None else lease["fence"] + 1
    values = {**_columns(owner), "action_id": action_id, "fence": fence, "last_write": ""}
    if lease is None:
        connection.execute(insert(leases).values(context=context, service=service, **values))
        return Lease(action_id, context, service, fence, owner, identity_of(connection))
    before = _owner_of(lease["owner"]) if lease["action_id"] == action_id else None
    if before is not None and _is_live(before, lease["expires_at"], at):
        gone = _is_dead(before, owner) or (_is_stopped(before, owner) and not may_be_writing(events()))
        if not gone:
            raise LeaseHeld(before)
    connection.execute(update(leases).where(where).values(values))
    return Lease(action_id, context, service, fence, owner, identity_of(connection))


def renew(connection: Connection, lease: Lease, ttl_s: float) -> Lease:
    """The same lease with a later end. Raises LeaseLost."""
    check(connection, lease)
    return _ends_at(connection, lease, ttl_s)


def check(connection: Connection, lease: Lease) -> str:
    """The mark of the newest write under this lease. Raises LeaseLost where the fence went up since it was won;
    BackendError(unreachable) where the journal knows nothing of it: what is restored may know it in a moment."""
    known = exists().where(tables.actions.c.id == lease.action_id).label("known")  # each write and renewal asks
    query = select(leases.c.fence, leases.c.last_write, known).where(_of(lease.context, lease.service))
    found = connection.execute(query).first()
    if found is None or found.fence < lease.fence or not found.known:
        words = f"the journal does not know {lease.action_id}, or who runs it: was an older copy of it restored?"
        fix = f"see what is live; then {command('deploy rollback', lease.service)}"
        raise BackendError("unreachable", words, fix=fix)
    if found.fence != lease.fence:
        raise LeaseLost(f"fence {found.fence}, this runner's is {lease.fence}")
    mark: str = found.last_write
    return mark


def newest_fence(connection: Connection, action_id: str) -> int:
    """That of the newest lease on an action; 0 where nobody has had one."""
    found = connection.execute(select(leases.c.fence).where(leases.c.action_id == action_id)).scalar_one_or_none()
    return found or 0


def marked(connection: Connection, lease: Lease, mark: str) -> None:
    """What this transaction writes is known by `mark`."""
    connection.execute(update(leases).where(_of(lease.context, lease.service)).values(last_write=mark))


def expire(connection: Connection, lease: Lease) -> None:
    """The lease ends now; its fence stays."""
    _ends_at(connection, lease, 0.0)


def lock_entry(lease: Lease, order: str, *, taken_over: bool) -> AuditEntry:
    """Who runs it from now on."""
    return AuditEntry(
        kind="takeover" if taken_over else "lock",
        action=lease.action_id,
        order=order,
        context=lease.context,
        target=lease.service,
        fence=lease.fence,
        result="owner",
        detail=f"{lease.owner.user}@{lease.owner.host} pid {lease.owner.pid}",
    )


def _ends_at(connection: Connection, lease: Lease, in_s: float) -> Lease:
    at = database_now(connection)
    owner = ending_in(lease.owner, at, in_s)
    connection.execute(update(leases).where(_of(lease.context, lease.service)).values(_columns(owner)))
    mine = tables.actions.c.id == lease.action_id
    connection.execute(update(tables.actions).where(mine).values(owner=canonical(owner)))
    return replace(lease, owner=owner)


def _is_live(before: Owner, ends_at: str, at: datetime) -> bool:
    with contextlib.suppress(ValueError):
        return not is_over(replace(before, lease_expires_at=time_of(ends_at)), at)
    return False


def _owner_of(text: str) -> Owner | None:
    """None where it can not be read: the fence keeps whoever that was from writing."""
    try:
        return decode_text(text, Owner)
    except msgspec.DecodeError:
        return None


def _is_dead(before: Owner, owner: Owner) -> bool:
    """Whether this host can see that it is: `owner` has the lock that it would be holding, or nobody has."""
    if before.host != owner.host or not before.lock:
        return False
    return before.lock == owner.lock or not is_held(Path(before.lock))


def _is_stopped(before: Owner, owner: Owner) -> bool:
    return before.host == owner.host and before.pid != owner.pid and is_stopped(before.pid)


def _columns(owner: Owner) -> dict[str, str]:
    assert owner.lease_expires_at is not None
    return {"owner": canonical(owner), "expires_at": time_text(owner.lease_expires_at)}


def _of(context: str, service: str) -> ColumnElement[bool]:
    return and_(leases.c.context == context, leases.c.service == service)
