"""Since when the last checkpoints of finished jobs are kept: those that exist, from this migration on."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_FINISHED = ("succeeded", "failed", "cancelled")


def upgrade() -> None:
    """Add a column and an index."""
    op.add_column("jobs", sa.Column("checkpoint_kept_since", sa.DateTime()))
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
    jobs = sa.table(
        "jobs",
        sa.column("id", sa.String()),
        sa.column("status", sa.String()),
        sa.column("checkpoint", sa.JSON(none_as_null=True)),
        sa.column("checkpoint_kept_since", sa.DateTime()),
    )
    connection = op.get_bind()
    ended = sa.select(jobs.c.id, jobs.c.checkpoint).where(jobs.c.status.in_(_FINISHED))
    now = datetime.now(UTC).replace(tzinfo=None)
    for row in connection.execute(ended).all():
        if row.checkpoint and "name" in row.checkpoint:
            change = sa.update(jobs).where(jobs.c.id == row.id)
            connection.execute(change.values(checkpoint_kept_since=now))


def downgrade() -> None:
    """Remove them."""
    op.drop_index("ix_jobs_finished_at", "jobs")
    op.drop_column("jobs", "checkpoint_kept_since")
