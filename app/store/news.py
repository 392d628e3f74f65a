"""What happens to all jobs, read in the order in which it happened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from app.states import ACTIVE
from app.store.database import Database
from app.store.events import STATUS
from app.store.queues import Counts, read_counts
from app.store.records import JobRecord, Json
from app.store.rows import read_records
from app.store.tables import changes, job_events, jobs

MOST = 500
"""Events that one read gives."""

_JOB_ID = jobs.c.id.label("job_id")
_JOB = (_JOB_ID, jobs.c.kind.label("job_kind"), jobs.c.dataset_id)


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job.

    Attributes:
        position: its place among the events of all jobs, greater than that of all before it.
        job_id: the job.
        job_kind: its kind.
        dataset_id: the data set that the job reads, makes or adds to.
        number: 1, 2, ... in the order in which it happened to this job.
        kind: `status`, `epoch`, or at last `end`.
        data: what clients receive.
    """

    position: int
    job_id: str
    job_kind: str
    dataset_id: str | None
    number: int
    kind: str
    data: Json


@dataclass(frozen=True, slots=True)
class JobEvents:
    """Events of jobs, in order; those that cannot be read are left out.

    Attributes:
        events: not more than one read gives.
        last: the position behind which to go on.
        more: whether there may be more.
    """

    events: tuple[JobEvent, ...]
    last: int
    more: bool


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is that a worker has."""

    job_id: str
    job_kind: str
    dataset_id: str | None
    progress: Json


@dataclass(frozen=True, slots=True)
class JobNews:
    """What is new about all jobs, and where they are, at one moment.

    Attributes:
        counter: of the events, as `app.store.changes` counts: no event until now has a greater position.
        events: those that were not seen.
        progress: how far those are that workers have.
        gone: of the jobs that were asked for, those that there are not.
        moved: the jobs that have come into another state, by their ids; None where one cannot be read.
        deleted: whether there are jobs no more, or may be.
        counts: how many have not ended; None where that cannot be other than before.
    """

    counter: int
    events: JobEvents
    progress: tuple[JobProgress, ...]
    gone: frozenset[str]
    moved: Mapping[str, JobRecord | None]
    deleted: bool
    counts: Counts | None


class News:
    """The events of all jobs; those of a job go with it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counter(self) -> int:
        """Return what no event until now has a greater position than, and every later one has."""
        with self._database.read() as connection:
            return _counter(connection)

    def position(self, job_id: str, number: int) -> int:
        """Return the position of an event of a job, or of the last one before it; 0 where there is none."""
        columns = job_events.c
        query = select(func.max(columns.position)).where(columns.job_id == job_id, columns.number <= number)
        with self._database.read() as connection:
            return connection.scalar(query) or 0

    def events(
        self,
        after: int,
        until: int | None = None,
        *,
        job_ids: Collection[str] | None = None,
        kinds: Collection[str] | None = None,
        limit: int = MOST,
    ) -> JobEvents:
        """Return the events behind a position, the first ones if there are many.

        Args:
            after: the position.
            until: the last one that is wanted.
            job_ids: only those of these jobs.
            kinds: only those of jobs of these kinds.
            limit: at most so many.
        """
        with self._database.read() as connection:
            return _events(connection, after, until, job_ids, kinds, limit)

    def look(self, after: int, job_ids: Collection[str]) -> JobNews:
        """Return what is new behind a position, and which of some jobs there are not, all of one moment."""
        running = select(*_JOB, jobs.c.progress).where(jobs.c.status.in_(ACTIVE), jobs.c.part_of.is_(None))
        running = running.order_by(jobs.c.id)
        with self._database.read() as connection:
            found = frozenset(connection.scalars(select(jobs.c.id).where(jobs.c.id.in_(job_ids))))
            progress = read_records(connection, running, _JOB_ID, JobProgress)
            counter = _counter(connection)
            events = _events(connection, after, None, None, None, MOST)
            moved = {event.job_id for event in events.events if event.kind == STATUS}
            records = select(jobs).where(jobs.c.id.in_(moved))
            # what is counted and is no event has been deleted, and jobs with it
            deleted = not events.more and counter - after > len(events.events)
            return JobNews(
                counter,
                events,
                tuple(record for _, record in progress if record is not None),
                frozenset(job_ids) - found,
                dict(read_records(connection, records, jobs.c.id, JobRecord)) if moved else {},
                deleted,
                read_counts(connection) if moved or deleted else None,
            )

    def missing(self, job_ids: Collection[str]) -> frozenset[str]:
        """Return those of some ids that no job has."""
        with self._database.read() as connection:
            found = connection.scalars(select(jobs.c.id).where(jobs.c.id.in_(job_ids)))
            return frozenset(job_ids) - frozenset(found)


def _counter(connection: Connection) -> int:
    query = select(changes.c.counter).where(changes.c.table_name == job_events.name)
    return int(connection.execute(query).scalar_one())


def _events(
    connection: Connection,
    after: int,
    until: int | None,
    job_ids: Collection[str] | None,
    kinds: Collection[str] | None,
    limit: int,
) -> JobEvents:
    columns = job_events.c
    query = select(columns.position, *_JOB, columns.number, columns.kind, columns.data)
    query = query.join(jobs, jobs.c.id == columns.job_id).where(columns.position > after)
    if until is not None:
        query = query.where(columns.position <= until)
    if job_ids is not None:
        query = query.where(columns.job_id.in_(job_ids))
    if kinds is not None:
        query = query.where(jobs.c.kind.in_(kinds))
    found = read_records(
        connection, query.order_by(columns.position).limit(limit), columns.position, JobEvent
    )
    last = int(found[-1][0]) if found else after
    return JobEvents(tuple(event for _, event in found if event is not None), last, len(found) == limit)
