"""How a job is deleted: its row, its files, and both of its parts."""

from __future__ import annotations

from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs.uploads import remove_uploads
from app.store import Store


def delete_job(job_id: str, store: Store, artifacts: Artifacts) -> None:
    """Delete a job that no worker has, with all that is its own; a model that it made stays.

    Raises:
        NotFound: there is no job of this id.
        Conflict: it is built in or running.
    """
    parts = store.job_parts.identifiers(job_id)
    remove_uploads(store.jobs.delete(job_id), artifacts)
    for name in (job_id, *parts):
        artifacts.delete(paths.directory(name))
