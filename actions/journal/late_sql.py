"""The statements that add what was done without the journal. Loads SQLAlchemy."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, func, insert, select, update

from actions.ids import canonical, time_text
from actions.journal.actions_sql import later
from actions.journal.audit import AuditEntry, record
from actions.journal.audit_sql import append, links_of
from actions.journal.rows import Event, Late, draft_row, event_row
from actions.journal.tables import actions, events, keyed_orders
from actions.models import ActionError
from backends.times import parse_time


def add_late(connection: Connection, late: Late) -> bool:
    """The action, closed, with its steps and records; False where it has been added before. An older copy of the
    journal may know how it began: it gets the rest."""
    draft = late.draft
    known = connection.execute(select(actions.c.ended_at).filter_by(id=draft.id)).first()
    if known is not None and known.ended_at is not None:
        return False
    row = _row(connection, late)
    if known is None:
        connection.execute(insert(actions).values(row))
    else:
        late = replace(late, entries=_unknown_to(connection, late))
        ends = ("status", "phase", "changed", "error", "switch", "ended_at")
        values = {name: row[name] for name in ends if name in row}
        connection.execute(update(actions).where(actions.c.id == draft.id).values(values))
    for entry in late.entries:
        if (effect := _effect(entry)) is not None:
            connection.execute(insert(events).values(event_row(draft.id, 0, entry.happened_at, effect)))
    for step in late.ended.steps if late.ended else ():
        event = Event(step=step.name, kind="verdict", status=step.status, detail=step.detail)
        at = step.ended_at or step.started_at
        told_at = row["ended_at"] if at is None else time_text(at)
        connection.execute(insert(events).values(event_row(draft.id, 0, told_at, event)))
    if row["changed"] and (undoes := draft.plan.expected.undoes):
        connection.execute(update(actions).where(actions.c.id == undoes).values(undone_by=draft.id))
    append(connection, late.entries)
    return True


def _unknown_to(connection: Connection, late: Late) -> tuple[AuditEntry, ...]:
    known = {_which(record(each), record(each).done_at) for each in links_of(connection, late.draft.id)}
    return tuple(entry for entry in late.entries if _which(entry, parse_time(entry.happened_at)) not in known)


def _which(told: AuditEntry, at: datetime | None) -> tuple[object, ...]:
    """What no two records of an action share."""
    return at, told.kind, told.step, told.attempt, told.fence, told.result, told.detail


def _place(connection: Connection, late: Late) -> str:
    """Where it belongs among the actions of its context: when it was done, and after the one whose mark it found on the
    switch, whatever the clocks said."""
    plan = late.draft.plan
    before = select(func.max(actions.c.created_at)).where(actions.c.id.in_(plan.expected.comes_after))
    return later(late.at, connection.execute(before.where(actions.c.context == plan.context)).scalar())


def _effect(entry: AuditEntry) -> Event | None:
    """The event that was told with a record of an effect."""
    if entry.kind == "intent":
        data = {"before": entry.before, "requested": entry.requested, "attempt": entry.attempt}
        return Event(step=entry.step, kind="intent", data=data)
    if entry.kind == "observed":
        return Event(step=entry.step, kind="observed", data={"after": entry.after, "result": entry.result})
    return None


def _row(connection: Connection, late: Late) -> dict[str, Any]:
    """Closed: nobody goes on with it, also where it ended in a state that is open."""
    draft, ended = late.draft, late.ended
    key = {"context": draft.plan.context, "idempotency_key": draft.idempotency_key}
    used = (connection.execute(select(table.c.context).filter_by(**key)).first() for table in (actions, keyed_orders))
    row = draft_row(draft, late.at, place=_place(connection, late))
    row.update(plan=late.plan, phase="", ended_at=late.at)
    if any(found is not None for found in used):
        row["idempotency_key"] = draft.id
    if ended is None:
        words = "the command that ran it without a journal was killed: look at what is live"
        error = ActionError(kind="abandoned", message=words)
        changed = any(
            entry.kind == "observed" and entry.result in ("applied", "applied in part", "put back")
            for entry in late.entries
        )
        return {**row, "status": "abandoned", "changed": changed, "error": canonical(error)}
    return {
        **row,
        "status": "abandoned" if ended.open else ended.status,
        "changed": ended.changed,
        "ended_at": time_text(ended.ended_at) if ended.ended_at else late.at,
        "error": None if ended.error is None else canonical(ended.error),
        "switch": None if ended.switch is None else canonical(ended.switch),
    }
