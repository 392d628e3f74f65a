"""What the bodies of jobs of all kinds share."""

from __future__ import annotations

from typing import Any

from app.api.common import Body, Time
from app.api.training_jobs import JobError
from app.states import JobStatus
from app.store.records import JobRecord


class JobBody(Body):
    """A job, and what became of it."""

    id: str
    status: JobStatus
    attempt: int
    """How often it was started; more than once when its process died."""
    error: JobError | None
    """Why it has failed."""
    created_at: Time
    started_at: Time | None
    finished_at: Time | None


def shared(record: JobRecord) -> dict[str, Any]:
    """Return the fields of `JobBody`."""
    names = ("id", "status", "attempt", "created_at", "started_at", "finished_at")
    shown = {name: getattr(record, name) for name in names}
    return shown | {"error": JobError(**record.error) if record.error else None}
