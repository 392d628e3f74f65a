"""What models say of a picture: its class, its labels, or values."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; the models that are there tell classes."""
    op.add_column("models", sa.Column("target", sa.String(), nullable=False, server_default="class"))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("models", "target")
