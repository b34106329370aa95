"""Who is on: the consoles that are open on a context, as they last said so. Loads SQLAlchemy.

A row a console, written at its start, once a minute and when it is armed; one that was killed is forgotten after three
minutes.
"""

from datetime import timedelta

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from actions.engines import database_now
from actions.ids import canonical, time_of, time_text
from actions.models import Actor, OpenConsole
from actions.tables import consoles

FORGOTTEN_S = 180.0


def seen(connection: Connection, console_id: str, context: str, actor: Actor, pid: int, *, armed: bool) -> None:
    """This console is open now."""
    at = time_text(database_now(connection))
    mine = update(consoles).where(consoles.c.id == console_id).values(seen_at=at, armed=armed)
    if connection.execute(mine).rowcount == 0:
        values = {"id": console_id, "context": context, "actor": canonical(actor), "pid": pid, "armed": armed}
        connection.execute(insert(consoles).values(opened_at=at, seen_at=at, **values))
    connection.execute(delete(consoles).where(consoles.c.seen_at < _forgotten(connection)))


def gone(connection: Connection, console_id: str) -> None:
    """It is closed."""
    connection.execute(delete(consoles).where(consoles.c.id == console_id))


def who_is_on(connection: Connection, context: str) -> list[OpenConsole]:
    """The consoles of a context, the longest open first."""
    query = select(consoles).where(consoles.c.context == context, consoles.c.seen_at >= _forgotten(connection))
    return [
        OpenConsole(
            actor=msgspec.json.decode(row.actor, type=Actor), pid=row.pid, armed=bool(row.armed),
            opened_at=time_of(row.opened_at), seen_at=time_of(row.seen_at),
        )
        for row in connection.execute(query.order_by(consoles.c.opened_at))
    ]  # fmt: skip


def _forgotten(connection: Connection) -> str:
    return time_text(database_now(connection) - timedelta(seconds=FORGOTTEN_S))
