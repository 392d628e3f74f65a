"""The changes of tables are counted, so that what was read from them can be kept in memory until they change."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLES = ("architectures", "datasets", "jobs", "models", "model_aliases")
_EVENTS = ("INSERT", "UPDATE", "DELETE")
_TRIGGER = (
    "CREATE TRIGGER {table}_{name} AFTER {event} ON {table} BEGIN "
    "UPDATE changes SET counter = counter + 1 WHERE table_name = '{table}'; END"
)


def upgrade() -> None:
    """Make the counters, and the triggers that raise them."""
    changes = op.create_table(
        "changes",
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", name=op.f("pk_changes")),
    )
    op.bulk_insert(changes, [{"table_name": name, "counter": 0} for name in _TABLES])
    for table in _TABLES:
        for event in _EVENTS:
            op.execute(_TRIGGER.format(table=table, name=event.lower(), event=event))


def downgrade() -> None:
    """Remove them."""
    for table in _TABLES:
        for event in _EVENTS:
            op.execute(f"DROP TRIGGER {table}_{event.lower()}")
    op.drop_table("changes")
