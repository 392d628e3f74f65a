"""What happened to jobs, written in the transaction in which it happens, so that nobody misses anything."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, func, insert, select

from app.store.records import JobRecord, JobState, Json, now
from app.store.tables import changes, job_events

STATUS = "status"
EPOCH = "epoch"
END = "end"


def add(connection: Connection, job_id: str, kind: str, data: Json) -> None:
    """Write the next event of a job, behind those of all jobs.

    Its position is what the counter of this table will be: that never goes back, also where the last event is deleted.
    """
    columns = job_events.c
    last = connection.scalar(select(func.max(columns.number)).where(columns.job_id == job_id)) or 0
    position = select(changes.c.counter + 1).where(changes.c.table_name == job_events.name).scalar_subquery()
    row = {"job_id": job_id, "number": last + 1, "kind": kind, "data": data, "position": position}
    connection.execute(insert(job_events).values(**row))


def add_status(connection: Connection, job: JobState | JobRecord) -> None:
    """Write that a job has come into the state that its row has, and if that is final, its end."""
    at = time_text(job.finished_at or now())
    add(connection, job.id, STATUS, {"status": str(job.status), "attempt": job.attempt, "at": at})
    if job.status is not None and job.status.finished:
        end = {"status": str(job.status), "model_id": job.model_id, "error": job.error, "at": at}
        add(connection, job.id, END, end)


def time_text(at: datetime) -> str:
    """Return a time as clients receive it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
