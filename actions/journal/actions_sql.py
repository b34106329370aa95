"""Actions as a transaction finds them: rows, what was told of them, and keys. Loads SQLAlchemy."""

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, RowMapping, Select, desc, func, select

from actions.ids import now, time_of, time_text
from actions.journal import tables
from actions.journal.engines import database_now
from actions.journal.errors import NO_SENSE
from actions.journal.lease import is_over
from actions.journal.rows import Key, KeyUsed, StoredEvent, action_of, odd_action, stored_event
from actions.kinds import kind_of, moving
from actions.models import Action
from backends.errors import BackendError
from backends.text import clean


def keyed(connection: Connection, context: str, key: str) -> tuple[Action, str] | None:
    """The action that came of an idempotency key, or that an order under it was given to; the hash of the request."""
    row = row_of(connection, context=context, idempotency_key=key)
    if row is not None:
        return whole(connection, row), row["request_hash"]
    query = select(tables.keyed_orders).filter_by(context=context, idempotency_key=key)
    order = connection.execute(query).mappings().first()
    row = None if order is None else row_of(connection, id=order["action_id"])
    return None if order is None or row is None else (whole(connection, row), order["request_hash"])


def must_be_unused(connection: Connection, key: Key) -> None:
    """Raises KeyUsed."""
    used = keyed(connection, key.context, key.key)
    if used is not None:
        raise KeyUsed(used[0], same=used[1] == key.request_hash)


def row_of(connection: Connection, **columns: Any) -> RowMapping | None:
    """The action whose columns are these."""
    return connection.execute(select(tables.actions).filter_by(**columns)).mappings().first()


def known_row(connection: Connection, action_id: str) -> RowMapping:
    """Raises BackendError(not_found)."""
    row = row_of(connection, id=action_id)
    if row is None:
        words = f"no action {clean(action_id, 64)} in the journal"
        raise BackendError("not_found", words, fix="`teal action list`")
    return row


def open_row(connection: Connection, context: str, service: str) -> RowMapping | None:
    """The one action of a service that has not ended."""
    table = tables.actions
    query = select(table).where(table.c.context == context, table.c.service == service, table.c.ended_at.is_(None))
    return connection.execute(query).mappings().first()


def of_kinds(context: str, service: str, kinds: Sequence[str]) -> Select[Any]:
    """The actions of these kinds on a service, newest first."""
    table = tables.actions
    query = select(table).where(table.c.context == context, table.c.service == service, table.c.kind.in_(kinds))
    return newest_first(query)


def newest_first(query: Select[Any]) -> Select[Any]:
    """In the order in which the journal recorded them, whatever the clocks of their hosts said."""
    return query.order_by(desc(tables.actions.c.created_at), desc(tables.actions.c.id))


def next_place(connection: Connection, context: str) -> str:
    """That of an action that is begun now: the time, or what comes next where the newest has a later one."""
    newest = select(func.max(tables.actions.c.created_at)).where(tables.actions.c.context == context)
    return later(time_text(now()), connection.execute(newest).scalar())


def later(at: str, before: str | None) -> str:
    """`at`, or where that is not after `before`, what is next after it."""
    with contextlib.suppress(ValueError, OverflowError):  # of an edited row: nobody is kept from an order by it
        if before is not None and at <= before:
            return time_text(time_of(before) + timedelta(microseconds=1))
    return at


def is_later(connection: Connection, action_id: str, than: str) -> bool:
    """Whether one action was recorded after another; False where either is none of this journal."""
    table = tables.actions
    query = newest_first(select(table.c.id).where(table.c.id.in_((action_id, than))))
    return action_id != than and connection.execute(query).scalars().all() == [action_id, than]


def whole(connection: Connection, row: RowMapping) -> Action:
    """With its steps, and whether its lease is over by the clock of the database. Raises what is in NO_SENSE."""
    return _with_lease(connection, action_of(row, events_of(connection, row["id"])))


def looked_at(connection: Connection, row: RowMapping) -> Action:
    """As `whole`, for those who only look: of one that makes no sense, what its columns say."""
    try:
        return whole(connection, row)
    except NO_SENSE as error:
        return _with_lease(connection, odd_action(row, str(error)))


def _with_lease(connection: Connection, action: Action) -> Action:
    if not action.open or action.owner is None or action.owner.lease_expires_at is None:
        return action
    over = is_over(action.owner, database_now(connection))
    return replace(action, owner=replace(action.owner, lease_over=over))


def as_of_now(connection: Connection, context: str, rows: Sequence[RowMapping]) -> list[Action]:
    """Those of `rows`, all of `context`: without their undo, and without the commands of their error, where a newer
    change of traffic has come. They were made of what was there before that, and would move traffic in another
    situation."""
    found = [looked_at(connection, row) for row in rows]
    if not any(map(_has_commands, found)):
        return found
    table = tables.actions
    changed = table.c.kind.in_(moving()) & table.c.changed.is_(True)
    since = table.c.created_at > min(row["created_at"] for row in rows)
    newest = select(table.c.service, func.max(table.c.created_at)).where(table.c.context == context, changed, since)
    last = dict(connection.execute(newest.group_by(table.c.service)).all())
    return [
        _without_commands(action)
        if _has_commands(action) and last.get(action.service, row["created_at"]) > row["created_at"] else action
        for action, row in zip(found, rows, strict=True)
    ]  # fmt: skip


def _has_commands(action: Action) -> bool:
    return kind_of(action.kind).moves and not action.open and bool(action.undo or (action.error and action.error.fix))


def _without_commands(action: Action) -> Action:
    return replace(action, undo="", error=replace(action.error, fix="") if action.error is not None else None)


def events_of(connection: Connection, action_id: str) -> list[StoredEvent]:
    """All of them, oldest first."""
    table = tables.events
    query = select(table).where(table.c.action_id == action_id).order_by(table.c.id)
    return [stored_event(row) for row in connection.execute(query).mappings()]
