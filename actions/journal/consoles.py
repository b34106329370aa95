"""Who is on, and when somebody was: the consoles of a context, as they last said so. Loads SQLAlchemy.

A row a console, written at its start, once a minute and when it is armed; one that was killed is forgotten after three
minutes. From when to when it was open is kept for a month.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, desc, insert, not_, or_, select, update

from actions.ids import canonical, time_of, time_text
from actions.journal.engines import database_now
from actions.journal.episodes import UNWATCHED
from actions.journal.tables import consoles, watches
from actions.models import Actor, OpenConsole, Watch
from backends.json_text import decode_text

FORGOTTEN_S = 180.0
KEPT_DAYS = 31


def seen(connection: Connection, console_id: str, context: str, actor: Actor, pid: int, *, armed: bool) -> None:
    """This console is open now."""
    at = time_text(database_now(connection))
    mine = update(consoles).where(consoles.c.id == console_id).values(seen_at=at, armed=armed)
    if connection.execute(mine).rowcount == 0:
        values = {"id": console_id, "context": context, "actor": canonical(actor), "pid": pid, "armed": armed}
        connection.execute(insert(consoles).values(opened_at=at, seen_at=at, **values))
    _close(connection, _is_forgotten(connection))


def gone(connection: Connection, console_id: str) -> None:
    """The console is closed."""
    mine = consoles.c.id == console_id
    connection.execute(update(consoles).where(mine).values(seen_at=time_text(database_now(connection))))
    _close(connection, mine)


def looked(connection: Connection, context: str) -> None:
    """Somebody without a console looked, as `teal check --record` does again and again: looks that are close are one
    watch."""
    at = database_now(connection)
    close = select(watches.c.id).where(watches.c.context == context, watches.c.closed_at >= time_text(at - UNWATCHED))
    last = connection.execute(close.order_by(desc(watches.c.closed_at)).limit(1)).scalar()
    if last is None:
        values = {"context": context, "opened_at": time_text(at), "closed_at": time_text(at)}
        connection.execute(insert(watches).values(values))
    else:
        connection.execute(update(watches).where(watches.c.id == last).values(closed_at=time_text(at)))


def watched(connection: Connection, context: str) -> list[Watch]:
    """From when to when each console of the last month was open, those that are still open last."""
    closed = select(watches).where(watches.c.context == context).order_by(watches.c.opened_at)
    still = select(consoles).where(consoles.c.context == context).order_by(consoles.c.opened_at)
    ended = [(row.opened_at, row.closed_at) for row in connection.execute(closed)]
    ended += [(row.opened_at, row.seen_at) for row in connection.execute(still)]
    return [Watch(time_of(opened), time_of(closed)) for opened, closed in ended]


def who_is_on(connection: Connection, context: str) -> list[OpenConsole]:
    """The consoles of a context, the longest open first."""
    query = select(consoles).where(consoles.c.context == context, not_(_is_forgotten(connection)))
    return [
        OpenConsole(
            actor=decode_text(row.actor, Actor), pid=row.pid, armed=bool(row.armed),
            opened_at=time_of(row.opened_at), seen_at=time_of(row.seen_at),
        )
        for row in connection.execute(query.order_by(consoles.c.opened_at))
    ]  # fmt: skip


def _close(connection: Connection, which: ColumnElement[bool]) -> None:
    ended = select(consoles.c.context, consoles.c.opened_at, consoles.c.seen_at).where(which)
    connection.execute(insert(watches).from_select(["context", "opened_at", "closed_at"], ended))
    connection.execute(delete(consoles).where(which))
    month_ago = time_text(database_now(connection) - timedelta(days=KEPT_DAYS))
    connection.execute(delete(watches).where(watches.c.closed_at < month_ago))


def _is_forgotten(connection: Connection) -> ColumnElement[bool]:
    """Also what was seen long after now: the clock was set back since, and who is there has said so again."""
    at, away = database_now(connection), timedelta(seconds=FORGOTTEN_S)
    return or_(consoles.c.seen_at < time_text(at - away), consoles.c.seen_at > time_text(at + away))
