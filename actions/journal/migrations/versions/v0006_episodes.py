"""What was wrong, from when to when: an incident is in the timeline still when it is over."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "episodes",
        sa.Column("id", sa.Integer, primary_key=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("context", "source", "ref", "state", "since", "seen_at")
        ),
        sa.Column("until", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "subject", "text")),
    )
    op.create_index("one_episode", "episodes", ["context", "source", "ref", "state", "since"], unique=True)
    op.create_index("episodes_by_time", "episodes", ["context", "since"])
