"""The statements of the audit chain. Loads SQLAlchemy."""

from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy import Connection, insert, select, update

from actions.audit import AuditEntry, Link, link
from actions.ids import now, time_text
from actions.tables import audit, audit_head


def append(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Chain `entries` to the newest record, in the transaction of what they tell."""
    if not entries:
        return
    # The row of the head is what two writers of one database wait for each other on.
    query = select(audit_head.c.seq, audit_head.c.hash).with_for_update()
    seq, prev_hash = connection.execute(query).one()
    for entry in entries:
        seq += 1
        made = link(seq, prev_hash, time_text(now()), entry)
        prev_hash = made.hash
        connection.execute(insert(audit).values(msgspec.structs.asdict(made)))
    connection.execute(update(audit_head).values(seq=seq, hash=prev_hash))


def links(connection: Connection) -> Iterator[Link]:
    """The chain, oldest first."""
    for row in connection.execute(select(audit).order_by(audit.c.seq)):
        yield Link(row.seq, row.prev_hash, row.hash, row.text)


def head_of(connection: Connection) -> tuple[int, str]:
    """The sequence and hash that the newest record must have."""
    found = connection.execute(select(audit_head.c.seq, audit_head.c.hash)).first()
    return (found[0], found[1]) if found else (0, "")
