"""An index of the jobs that wait for their turn, so that places in a long line are counted without reading it."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

NAME = "ix_jobs_status_kind_waits_for_created_at_id"


def upgrade() -> None:
    """Add it."""
    op.create_index(op.f(NAME), "jobs", ["status", "kind", "waits_for", "created_at", "id"])


def downgrade() -> None:
    """Remove it."""
    op.drop_index(op.f(NAME), "jobs")
