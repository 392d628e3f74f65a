"""Jobs that have ended: which have, since when, and what is kept of them."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from app.errors import NotFound
from app.states import FINISHED
from app.store import events
from app.store.database import Database
from app.store.dialect import Order
from app.store.records import JobCheckpoint, JobEnd, Json, now
from app.store.rows import read_records
from app.store.tables import changes, job_events, jobs, seen_ends


class FinishedJobs:
    """The jobs in a final state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ended(self, after: int) -> tuple[tuple[JobEnd, ...], int]:
        """Return the jobs that have ended behind a position, in that order, and the position behind which to go on.

        Those that are built in are left out.
        """
        position = job_events.c.position
        of_job = (jobs.c[field.name] for field in fields(JobEnd) if field.name != position.name)
        query = select(*of_job, position).join(job_events, job_events.c.job_id == jobs.c.id)
        query = query.where(job_events.c.kind == events.END, position > after, jobs.c.builtin.is_(False))
        with self._database.read() as connection:
            found = read_records(connection, query.order_by(position), jobs.c.id, JobEnd)
            counter = select(changes.c.counter).where(changes.c.table_name == job_events.name)
            last = int(connection.scalars(counter).one())
        return tuple(job for _, job in found if job is not None), last

    def seen(self) -> int:
        """Return the position up to which ends have been seen, also by servers before this one."""
        with self._database.read() as connection:
            return connection.scalar(select(seen_ends.c.position)) or 0

    def note_seen(self, position: int) -> None:
        """Note that the ends up to a position have been seen."""
        with self._database.write(Order.ENDS) as connection:
            connection.execute(delete(seen_ends))
            connection.execute(insert(seen_ends).values(id=1, position=position))

    def expired(self, before: datetime) -> tuple[str, ...]:
        """Return the ids of the jobs that were finished before a time; those that are built in do not expire.

        Parts of jobs go with these.
        """
        columns = jobs.c
        query = select(columns.id).where(
            columns.status.in_(FINISHED),
            columns.finished_at < before,
            columns.builtin.is_(False),
            columns.part_of.is_(None),
        )
        with self._database.read() as connection:
            return tuple(connection.scalars(query.order_by(columns.finished_at)))

    def checkpoints(self, before: datetime | None = None) -> dict[str, Json | None]:
        """Return the last checkpoints of finished jobs, by job; those of their parts are in `JobParts.spent`.

        Args:
            before: only those that are kept since an earlier time than this, and still are.
        """
        columns = jobs.c
        query = select(columns.id, columns.checkpoint)
        query = query.where(columns.status.in_(FINISHED), columns.part_of.is_(None))
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
            row = connection.execute(query.with_for_update()).one_or_none()
            if row is None:
                raise NotFound.of("job", identifier)
            checkpoint: Json | None = row.checkpoint
            gone = None if checkpoint is None else checkpoint | {"deleted_at": events.time_text(now())}
            change = update(jobs).where(jobs.c.id == identifier)
            connection.execute(change.values(checkpoint=gone, checkpoint_kept_since=None))
            return gone
