"""Which of the received files belong to a job."""

from __future__ import annotations

from app.files.artifacts import Artifacts
from app.store.records import JobRecord, Json


def uploads_of(request: Json) -> set[str]:
    """Return the uploads that a job was asked to read, also from a request of an earlier version."""
    files: list[Json] = request.get("files") or []
    named = [request.get("upload"), request.get("labels"), *(file.get("upload") for file in files)]
    return {name for name in named if name is not None}


def remove_uploads(job: JobRecord, artifacts: Artifacts) -> None:
    """Remove the files that a job has read, or will never read, and nobody else will."""
    for upload in uploads_of(job.request):
        artifacts.delete(upload)
