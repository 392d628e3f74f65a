"""Tags of data sets."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; earlier data sets have no tags."""
    op.add_column("datasets", sa.Column("tags", sa.JSON()))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("datasets", "tags")
