"""Jobs that wait for a data set that is being filled, and what is decided when that has ended."""

from __future__ import annotations

from sqlalchemy import or_, select, update

from app.errors import Conflict
from app.states import JobStatus
from app.store import job_moves
from app.store.database import Database
from app.store.dialect import Order
from app.store.records import JobRecord, Json
from app.store.tables import datasets, jobs


class WaitingJobs:
    """The jobs that are queued and of which it is not decided what they do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self) -> tuple[str, ...]:
        """Return the ids of those whose data set is being filled no more, the oldest first."""
        columns = jobs.c
        filled = or_(datasets.c.status.is_(None), datasets.c.status != "ingesting")
        query = select(columns.id).outerjoin(datasets, datasets.c.id == columns.waits_for)
        query = query.where(columns.status == JobStatus.QUEUED, columns.waits_for.is_not(None), filled)
        with self._database.read() as connection:
            return tuple(connection.scalars(query.order_by(columns.created_at, columns.id)))

    def decide(self, job: JobRecord) -> None:
        """Write what a job does: from now on it waits for a worker and for nothing else.

        Args:
            job: the job; what counts are its request, progress and memory.

        Raises:
            Conflict: it does not wait any more.
        """
        columns = jobs.c
        change = update(jobs).where(
            columns.id == job.id, columns.status == JobStatus.QUEUED, columns.waits_for.is_not(None)
        )
        change = change.values(
            request=job.request, progress=job.progress, memory_bytes=job.memory_bytes, waits_for=None
        )
        with self._database.write(Order.EVENTS) as connection:
            if connection.execute(change).rowcount != 1:
                raise Conflict(f"job {job.id!r} does not wait any more")

    def refuse(self, identifier: str, error: Json) -> None:
        """Fail a job that cannot be done with its data set; nothing happens to one that does not wait any more.

        Args:
            identifier: the job.
            error: `{"code", "message"}`.
        """
        columns = jobs.c
        waits = columns.status == JobStatus.QUEUED, columns.waits_for.is_not(None)
        with self._database.write(Order.EVENTS) as connection:
            if connection.scalar(select(columns.id).where(columns.id == identifier, *waits)) is not None:
                state = job_moves.read_state(connection, identifier)
                job_moves.end(connection, state, JobStatus.FAILED, error)
