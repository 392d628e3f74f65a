"""Pictures of data sets are corrected, in revisions; those that are there have none."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column and a table."""
    op.add_column("datasets", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "corrections",
        sa.Column("dataset_id", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            ["datasets.id"],
            name=op.f("fk_corrections_dataset_id_datasets"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("dataset_id", "revision", name=op.f("pk_corrections")),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("corrections")
    op.drop_column("datasets", "revision")
