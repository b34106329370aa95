"""The idempotency keys of orders to an open action; those of the actions themselves are in their rows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "keyed_orders",
        sa.Column("context", sa.Text, primary_key=True),
        sa.Column("idempotency_key", sa.Text, primary_key=True),
        sa.Column("action_id", sa.Text, sa.ForeignKey("actions.id"), nullable=False),
        sa.Column("request_hash", sa.Text, nullable=False),
    )
