"""Up to which event the ends of jobs have been seen, also over restarts."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table; what has ended until now was seen, or is too old to be news."""
    op.create_table(
        "seen_ends",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
    )
    op.execute("INSERT INTO seen_ends SELECT 1, counter FROM changes WHERE table_name = 'job_events'")


def downgrade() -> None:
    """Remove it."""
    op.drop_table("seen_ends")
