"""The tables. A change here needs a migration beside it; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

from app.states import JobStatus

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

WATCHED = {"watched": True}
"""The `info` of tables whose changes are counted in `changes`, by triggers that each database has of its own."""


TEXT = String().with_variant(String(collation="C"), "postgresql")
"""A text, compared byte by byte: lists have one order everywhere, and no locale of a system decides it."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept in UTC; databases without time zones get it without one."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware time into UTC without a zone; refuse a time that has none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Say that what was stored is in UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


class Status(TypeDecorator[JobStatus]):
    """The state of a job, kept as its word."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        """Return the word; refuse one that is no state."""
        return None if value is None else str(JobStatus(value))

    def process_result_value(self, value: Any | None, dialect: Dialect) -> JobStatus | None:
        """Return the state."""
        return None if value is None else JobStatus(value)


def _common() -> list[Column[Any]]:
    """Return what every listed thing has, the primary key first."""
    return [
        Column("id", TEXT, primary_key=True),
        Column("created_at", UtcDateTime, nullable=False),
        Column("builtin", Boolean, nullable=False),
    ]


# What creating calls with an idempotency key were answered, for a day.
answers = Table(
    "answers",
    metadata,
    Column("route", TEXT, primary_key=True),
    Column("key", TEXT, primary_key=True),
    Column("fingerprint", TEXT, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "created_at"),
)

architectures = Table(
    "architectures",
    metadata,
    *_common(),
    Column("name", TEXT, nullable=False),
    Column("architecture", JSON, nullable=False),
    Index(None, "created_at", "id"),
    info=WATCHED,
)

datasets = Table(
    "datasets",
    metadata,
    *_common(),
    Column("name", TEXT, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("splits", JSON, nullable=False),
    Column("image_shape", JSON, nullable=False),
    Column("options", JSON, nullable=False),
    Column("report", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("images", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("fingerprint", TEXT),
    Column("tags", JSON(none_as_null=True)),
    Column("revision", Integer, nullable=False, server_default="0"),
    Index(None, "created_at", "id"),
    info=WATCHED,
)

# What was corrected in a data set, a row a revision; nothing of it changes afterwards.
corrections = Table(
    "corrections",
    metadata,
    Column("dataset_id", ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("changes", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

segments = Table(
    "segments",
    metadata,
    Column("dataset_id", ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("images", Integer, nullable=False),
    Column("path", TEXT, nullable=False),
    Column("sha256", TEXT, nullable=False),
)

# `dataset_id` and `model_id` are history: what they name may have been deleted since.
jobs = Table(
    "jobs",
    metadata,
    *_common(),
    Column("kind", TEXT, nullable=False),
    Column("status", Status, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("heartbeat", Integer, nullable=False),
    Column("request", JSON, nullable=False),
    Column("progress", JSON, nullable=False),
    Column("metrics", JSON(none_as_null=True)),
    Column("checkpoint", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("dataset_id", TEXT),
    Column("model_id", TEXT),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("memory_bytes", BigInteger),
    Column("webhook_url", TEXT),
    Column("checkpoint_kept_since", UtcDateTime),
    Column("waits_for", TEXT),
    Column("origin", JSON(none_as_null=True)),
    Column("part_of", TEXT),
    Index(None, "kind", "created_at", "id"),
    # What the runner asks at every look, however many jobs there have been.
    Index(None, "status", "kind", "created_at", "id"),
    # the line of those that wait for nothing but their turn
    Index(None, "status", "kind", "waits_for", "created_at", "id"),
    Index(None, "dataset_id", "status"),
    # What has ended since the last look.
    Index(None, "finished_at"),
    Index(None, "part_of", "id"),
    info=WATCHED,
)

epochs = Table(
    "epochs",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("figures", JSON, nullable=False),
    Column("norms", JSON(none_as_null=True)),
)

# What happened to a job, in order: its states, its epochs, its end; `position` is its place among those of all jobs.
job_events = Table(
    "job_events",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", TEXT, nullable=False),
    Column("data", JSON, nullable=False),
    Column("position", BigInteger, nullable=False, server_default="0"),
    Index(None, "position", unique=True),
    info=WATCHED,
)

# Behind which of these events the ends of jobs have not been logged and counted yet: one row, or none.
seen_ends = Table(
    "seen_ends",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# Messages that tell the ends of jobs. They outlive their jobs until they are sent.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("job_id", TEXT, nullable=False),
    Column("url", TEXT, nullable=False),
    Column("body", TEXT, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("error", TEXT),
    Column("created_at", UtcDateTime, nullable=False),
    Column("origin", JSON(none_as_null=True)),
    UniqueConstraint("job_id"),
    Index(None, "status", "due_at"),
)

models = Table(
    "models",
    metadata,
    *_common(),
    Column("name", TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("path", TEXT, nullable=False),
    Column("sha256", TEXT, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("input_shape", JSON, nullable=False),
    Column("preprocessing", JSON, nullable=False),
    Column("architecture", JSON, nullable=False),
    Column("training_job_id", TEXT),
    Column("metrics", JSON, nullable=False),
    Column("description", TEXT),
    Column("tags", JSON(none_as_null=True)),
    Column("target", TEXT, nullable=False, server_default="class"),
    UniqueConstraint("name", "version"),
    Index(None, "created_at", "id"),
    info=WATCHED,
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("alias", TEXT, primary_key=True),
    Column("model_id", ForeignKey("models.id"), nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "model_id"),
    info=WATCHED,
)

# When models were last used, to the minute or so: not a part of `models`, whose rows are kept in memory.
model_uses = Table(
    "model_uses",
    metadata,
    Column("model_id", ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
    Column("used_at", UtcDateTime, nullable=False),
)

# Keys that callers present: of each its SHA-256, never the key.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False, unique=True),
    Column("digest", TEXT, nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    info=WATCHED,
)

# When keys were last used, to the minute or so; apart for the same reason.
api_key_uses = Table(
    "api_key_uses",
    metadata,
    Column("key_id", ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("used_at", UtcDateTime, nullable=False),
)

# How often the watched tables have changed. Only triggers write it: no code path and no process can forget to.
changes = Table(
    "changes",
    metadata,
    Column("table_name", TEXT, primary_key=True),
    Column("counter", BigInteger, nullable=False),
)

# Which process does what only one may do at a time; `until` is in seconds since 1970 by the clock of the database.
leases = Table(
    "leases",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("owner", TEXT),
    Column("term", Integer, nullable=False),
    Column("until", Float, nullable=False),
)

# Checksums of files that never change, beside those in `models`; of an earlier version's files since their first check.
files = Table(
    "files",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("sha256", TEXT, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE")),
    Column("dataset_id", ForeignKey("datasets.id", ondelete="CASCADE")),
    Index(None, "job_id"),
    Index(None, "dataset_id"),
)

# What was found when the data directory was last measured: one row, `found` bytes in files.
usage = Table(
    "usage",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("found", BigInteger, nullable=False),
    Column("recorded", BigInteger, nullable=False),
)

# Which installation this is: one row; an object store, or a data directory beside a shared database, has its mark, too.
installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mark", TEXT, nullable=False),
)


@cache
def emptied_by(table: Table) -> frozenset[str]:
    """Return the names of the tables of which rows go where some of a table are deleted: its own, and by cascades."""
    below = (
        other
        for other in metadata.sorted_tables
        for key in other.foreign_key_constraints
        if key.referred_table is table and key.ondelete == "CASCADE"
    )
    return frozenset({table.name}).union(*map(emptied_by, below))
