"""Lengths of gradients and weights of each epoch; of epochs before this migration there are none."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column."""
    op.add_column("epochs", sa.Column("norms", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("epochs", "norms")
