"""Which of the received files belong to a job."""

from __future__ import annotations

from app.store.records import Json


def uploads_of(request: Json) -> set[str]:
    """Return the uploads that a job was asked to read, also from a request of an earlier version."""
    files: list[Json] = request.get("files") or []
    named = [request.get("upload"), request.get("labels"), *(file.get("upload") for file in files)]
    return {name for name in named if name is not None}
