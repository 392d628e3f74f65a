"""Which jobs wait and which run: what shows how soon those that wait will start."""

from __future__ import annotations

from sqlalchemy import Select, func, select

from app.states import ACTIVE, UNFINISHED, JobStatus
from app.store.database import Database
from app.store.records import JobPace, JobRecord, QueueState
from app.store.rows import read_records
from app.store.tables import jobs

_PAST = 50


class Queues:
    """The queues of jobs, one for each kind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self) -> dict[tuple[str, JobStatus], int]:
        """Return how many jobs there are of each kind in each state that is not final."""
        columns = jobs.c
        query = select(columns.kind, columns.status, func.count()).where(columns.status.in_(UNFINISHED))
        with self._database.read() as connection:
            rows = connection.execute(query.group_by(columns.kind, columns.status))
            return {(kind, status): count for kind, status, count in rows}

    def state(self, kind: str, new: JobRecord | None = None) -> QueueState:
        """Return the jobs of a kind that wait for a worker, those that run, and the last ones that have started.

        One that waits for its data set has no place in the queue yet.

        Args:
            kind: the kind of job.
            new: one that is about to be stored, and will wait behind the others.
        """
        columns = jobs.c
        oldest = columns.created_at, columns.id
        with self._database.read() as connection:

            def read(query: Select[tuple[object, ...]]) -> tuple[JobPace, ...]:
                found = read_records(connection, query, columns.id, JobPace)
                return tuple(job for _, job in found if job is not None)

            of_kind = select(columns.id, columns.request, columns.progress, columns.metrics).where(
                columns.kind == kind
            )
            behind = () if new is None or new.waits_for else (JobPace(new.id, new.request, new.progress),)
            queued = columns.status == JobStatus.QUEUED, columns.waits_for.is_(None)
            waiting = read(of_kind.where(*queued).order_by(*oldest)) + behind
            if not waiting:
                return QueueState()
            newest = columns.created_at.desc(), columns.id.desc()
            return QueueState(
                waiting,
                read(of_kind.where(columns.status.in_(ACTIVE)).order_by(*oldest)),
                read(of_kind.where(columns.started_at.is_not(None)).order_by(*newest).limit(_PAST)),
            )
