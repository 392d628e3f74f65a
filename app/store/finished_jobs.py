"""Jobs that have ended: which have, since when, and what is kept of them."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

from sqlalchemy import select, update

from app.errors import NotFound
from app.states import FINISHED
from app.store import events
from app.store.database import Database
from app.store.records import JobCheckpoint, JobEnd, Json, now
from app.store.rows import read_records
from app.store.tables import jobs


class FinishedJobs:
    """The jobs in a final state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ended(self, since: datetime) -> tuple[JobEnd, ...]:
        """Return the jobs that have ended at or after a time, in the order in which they did."""
        columns = jobs.c
        query = select(*(columns[field.name] for field in fields(JobEnd)))
        query = query.where(columns.finished_at >= since, columns.status.in_(FINISHED))
        with self._database.read() as connection:
            query = query.order_by(columns.finished_at, columns.id)
            found = read_records(connection, query, columns.id, JobEnd)
        return tuple(job for _, job in found if job is not None)

    def expired(self, before: datetime) -> tuple[str, ...]:
        """Return the ids of the jobs that were finished before a time; those that are built in do not expire."""
        columns = jobs.c
        query = select(columns.id).where(
            columns.status.in_(FINISHED), columns.finished_at < before, columns.builtin.is_(False)
        )
        with self._database.read() as connection:
            return tuple(connection.scalars(query.order_by(columns.finished_at)))

    def checkpoints(self, before: datetime | None = None) -> dict[str, Json | None]:
        """Return the last checkpoints of finished jobs, by job.

        Args:
            before: only those that are kept since an earlier time than this, and still are.
        """
        columns = jobs.c
        query = select(columns.id, columns.checkpoint).where(columns.status.in_(FINISHED))
        if before is not None:
            query = query.where(columns.checkpoint_kept_since < before)
        with self._database.read() as connection:
            found = read_records(connection, query, columns.id, JobCheckpoint)
        return {job.id: job.checkpoint for _, job in found if job is not None}

    def expire_checkpoint(self, identifier: str) -> Json | None:
        """Note that the last checkpoint of a job is deleted, and return that note; the file is the caller's business.

        Raises:
            NotFound: there is no job of this id.
        """
        with self._database.write() as connection:
            query = select(jobs.c.id, jobs.c.checkpoint).where(jobs.c.id == identifier)
            row = connection.execute(query).one_or_none()
            if row is None:
                raise NotFound.of("job", identifier)
            checkpoint: Json | None = row.checkpoint
            gone = None if checkpoint is None else checkpoint | {"deleted_at": events.time_text(now())}
            change = update(jobs).where(jobs.c.id == identifier)
            connection.execute(change.values(checkpoint=gone, checkpoint_kept_since=None))
            return gone
