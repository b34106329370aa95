"""The tables of the journal. Only `actions.journal.sql` and the migrations' test import this: it loads SQLAlchemy.

Times are UTC texts of fixed form, so that they sort and compare in every database; nested things are JSON texts. The
`created_at` of an action is its place among those of its context, and no time where a clock was set: each that is begun
comes after all that the journal has (`actions.journal.actions_sql.next_place`).
"""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, MetaData, Table, Text, text

SCHEMA_VERSION = "0007"
OLDEST_SERVED = "0004"
"""The oldest schema that the statements are right for as it is: it is not changed while an action is open."""

metadata = MetaData()

actions = Table(
    "actions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("context", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("from_color", Text, nullable=False),
    Column("to_color", Text, nullable=False),
    Column("changed", Boolean, nullable=False),
    Column("ref", Text),
    Column("plan", Text, nullable=False),
    Column("plan_hash", Text, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("owner", Text),
    Column("error", Text),
    Column("switch", Text),
    Column("undo", Text, nullable=False),
    Column("undone_by", Text),
    Column("idempotency_key", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("started_at", Text),
    Column("ended_at", Text),
)
Index("actions_by_time", actions.c.context, actions.c.created_at)
Index("actions_by_key", actions.c.context, actions.c.idempotency_key, unique=True)
_OPEN = text("ended_at IS NULL")
Index(
    "one_open_action",
    actions.c.context,
    actions.c.service,
    unique=True,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("action_id", Text, ForeignKey("actions.id"), nullable=False, index=True),
    Column("at", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("data", Text, nullable=False),
)

commands = Table(
    "commands",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("action_id", Text, ForeignKey("actions.id"), nullable=False, index=True),
    Column("at", Text, nullable=False),
    Column("word", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("taken_at", Text),
)

keyed_orders = Table(
    "keyed_orders",
    metadata,
    Column("context", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("action_id", Text, ForeignKey("actions.id"), nullable=False),
    Column("request_hash", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("context", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("action_id", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("last_write", Text, nullable=False, server_default=""),
)

consoles = Table(
    "consoles",
    metadata,
    Column("id", Text, primary_key=True),
    Column("context", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("opened_at", Text, nullable=False),
    Column("seen_at", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("armed", Boolean, nullable=False),
)

watches = Table(
    "watches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("context", Text, nullable=False),
    Column("opened_at", Text, nullable=False),
    Column("closed_at", Text, nullable=False),
)
Index("watches_by_time", watches.c.context, watches.c.closed_at)

episodes = Table(
    "episodes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("context", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("since", Text, nullable=False),
    Column("seen_at", Text, nullable=False),
    Column("until", Text),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
)
Index(
    "one_episode",
    *(episodes.c[name] for name in ("context", "source", "ref", "state", "since")),
    unique=True,
)
Index("episodes_by_time", episodes.c.context, episodes.c.since)

identity = Table(
    "identity",
    metadata,
    Column("id", Text, primary_key=True),
    Column("oldest_writer", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("text", Text, nullable=False),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)
