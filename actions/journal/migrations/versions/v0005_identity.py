"""Which journal it is, so that marks on a switch can name it, and the oldest schema whose programs may write it."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    made = op.create_table(
        "identity",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("oldest_writer", sa.Text, nullable=False),
    )
    op.bulk_insert(made, [{"id": secrets.token_hex(8), "oldest_writer": "0004"}])
