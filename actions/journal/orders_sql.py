"""Orders to a running action, in a queue: they wait there until its runner obeys them. Loads SQLAlchemy."""

from sqlalchemy import Connection, insert, select, update

from actions.ids import canonical, now, time_text
from actions.journal import tables
from actions.journal.actions_sql import must_be_unused, row_of
from actions.journal.rows import ORDERS, Command, Key
from actions.journal.steering import ONWARD
from actions.models import Actor
from backends.json_text import decode_text

_OF_THEN = frozenset({"promote", "accept"})


def enqueue(
    connection: Connection, action_id: str, word: str, actor: Actor, reason: str, key: Key | None
) -> list[Command] | None:
    """Queue one; None where the action has ended, else the orders to go on that nobody obeyed, and that this one drops:
    they were meant for what was then. Raises KeyUsed."""
    if key is not None:
        must_be_unused(connection, key)
    row = row_of(connection, id=action_id)
    if row is None or row["ended_at"] is not None:
        return None
    if key is not None:
        kept = {"context": key.context, "idempotency_key": key.key, "request_hash": key.request_hash}
        connection.execute(insert(tables.keyed_orders).values(action_id=action_id, **kept))
    at = time_text(now())
    dropped = [each for each in waiting(connection, action_id) if each.word in _OF_THEN and word in ONWARD]
    for each in dropped:
        taken(connection, each.id)
    values = {"action_id": action_id, "at": at, "word": word, "actor": canonical(actor), "reason": reason}
    taken_at = at if word == "takeover" else None  # the runner that is started for it is all that it asks for
    connection.execute(insert(tables.commands).values(**values, taken_at=taken_at))
    return dropped


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
    """An order was obeyed: it waits no longer."""
    mine = tables.commands.c.id == command_id
    connection.execute(update(tables.commands).where(mine).values(taken_at=time_text(now())))
