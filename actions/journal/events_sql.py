"""Events of a service over all of its actions. Loads SQLAlchemy."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, desc, or_, select

from actions.journal import tables
from actions.journal.actions_sql import newest_first
from actions.journal.command_events import ENDED, STARTED
from actions.journal.rows import StoredEvent, stored_event
from actions.kinds import moving

LOOKED_THROUGH = 50


def commands_of(connection: Connection, context: str, service: str) -> list[StoredEvent]:
    """When commands of the newest actions of a service began and ended, oldest first."""
    query = select(tables.events).where(tables.events.c.action_id.in_(_newest(context, service)))
    query = query.where(tables.events.c.kind.in_((STARTED, ENDED))).order_by(tables.events.c.id)
    return [stored_event(row) for row in connection.execute(query).mappings()]


def verified(connection: Connection, context: str, service: str) -> dict[str, Any] | None:
    """What the newest proof of traffic on a service was recorded with; None where there was none."""
    events = tables.events
    proof = or_(events.c.step == "verify", events.c.step.like("verify[%"), events.c.step == "verify-back")
    moved = _newest(context, service, tables.actions.c.kind.in_(moving()))
    query = select(events).where(events.c.action_id.in_(moved))
    query = query.where(events.c.kind == "verdict", events.c.status == "succeeded", proof)
    row = connection.execute(query.order_by(desc(events.c.id)).limit(1)).mappings().first()
    return None if row is None else stored_event(row).event.data


def _newest(context: str, service: str, *which: ColumnElement[bool]) -> ScalarSelect[str]:
    table = tables.actions
    query = select(table.c.id).where(table.c.context == context, table.c.service == service, *which)
    return newest_first(query).limit(LOOKED_THROUGH).scalar_subquery()
