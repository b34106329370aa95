"""When somebody had a console open, also after it was closed: what nobody watched is seen by that."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "watches",
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("context", "opened_at", "closed_at")),
    )
    op.create_index("watches_by_time", "watches", ["context", "closed_at"])
