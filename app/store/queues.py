"""Which jobs wait and which run: what shows how soon those that wait will start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, Select, func, select, tuple_, union_all

from app.states import ACTIVE, UNFINISHED, JobStatus
from app.store.database import Database
from app.store.records import JobPace, JobRecord, QueueState
from app.store.rows import read_records
from app.store.tables import jobs

_PAST = 50
_AHEAD = 200
"""Jobs of which it is foreseen when they start: with thousands that wait each list of them would read them all."""

Counts = Mapping[tuple[str, JobStatus], int]
"""How many jobs there are of each kind in each state that is not final."""


class Queues:
    """The queues of jobs, one for each kind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self) -> Counts:
        """Return how many jobs there are of each kind in each state that is not final."""
        with self._database.read() as connection:
            return read_counts(connection)

    def state(self, kind: str, shown: Sequence[JobRecord], new: JobRecord | None = None) -> QueueState:
        """Return the places of jobs of a kind, and what shows when they start: those before them, and what runs or ran.

        Of jobs far behind there is only the place. One that waits for its data set has none yet.

        Args:
            kind: the kind of job.
            shown: those of which the place is wanted, however far behind.
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
            line = columns.kind == kind, columns.status == JobStatus.QUEUED, columns.waits_for.is_(None)
            positions = _positions(connection, line, shown, None if new is None or new.waits_for else new)
            ahead = [position for position in positions.values() if position <= _AHEAD]
            if not ahead:
                return QueueState(further=positions)
            waiting = read(of_kind.where(*line).order_by(*oldest).limit(max(ahead)))
            if new is not None and len(waiting) < max(ahead):
                waiting += (JobPace(new.id, new.request, new.progress),)
            newest = columns.created_at.desc(), columns.id.desc()
            return QueueState(
                waiting,
                # state by state, so that an index leads to them: those that wait may be many
                tuple(job for status in ACTIVE for job in read(of_kind.where(columns.status == status))),
                read(of_kind.where(columns.id.in_(_started(kind))).order_by(*newest)),
                positions,
            )


def read_counts(connection: Connection) -> Counts:
    """Read how many jobs there are that have not ended."""
    columns = jobs.c
    query = select(columns.kind, columns.status, func.count()).where(columns.status.in_(UNFINISHED))
    rows = connection.execute(query.group_by(columns.kind, columns.status))
    return {(kind, status): count for kind, status, count in rows}


def _started(kind: str) -> Select[tuple[str]]:
    """Select the ids of the last jobs that have started, and do not wait again."""
    columns = jobs.c
    newest = columns.created_at.desc(), columns.id.desc()
    of_one = [
        select(columns.created_at, columns.id)
        .where(columns.kind == kind, columns.status == status, columns.started_at.is_not(None))
        .order_by(*newest)
        .limit(_PAST)
        .subquery()
        for status in JobStatus
        if status is not JobStatus.QUEUED
    ]
    of_all = union_all(*map(select, of_one)).subquery()
    return select(of_all.c.id).order_by(of_all.c.created_at.desc(), of_all.c.id.desc()).limit(_PAST)


def _positions(
    connection: Connection,
    line: Sequence[ColumnElement[bool]],
    shown: Sequence[JobRecord],
    new: JobRecord | None,
) -> dict[str, int]:
    """Return the places in a long line, from 1, of those that are shown in it, and of one behind all."""
    columns = jobs.c
    place = tuple_(columns.created_at, columns.id)
    found: dict[str, int] = {}
    keys = [(job.created_at, job.id) for job in shown if job.status is JobStatus.QUEUED and not job.waits_for]
    if keys:
        # what is shown together mostly waits together: the first one is counted to, the others are read
        types = [columns.created_at.type, columns.id.type]
        first, last = tuple_(*min(keys), types=types), tuple_(*max(keys), types=types)
        before = connection.scalar(select(func.count()).where(*line, place < first)) or 0
        between = select(columns.id).where(*line, place >= first, place <= last)
        names = connection.scalars(between.order_by(columns.created_at, columns.id))
        wanted = {job.id for job in shown}
        found = {name: position for position, name in enumerate(names, before + 1) if name in wanted}
    if new is not None:
        found[new.id] = (connection.scalar(select(func.count()).where(*line)) or 0) + 1
    return found
