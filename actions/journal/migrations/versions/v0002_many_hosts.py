"""What many hosts need: a write that is made once also where its answer was lost, and who is on."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("leases", sa.Column("last_write", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "consoles",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("context", "actor", "opened_at", "seen_at")),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("armed", sa.Boolean, nullable=False),
    )
