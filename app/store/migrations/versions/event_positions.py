"""Events of all jobs have an order, and their changes are counted; those that are there are in that of their rows."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_EVENTS = ("INSERT", "UPDATE", "DELETE")
_TRIGGER = (
    "CREATE TRIGGER job_events_{name} AFTER {event} ON job_events BEGIN "
    "UPDATE changes SET counter = counter + 1 WHERE table_name = 'job_events'; END"
)


def upgrade() -> None:
    """Add a column, fill it, and make the counter that goes on from there."""
    op.add_column("job_events", sa.Column("position", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE job_events SET position = rowid")
    op.create_index("ix_job_events_position", "job_events", ["position"], unique=True)
    op.execute("INSERT INTO changes SELECT 'job_events', coalesce(max(position), 0) FROM job_events")
    for event in _EVENTS:
        op.execute(_TRIGGER.format(name=event.lower(), event=event))


def downgrade() -> None:
    """Remove them."""
    for event in _EVENTS:
        op.execute(f"DROP TRIGGER job_events_{event.lower()}")
    op.execute("DELETE FROM changes WHERE table_name = 'job_events'")
    op.drop_index("ix_job_events_position", "job_events")
    op.drop_column("job_events", "position")
