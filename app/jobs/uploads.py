"""Which of the received files belong to a job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.files import paths
from app.files.artifacts import Artifacts
from app.files.unnamed import unless_named
from app.store.records import Json


def uploads_of(request: Json) -> set[str]:
    """Return the uploads that a job was asked to read, also from a request of an earlier version.

    What is no name of an upload, in a record that was damaged, names none.
    """
    files = request.get("files")
    entries = (
        [file.get("upload") for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    )
    named = [request.get("upload"), request.get("labels"), *entries]
    return {name for name in named if isinstance(name, str) and name.startswith(f"{paths.UPLOADS}/")}


@contextmanager
def passed_on(request: Json, artifacts: Artifacts) -> Iterator[None]:
    """Put the files that a job of this request will read where its worker finds them, on whichever machine it runs.

    Within, the row of the job is written; where there is none in the end, the files are removed.
    """
    with unless_named(lambda: remove_uploads(request, artifacts)):
        for upload in uploads_of(request):
            artifacts.take_in(upload)
        yield


def remove_uploads(request: Json, artifacts: Artifacts) -> None:
    """Remove the files that a job of this request has read, or will never read, and nobody else will."""
    for upload in uploads_of(request):
        artifacts.delete(upload)
