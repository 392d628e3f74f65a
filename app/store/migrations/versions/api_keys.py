"""API keys, and when they were last used."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_EVENTS = ("INSERT", "UPDATE", "DELETE")
_TRIGGER = (
    "CREATE TRIGGER api_keys_{name} AFTER {event} ON api_keys BEGIN "
    "UPDATE changes SET counter = counter + 1 WHERE table_name = 'api_keys'; END"
)


def upgrade() -> None:
    """Make the tables, and count the changes of the first."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("name", name=op.f("uq_api_keys_name")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_table(
        "api_key_uses",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.id"], name=op.f("fk_api_key_uses_key_id_api_keys"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_key_uses")),
    )
    op.execute("INSERT INTO changes (table_name, counter) VALUES ('api_keys', 0)")
    for event in _EVENTS:
        op.execute(_TRIGGER.format(name=event.lower(), event=event))


def downgrade() -> None:
    """Remove them."""
    for event in _EVENTS:
        op.execute(f"DROP TRIGGER api_keys_{event.lower()}")
    op.execute("DELETE FROM changes WHERE table_name = 'api_keys'")
    op.drop_table("api_key_uses")
    op.drop_table("api_keys")
