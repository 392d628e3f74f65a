"""Jobs that add pictures to a data set are of a kind of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_JOBS = sa.table(
    "jobs", sa.column("id", sa.String()), sa.column("kind", sa.String()), sa.column("request", sa.JSON())
)


def upgrade() -> None:
    """Rename the kind of those that were ingestion jobs with several files."""
    connection = op.get_bind()
    rows = connection.execute(sa.select(_JOBS.c.id, _JOBS.c.request).where(_JOBS.c.kind == "ingestion")).all()
    for row in rows:
        if "files" in row.request:
            connection.execute(sa.update(_JOBS).where(_JOBS.c.id == row.id).values(kind="addition"))


def downgrade() -> None:
    """Make them ingestion jobs again."""
    op.execute(sa.update(_JOBS).where(_JOBS.c.kind == "addition").values(kind="ingestion"))
