"""Jobs that wait until their data set is ready."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; of the jobs that are there none waits."""
    op.add_column("jobs", sa.Column("waits_for", sa.String()))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("jobs", "waits_for")
