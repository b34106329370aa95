"""Orders to a running action, in a queue: they wait there until its runner obeys them. Loads SQLAlchemy."""

from sqlalchemy import Connection, insert, select, update

from actions.ids import canonical, now, time_text
from actions.journal import tables
from actions.journal.actions_sql import must_be_unused, row_of
from actions.journal.rows import ORDERS, Command, Key
from actions.journal.steering import ONWARD
from actions.models import Actor
from backends.json_text import decode_text


def enqueue(connection: Connection, action_id: str, word: str, actor: Actor, reason: str, key: Key | None) -> bool:
    """Queue one; False where the action has ended. Raises KeyUsed."""
    if key is not None:
        must_be_unused(connection, key)
    row = row_of(connection, id=action_id)
    if row is None or row["ended_at"] is not None:
        return False
    if key is not None:
        kept = {"context": key.context, "idempotency_key": key.key, "request_hash": key.request_hash}
        connection.execute(insert(tables.keyed_orders).values(action_id=action_id, **kept))
    at = time_text(now())
    if word in ONWARD:  # a promotion that nobody obeyed was meant for what was then
        stale = (tables.commands.c.action_id == action_id) & tables.commands.c.taken_at.is_(None)
        stale &= tables.commands.c.word.in_(("promote", "accept"))
        connection.execute(update(tables.commands).where(stale).values(taken_at=at))
    values = {"action_id": action_id, "at": at, "word": word, "actor": canonical(actor), "reason": reason}
    taken_at = at if word == "takeover" else None  # the runner that is started for it is all that it asks for
    connection.execute(insert(tables.commands).values(**values, taken_at=taken_at))
    return True


def waiting(connection: Connection, action_id: str) -> list[Command]:
    """The orders that were not yet obeyed, oldest first."""
    table = tables.commands
    query = select(table).where(table.c.action_id == action_id, table.c.taken_at.is_(None))
    query = query.where(table.c.word.in_(ORDERS)).order_by(table.c.id)
    return [
        Command(id=row.id, at=row.at, word=row.word, actor=decode_text(row.actor, Actor), reason=row.reason)
        for row in connection.execute(query)
    ]


def taken(connection: Connection, command_id: int) -> None:
    """One was obeyed."""
    mine = tables.commands.c.id == command_id
    connection.execute(update(tables.commands).where(mine).values(taken_at=time_text(now())))
