"""What happened to jobs, written in the transaction in which it happens, so that nobody misses anything."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, func, insert, select

from app.store.records import EventRecord, JobState, Json, now
from app.store.rows import read_records
from app.store.tables import job_events

STATUS = "status"
EPOCH = "epoch"
END = "end"
MOST = 500
"""Events that one read gives."""


def add(connection: Connection, job_id: str, kind: str, data: Json) -> None:
    """Write the next event of a job."""
    columns = job_events.c
    last = connection.scalar(select(func.max(columns.number)).where(columns.job_id == job_id)) or 0
    connection.execute(insert(job_events).values(job_id=job_id, number=last + 1, kind=kind, data=data))


def add_status(connection: Connection, job: JobState) -> None:
    """Write that a job has come into the state that its row has, and if that is final, its end."""
    at = time_text(job.finished_at or now())
    add(connection, job.id, STATUS, {"status": str(job.status), "attempt": job.attempt, "at": at})
    if job.status is not None and job.status.finished:
        end = {"status": str(job.status), "model_id": job.model_id, "error": job.error, "at": at}
        add(connection, job.id, END, end)


def read(connection: Connection, job_id: str, after: int) -> tuple[EventRecord, ...]:
    """Return the events of a job that follow the number `after`, the first ones if there are many."""
    columns = job_events.c
    query = select(columns.number, columns.kind, columns.data)
    query = query.where(columns.job_id == job_id, columns.number > after).order_by(columns.number)
    found = read_records(connection, query.limit(MOST), columns.number, EventRecord)
    return tuple(record for _, record in found if record is not None)


def time_text(at: datetime) -> str:
    """Return a time as clients receive it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
