"""The statements of the audit chain. Loads SQLAlchemy."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, desc, insert, select, update

from actions.ids import now, time_text
from actions.journal.audit import AuditEntry, Link, link, not_text, record
from actions.journal.tables import audit, audit_head
from backends.json_text import decode_text

LOOKED_BACK = 500


class _Dated(msgspec.Struct):
    at: str


def append(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Chain `entries` to the newest record, in the transaction of what they tell."""
    if not entries:
        return
    seq, prev_hash = connection.execute(select(audit_head.c.seq, audit_head.c.hash)).one()
    for entry in entries:
        seq += 1
        made = link(seq, prev_hash, time_text(now()), entry)
        prev_hash = made.hash
        connection.execute(insert(audit).values(msgspec.structs.asdict(made)))
    connection.execute(update(audit_head).values(seq=seq, hash=prev_hash))


def append_once(connection: Connection, entry: AuditEntry, since: datetime) -> bool:
    """As `append`, unless a record of its step, order, context, target and result is there `since`; whether it did."""

    def what(of: AuditEntry) -> tuple[str, ...]:
        return of.step, of.order, of.context, of.target, of.result

    if any(what(record(found)) == what(entry) for found in links(connection, since)):
        return False
    append(connection, [entry])
    return True


def links(connection: Connection, since: datetime | None = None) -> Iterator[Link]:
    """The chain, oldest first; `since`: only its newest part, a record's time being in its text."""
    first = _first_shown(connection, time_text(since)) if since is not None else 0
    for row in connection.execute(select(audit).where(audit.c.seq >= first).order_by(audit.c.seq)):
        yield Link(row.seq, as_text(row.prev_hash), as_text(row.hash), as_text(row.text))


def links_of(connection: Connection, action_id: str) -> Iterator[Link]:
    """What the chain says of an action, oldest first, whenever that was."""
    mine = select(audit).where(audit.c.text.like(f'%"action":"{action_id}"%')).order_by(audit.c.seq)
    for row in connection.execute(mine):
        found = Link(row.seq, as_text(row.prev_hash), as_text(row.hash), as_text(row.text))
        if record(found).action == action_id:
            yield found


def _first_shown(connection: Connection, since: str) -> int:
    """As `first_seq`; records that a clock which was set back has cut off from the others are not left out."""
    first = first_seq(connection, since)
    while first > 1:
        before = select(audit.c.seq, audit.c.text).where(audit.c.seq < first).order_by(desc(audit.c.seq))
        found = connection.execute(before.limit(LOOKED_BACK)).all()
        cut_off = [row.seq for row in found if _at_of(as_text(row.text)) >= since]
        if not cut_off:
            return first
        first = min(cut_off)
    return first


def as_text(stored: object) -> str:
    """SQLite keeps a number or bytes in a column of text, where another program writes them."""
    return stored if isinstance(stored, str) else not_text(stored)


def first_seq(connection: Connection, since: str) -> int:
    """The place of the first record at or after `since`, by halving: a year of records costs some twenty reads. Where
    a clock was set, it may be that of a later one."""
    low, high = 1, head_of(connection)[0] + 1
    while low < high:
        middle = (low + high) // 2
        text = connection.execute(select(audit.c.text).where(audit.c.seq == middle)).scalar_one_or_none()
        if text is None or _at_of(as_text(text)) < since:
            low = middle + 1
        else:
            high = middle
    return low


def _at_of(text: str) -> str:
    try:
        return decode_text(text, _Dated).at
    except msgspec.DecodeError:
        return "unreadable"  # sorts after every time: what can not be read is shown, not skipped


def head_of(connection: Connection) -> tuple[int, str]:
    """The sequence and hash that the newest record must have."""
    found = connection.execute(select(audit_head.c.seq, audit_head.c.hash)).first()
    return (found[0], as_text(found[1])) if found else (0, "")
