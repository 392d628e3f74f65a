"""Jobs that are parts of others."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

NAME = "ix_jobs_part_of_id"


def upgrade() -> None:
    """Add the column, and an index of the parts of each job; of the jobs that are there none is a part."""
    op.add_column(
        "jobs", sa.Column("part_of", sa.String().with_variant(sa.String(collation="C"), "postgresql"))
    )
    op.create_index(op.f(NAME), "jobs", ["part_of", "id"])


def downgrade() -> None:
    """Remove them, and the parts: no earlier version knows their kind."""
    op.execute("DELETE FROM jobs WHERE part_of IS NOT NULL")
    op.drop_index(op.f(NAME), "jobs")
    op.drop_column("jobs", "part_of")
