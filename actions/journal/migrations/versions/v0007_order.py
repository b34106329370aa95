"""The `created_at` of an action is its place among the others: as the audit recorded them, whatever the clocks of their
hosts said. What was added late keeps the time at which it was done."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from backends.json_text import decode_text

revision = "0007"
down_revision = "0006"

_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def upgrade() -> None:
    connection = op.get_bind()
    known = {row.id: row for row in connection.execute(sa.text("SELECT id, context, created_at FROM actions"))}
    move = sa.text("UPDATE actions SET created_at = :place WHERE id = :id")
    newest: dict[str, str] = {}
    for action_id in _begun(connection):
        row = known.pop(action_id, None)
        if row is None:
            continue
        place, before = row.created_at, newest.get(row.context, "")
        if place <= before:
            with contextlib.suppress(ValueError, OverflowError):  # of an edited row
                place = _next_after(before)
                connection.execute(move, {"place": place, "id": action_id})
        newest[row.context] = max(place, before)


def _next_after(place: str) -> str:
    at = datetime.strptime(place, _FORM).replace(tzinfo=UTC)
    return (at + timedelta(microseconds=1)).strftime(_FORM)


def _begun(connection: sa.Connection) -> Iterator[str]:
    """The actions in the order in which the journal recorded their commands."""
    commands = sa.text("SELECT text FROM audit WHERE text LIKE :like ORDER BY seq")
    for (text,) in connection.execute(commands, {"like": '%"kind":"command"%'}).all():
        with contextlib.suppress(ValueError, TypeError, AttributeError):  # of an edited record
            told = decode_text(text, dict[str, Any])
            if told.get("result") != "queued" and not told.get("late"):
                yield str(told.get("action"))
