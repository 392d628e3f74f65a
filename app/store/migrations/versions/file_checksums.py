"""Checksums of files that never change; those of the files that are there are recorded at their first check."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    owners = {"job_id": "jobs", "dataset_id": "datasets"}
    op.create_table(
        "files",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        *(sa.Column(column, sa.String()) for column in owners),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=f"fk_files_{column}_{table}", ondelete="CASCADE"
            )
            for column, table in owners.items()
        ),
        sa.PrimaryKeyConstraint("name", name="pk_files"),
    )
    for column in owners:
        op.create_index(f"ix_files_{column}", "files", [column])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("files")
