"""From one state of a job to the next, with all that is written in the same moment.

None of it reads what the job is to do: one whose record is damaged can still be ended.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from app.errors import Conflict, NotFound, StaleAttempt
from app.states import ACTIVE, JobStatus, can_move
from app.store import deliveries, events
from app.store.datasets import give_up
from app.store.records import STORAGE, JobState, Json, now
from app.store.rows import read_leniently
from app.store.tables import jobs


def read_state(connection: Connection, identifier: str) -> JobState:
    """Return where a job is.

    Raises:
        NotFound: there is no job of this id.
    """
    query = select(*(jobs.c[field.name] for field in fields(JobState))).where(jobs.c.id == identifier)
    state = read_leniently(connection, query, JobState)
    if state is None:
        raise NotFound.of("job", identifier)
    return state


def fenced(connection: Connection, identifier: str, attempt: int, *allowed: JobStatus) -> JobState:
    """Return where a job is for a write of an attempt, as it stays until the transaction ends.

    Raises:
        StaleAttempt: the attempt is over, or the job is in none of the states that are allowed: by default those in
            which a worker has it.
    """
    columns = jobs.c
    query = select(columns.id).where(
        columns.id == identifier, columns.attempt == attempt, columns.status.in_(allowed or ACTIVE)
    )
    if connection.scalar(query.with_for_update()) is None:
        raise StaleAttempt(identifier, attempt)
    return read_state(connection, identifier)


def move(connection: Connection, job: JobState, target: JobStatus, **changes: Any) -> JobState:
    """Move a job, with other changes of its row, and return where it is now.

    Raises:
        Conflict: there is no way from its state to the other.
    """
    if job.status is None or not can_move(job.status, target):
        raise Conflict(f"job {job.id!r} cannot go from {job.status} to {target}")
    write(connection, job.id, status=target, **changes)
    moved = read_state(connection, job.id)
    if moved.part_of is None:
        events.add_status(connection, moved)
    return moved


def end(
    connection: Connection, job: JobState, target: JobStatus, error: Json | None = None, **changes: Any
) -> None:
    """Move a job to a final state, and announce that; a data set that was being made by the job fails with it.

    Those of its parts that have not ended are cancelled.

    Raises:
        Conflict: there is no way from its state to the other.
    """
    at = now()
    if job.checkpoint is not None and "name" in job.checkpoint:
        changes["checkpoint_kept_since"] = at
    deliveries.announce(connection, move(connection, job, target, error=error, finished_at=at, **changes))
    # One that waits for a data set does not make it.
    if job.dataset_id and job.waits_for is None and target is not JobStatus.SUCCEEDED:
        cancelled = {"code": "cancelled", "message": "the upload was cancelled"}
        give_up(connection, job.dataset_id, error or cancelled)
    if job.part_of is None:
        _end_parts(connection, job.id, at)


def _end_parts(connection: Connection, identifier: str, at: datetime) -> None:
    """Cancel the parts of a job, all at once: there may be a thousand, which have neither events nor callers.

    Those that wait come first: one that is claimed in between is among those that a worker has.
    """
    for status, values in (
        (JobStatus.QUEUED, {"status": JobStatus.CANCELLED, "finished_at": at}),
        (JobStatus.RUNNING, {"status": JobStatus.CANCELLING}),
    ):
        of_job = jobs.c.part_of == identifier, jobs.c.status == status
        connection.execute(update(jobs).where(*of_job).values(**values))


def cancel(connection: Connection, job: JobState) -> None:
    """Cancel a job that waits; ask for the end of one that a worker has, if nobody has asked before."""
    if job.status is JobStatus.QUEUED:
        end(connection, job, JobStatus.CANCELLED)
    elif job.status is JobStatus.RUNNING:
        move(connection, job, JobStatus.CANCELLING)


def put_back(connection: Connection, job: JobState, storage: str | None) -> JobStatus:
    """Put a job back that a worker has, at no cost, and return where it is now; see `Jobs.requeue`."""
    if job.status is JobStatus.CANCELLING:
        end(connection, job, JobStatus.CANCELLED)
        return JobStatus.CANCELLED
    changes: Json = {"attempt": jobs.c.attempt - 1}
    if storage is not None:
        progress = connection.scalar(select(jobs.c.progress).where(jobs.c.id == job.id))
        changes["progress"] = (progress or {}) | {STORAGE: storage}
    move(connection, job, JobStatus.QUEUED, **changes)
    return JobStatus.QUEUED


def fail_invalid(connection: Connection, job: JobState, message: str) -> None:
    """End a job that waits and that no worker could do."""
    end(connection, job, JobStatus.FAILED, {"code": "invalid", "message": message})


def write(connection: Connection, identifier: str, **changes: Any) -> None:
    """Change columns of a job."""
    connection.execute(update(jobs).where(jobs.c.id == identifier).values(**changes))
