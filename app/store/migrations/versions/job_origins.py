"""Jobs and the messages of their ends keep of which request they come."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for table in ("jobs", "deliveries"):
        op.add_column(table, sa.Column("origin", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    """Remove them."""
    for table in ("jobs", "deliveries"):
        op.drop_column(table, "origin")
