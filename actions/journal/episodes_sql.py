"""Episodes in the journal. Loads SQLAlchemy."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, desc, func, insert, inspect, or_, select, update

from actions.ids import time_of, time_text
from actions.journal.engines import database_now
from actions.journal.episodes import KEPT, MOST, Book, Episode
from actions.journal.tables import episodes as table


def has_episodes(connection: Connection) -> bool:
    """Whether there is room for them: not in a schema before 0006, as it is while an action is open."""
    return inspect(connection).has_table(table.name)


def keep(connection: Connection, context: str, news: Sequence[Episode]) -> bool:
    """As `actions.journal.episodes.remembered`; False where there is no room for them."""
    if not has_episodes(connection):
        return False
    for new in sorted(news, key=lambda episode: (episode.until is None, episode.since)):
        if not _end(connection, context, new) and not _is_there(connection, context, new):
            connection.execute(insert(table).values(_row(context, new)))
    _forget(connection, context)
    return True


def between(connection: Connection, context: str, since: datetime, until: datetime) -> Book:
    """Those that were so at some time between the two, oldest first."""
    if not has_episodes(connection):
        return Book()
    within = select(table).where(table.c.context == context, table.c.since <= time_text(until))
    within = within.where(or_(table.c.until.is_(None), table.c.until >= time_text(since)))
    found = [_episode(row) for row in connection.execute(within.order_by(table.c.since, table.c.id))]
    kept = select(func.count(), func.min(table.c.since)).where(table.c.context == context)
    count, oldest = connection.execute(kept).one()
    return Book(episodes=found, whole_from=time_of(oldest) if count >= MOST else None)


def _end(connection: Connection, context: str, new: Episode) -> bool:
    """Whether it was open, and has the end of `new` now."""
    if new.until is None:
        return False
    until = time_text(new.until)
    is_open = (*_is(context, new), table.c.until.is_(None), table.c.since <= until)
    ended = update(table).where(*is_open).values(until=until, seen_at=time_text(new.seen_at))
    return connection.execute(ended).rowcount > 0


def _is_there(connection: Connection, context: str, new: Episode) -> bool:
    since = time_text(new.since)
    same = [table.c.until.is_(None), table.c.since == since]
    same += [] if new.until is None else [table.c.until >= since]
    there = select(table.c.id).where(*_is(context, new), or_(*same))
    return connection.execute(there.limit(1)).first() is not None


def _row(context: str, new: Episode) -> dict[str, str | None]:
    return {
        "context": context, "source": new.source, "ref": new.ref, "state": new.state,
        "since": time_text(new.since), "seen_at": time_text(new.seen_at),
        "until": None if new.until is None else time_text(new.until),
        "kind": new.kind, "subject": new.subject, "text": new.text,
    }  # fmt: skip


def _is(context: str, episode: Episode) -> tuple[ColumnElement[bool], ...]:
    columns = (table.c.context, table.c.source, table.c.ref, table.c.state)
    return tuple(column == value for column, value in zip(columns, (context, *episode.thing), strict=True))


def _forget(connection: Connection, context: str) -> None:
    """The oldest go: what is older than a month, and what is more than `MOST`."""
    mine = table.c.context == context
    month_ago = time_text(database_now(connection) - KEPT)
    connection.execute(delete(table).where(mine, func.coalesce(table.c.until, table.c.seen_at) < month_ago))
    newest = select(table.c.id).where(mine).order_by(desc(table.c.since), desc(table.c.id))
    over = newest.offset(MOST).limit(MOST).scalar_subquery()
    connection.execute(delete(table).where(table.c.id.in_(over)))


def _episode(row: Row[Any]) -> Episode:
    return Episode(
        source=row.source, kind=row.kind, ref=row.ref, state=row.state, subject=row.subject, text=row.text,
        since=time_of(row.since), seen_at=time_of(row.seen_at), until=time_of(row.until),
    )  # fmt: skip
