"""The statements of the lease: won by one, checked with every write. Loads SQLAlchemy."""

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from actions.audit import AuditEntry
from actions.ids import now, time_text
from actions.lease import Hold, LeaseHeld, LeaseLost
from actions.models import Owner
from actions.rows import owner_text
from actions.tables import leases


def acquire(connection: Connection, context: str, service: str, action_id: str, owner: Owner) -> Hold:
    """Take the lease of a service and raise its fence. Raises LeaseHeld where another host's owner is alive.

    An owner of this host is dead: the caller holds the lock file that it would be holding.
    """
    where = _of(context, service)
    lease = connection.execute(select(leases).where(where).with_for_update()).mappings().first()
    told_owner, expires = owner_text(owner)
    if lease is None:
        values = {"action_id": action_id, "fence": 1, "owner": told_owner, "expires_at": expires}
        connection.execute(insert(leases).values(context=context, service=service, **values))
        return Hold(action_id, context, service, 1, owner)
    before = msgspec.json.decode(lease["owner"], type=Owner)
    if lease["action_id"] == action_id and before.host != owner.host and lease["expires_at"] > time_text(now()):
        raise LeaseHeld(before)
    fence = lease["fence"] + 1
    values = {"action_id": action_id, "fence": fence, "owner": told_owner, "expires_at": expires}
    connection.execute(update(leases).where(where).values(values))
    return Hold(action_id, context, service, fence, owner)


def check(connection: Connection, hold: Hold) -> None:
    """Raises LeaseLost where the fence went up since the lease was won."""
    query = select(leases.c.fence).where(_of(hold.context, hold.service)).with_for_update()
    found = connection.execute(query).scalar_one_or_none()
    if found != hold.fence:
        raise LeaseLost(f"fence {found}, this runner's is {hold.fence}")


def set_owner(connection: Connection, hold: Hold, owner: Owner) -> None:
    """A new end of the lease."""
    told_owner, expires = owner_text(owner)
    values = {"owner": told_owner, "expires_at": expires}
    connection.execute(update(leases).where(_of(hold.context, hold.service)).values(values))


def expire(connection: Connection, hold: Hold) -> None:
    """The lease ends now; its fence stays."""
    set_owner(connection, hold, replace(hold.owner, lease_expires_at=now()))


def lock_entry(hold: Hold, order: str, *, taken_over: bool) -> AuditEntry:
    """Who runs it from now on."""
    return AuditEntry(
        kind="takeover" if taken_over else "lock",
        action=hold.action_id,
        order=order,
        context=hold.context,
        target=hold.service,
        fence=hold.fence,
        result="owner",
        detail=f"{hold.owner.user}@{hold.owner.host} pid {hold.owner.pid}",
    )


def _of(context: str, service: str) -> ColumnElement[bool]:
    return and_(leases.c.context == context, leases.c.service == service)
