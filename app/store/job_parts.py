"""Parts of jobs: rows of their own in the same queue, which end with the job that they are parts of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import insert, or_, select, update

from app.errors import Damaged
from app.states import FINISHED, JobStatus
from app.store import job_moves
from app.store.database import Database
from app.store.dialect import Order
from app.store.records import JobRecord, Json
from app.store.repository import values
from app.store.rows import read_records
from app.store.tables import jobs


@dataclass(frozen=True, slots=True)
class PartState:
    """How far a part of a job is; the fields are those of its record."""

    id: str
    status: JobStatus
    attempt: int
    progress: Json
    checkpoint: Json | None
    error: Json | None


class JobParts:
    """The jobs that are parts of others."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, identifier: str, attempt: int, parts: Sequence[JobRecord]) -> None:
        """Store the parts of a job; nothing where an earlier attempt has done so.

        Args:
            identifier: the job.
            attempt: the attempt that divides it.
            parts: all of its parts.

        Raises:
            StaleAttempt: the attempt is over.
        """
        with self._database.write(Order.EVENTS) as connection:
            job_moves.fenced(connection, identifier, attempt)
            if connection.scalar(select(jobs.c.id).where(jobs.c.part_of == identifier).limit(1)) is None:
                connection.execute(insert(jobs), [values(part) for part in parts])

    def of(self, identifier: str) -> tuple[PartState, ...]:
        """Return how far the parts of a job are, in the order of their ids.

        Raises:
            Damaged: one cannot be read.
        """
        query = select(*(jobs.c[field.name] for field in fields(PartState)))
        query = query.where(jobs.c.part_of == identifier)
        with self._database.read() as connection:
            found = read_records(connection, query.order_by(jobs.c.id), jobs.c.id, PartState)
        parts = tuple(part for _, part in found if part is not None)
        if len(parts) < len(found):
            raise Damaged.of("job", identifier, "a part of it cannot be read")
        return parts

    def identifiers(self, identifier: str) -> tuple[str, ...]:
        """Return the ids of the parts of a job, in order."""
        query = select(jobs.c.id).where(jobs.c.part_of == identifier).order_by(jobs.c.id)
        with self._database.read() as connection:
            return tuple(connection.scalars(query))

    def troubled(self, identifier: str, most: int) -> tuple[str, ...]:
        """Return the ids of parts of a job that have failed, or were tried again, in order; so many at most."""
        trouble = or_(jobs.c.status == JobStatus.FAILED, jobs.c.attempt > 1)
        query = select(jobs.c.id).where(jobs.c.part_of == identifier, trouble)
        with self._database.read() as connection:
            return tuple(connection.scalars(query.order_by(jobs.c.id).limit(most)))

    def spent(self) -> tuple[str, ...]:
        """Return the ids of parts that have something left of what they found, and whose jobs need it no more."""
        whole = jobs.alias()
        query = select(jobs.c.id).join(whole, whole.c.id == jobs.c.part_of)
        query = query.where(
            jobs.c.part_of.is_not(None),
            jobs.c.checkpoint.is_not(None),
            jobs.c.status.in_(FINISHED),
            whole.c.status.in_(FINISHED),
        )
        with self._database.read() as connection:
            return tuple(connection.scalars(query.order_by(jobs.c.id)))

    def forget(self, identifier: str) -> None:
        """Note that nothing is left of what a finished part found; the files are the caller's business."""
        of_part = jobs.c.id == identifier, jobs.c.part_of.is_not(None), jobs.c.status.in_(FINISHED)
        with self._database.write() as connection:
            connection.execute(update(jobs).where(*of_part).values(checkpoint=None))
