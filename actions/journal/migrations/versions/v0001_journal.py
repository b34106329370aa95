"""The journal: actions, their events, commands and leases, and the audit chain."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "actions",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("context", "kind", "service", "status", "phase")),
        sa.Column("from_color", sa.Text, nullable=False),
        sa.Column("to_color", sa.Text, nullable=False),
        sa.Column("changed", sa.Boolean, nullable=False),
        sa.Column("ref", sa.Text),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("plan", "plan_hash", "request_hash", "reason", "actor")
        ),
        *(sa.Column(name, sa.Text) for name in ("owner", "error", "switch")),
        sa.Column("undo", sa.Text, nullable=False),
        sa.Column("undone_by", sa.Text),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("started_at", sa.Text),
        sa.Column("ended_at", sa.Text),
    )
    op.create_index("actions_by_time", "actions", ["context", "created_at"])
    op.create_index("actions_by_key", "actions", ["context", "idempotency_key"], unique=True)
    is_open = sa.text("ended_at IS NULL")
    op.create_index(
        "one_open_action", "actions", ["context", "service"],
        unique=True, sqlite_where=is_open, postgresql_where=is_open,
    )  # fmt: skip
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("action_id", sa.Text, sa.ForeignKey("actions.id"), nullable=False, index=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("step", "kind", "status", "detail", "data")),
    )
    op.create_table(
        "commands",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("action_id", sa.Text, sa.ForeignKey("actions.id"), nullable=False, index=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("at", "word", "actor", "reason")),
        sa.Column("taken_at", sa.Text),
    )
    op.create_table(
        "leases",
        sa.Column("context", sa.Text, primary_key=True),
        sa.Column("service", sa.Text, primary_key=True),
        sa.Column("action_id", sa.Text, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("owner", "expires_at")),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("prev_hash", "hash", "text")),
    )
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "hash": ""}])
