"""Events of a service over all of its actions. Loads SQLAlchemy."""

from typing import Any

from sqlalchemy import Connection, desc, or_, select

from actions import tables
from actions.command_events import ENDED, STARTED
from actions.rows import Told, told

LOOKED_THROUGH = 50


def commands_of(connection: Connection, context: str, service: str) -> list[Told]:
    """When commands of the newest actions of a service began and ended, oldest first."""
    table = tables.actions
    newest = select(table.c.id).where(table.c.context == context, table.c.service == service)
    newest = newest.order_by(desc(table.c.created_at), desc(table.c.id)).limit(LOOKED_THROUGH)
    query = select(tables.events).where(tables.events.c.action_id.in_(newest.scalar_subquery()))
    query = query.where(tables.events.c.kind.in_((STARTED, ENDED))).order_by(tables.events.c.id)
    return [told(row) for row in connection.execute(query).mappings()]


def verified(connection: Connection, context: str, service: str) -> dict[str, Any] | None:
    """What the newest proof of traffic on a service was recorded with; None where there was none."""
    table, events = tables.actions, tables.events
    proof = or_(events.c.step == "verify", events.c.step.like("verify[%"), events.c.step == "verify-back")
    query = select(events).join(table, table.c.id == events.c.action_id)
    query = query.where(table.c.context == context, table.c.service == service, events.c.kind == "verdict")
    query = query.where(events.c.status == "succeeded", proof).order_by(desc(events.c.id)).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else told(row).event.data
