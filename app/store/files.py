"""Which files the rows name, and the checksums of those that never change."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, Table, select

from app.files.artifacts import Written
from app.states import UNFINISHED, JobStatus
from app.store import tables
from app.store.database import Database
from app.store.expressions import row_place, upsert, written
from app.store.keys import KeyRecord
from app.store.records import (
    AliasRecord,
    ArchitectureRecord,
    CorrectionRecord,
    DatasetRecord,
    EpochRecord,
    JobRecord,
    Json,
    ModelRecord,
)
from app.store.rows import UNREADABLE, to_record

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The file of a model; the fields are those of its record."""

    id: str
    path: str
    sha256: str
    bytes: int
    builtin: bool


@dataclass(frozen=True, slots=True)
class SegmentFolder:
    """The directory of a segment; the fields are those of its record."""

    dataset_id: str
    number: int
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class JobFiles:
    """What says which files a job has; the fields are those of its record."""

    id: str
    kind: str
    status: JobStatus
    attempt: int
    checkpoint: Json | None
    waits_for: str | None
    builtin: bool
    part_of: str | None


@dataclass(frozen=True, slots=True)
class _Request:
    """What a job is to do."""

    id: str
    request: Json


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that cannot be read."""

    table: str
    id: str


_READ: tuple[tuple[Table, type[Any]], ...] = (
    (tables.architectures, ArchitectureRecord),
    (tables.datasets, DatasetRecord),
    (tables.corrections, CorrectionRecord),
    (tables.jobs, JobRecord),
    (tables.models, ModelRecord),
    (tables.model_aliases, AliasRecord),
    (tables.epochs, EpochRecord),
    (tables.api_keys, KeyRecord),
)
"""The tables whose rows others read, and as what."""


class Files:
    """The files of all rows. Everything is read at once: for who looks after an installation, not for requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def recorded(self) -> dict[str, Written]:
        """Return the checksums of files that never change, but for those of models, by the names of the files."""
        columns = tables.files.c
        with self._database.read() as connection:
            rows = connection.execute(select(columns.name, columns.sha256, columns.bytes))
            return {row.name: Written(**row._asdict()) for row in rows}

    def record(
        self, files: Collection[Written], *, job_id: str | None = None, dataset_id: str | None = None
    ) -> None:
        """Record checksums that are not recorded yet, unless their owner is gone."""
        owner, identifier = (tables.jobs, job_id) if job_id is not None else (tables.datasets, dataset_id)
        with self._database.write() as connection:
            query = select(owner.c.id).where(owner.c.id == identifier)
            if connection.scalar(query.with_for_update(read=True, key_share=True)) is not None:
                record(connection, files, job_id=job_id, dataset_id=dataset_id)

    def models(self) -> list[ModelFile]:
        """Return the files of models."""
        return self._all(tables.models, ModelFile)

    def builtin_datasets(self) -> frozenset[str]:
        """Return the ids of the data sets that come with the package."""
        with self._database.read() as connection:
            return frozenset(
                connection.scalars(select(tables.datasets.c.id).where(tables.datasets.c.builtin))
            )

    def segments(self) -> list[SegmentFolder]:
        """Return the directories of the segments of data sets, in order."""
        return self._all(tables.segments, SegmentFolder)

    def jobs(self) -> list[JobFiles]:
        """Return what says which files jobs have."""
        return self._all(tables.jobs, JobFiles)

    def unfinished_requests(self) -> dict[str, Json]:
        """Return what the jobs are to do that have not ended, by job."""
        unfinished = tables.jobs.c.status.in_(UNFINISHED)
        return {request.id: request.request for request in self._all(tables.jobs, _Request, unfinished)}

    def unreadable(self) -> list[Unreadable]:
        """Return the rows that cannot be read."""
        found = []
        with self._database.read() as connection:
            for table, kind in _READ:
                entries = _read(connection, table, kind)
                found += [Unreadable(table.name, key) for key, record in entries if record is None]
        return found

    def _all(self, table: Table, kind: type[T], *conditions: ColumnElement[bool]) -> list[T]:
        """Return what can be read of a table."""
        with self._database.read() as connection:
            return [record for _, record in _read(connection, table, kind, *conditions) if record is not None]


def record(
    connection: Connection,
    files: Collection[Written],
    *,
    job_id: str | None = None,
    dataset_id: str | None = None,
) -> None:
    """Record checksums of files, in place of those of files that had their names before.

    Args:
        connection: in a transaction that writes.
        files: what was written.
        job_id: whose files they are, if a job's.
        dataset_id: the same of a data set.
    """
    for file in files:
        row = {"sha256": file.sha256, "bytes": file.bytes, "job_id": job_id, "dataset_id": dataset_id}
        change = upsert(connection, tables.files).values(name=file.name, **row)
        connection.execute(change.on_conflict_do_update(index_elements=["name"], set_=row))


def _read(
    connection: Connection, table: Table, kind: type[T], *conditions: ColumnElement[bool]
) -> list[tuple[str, T | None]]:
    """Return the rows of a table as records, with their primary keys for people; None for one that cannot be read."""
    record_type: type[Any] = kind
    query = select(*(table.c[field.name] for field in fields(record_type) if field.name in table.c)).where(
        *conditions
    )
    try:
        return [("", to_record(kind, row)) for row in connection.execute(query.order_by(*table.primary_key))]
    except UNREADABLE:
        # the statement does not go on after a row that fails: each is read by itself
        place = row_place(table)
        names = [written(column) for column in table.primary_key]
        found = connection.execute(
            select(place, *names).where(*conditions).order_by(*table.primary_key)
        ).all()
        return [
            (" ".join(map(str, key)), _one(connection, query.where(place == at), kind)) for at, *key in found
        ]


def _one(connection: Connection, query: Select[Any], kind: type[T]) -> T | None:
    try:
        return to_record(kind, connection.execute(query).one())
    except UNREADABLE:
        return None
