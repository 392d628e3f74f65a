"""When models were last used is noted."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make a table; nothing is noted yet."""
    op.create_table(
        "model_uses",
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_model_uses_model_id_models"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_model_uses")),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("model_uses")
