"""Files that nobody needs: without a row, half written, or left by a job that has ended."""

from __future__ import annotations

from collections.abc import Iterator

from app.care.holdings import Holdings, Listing
from app.files import paths
from app.files.artifacts import Artifacts, Stored
from app.files.features import find_unowned
from app.files.locks import is_locked
from app.jobs.leftovers import find_leftovers
from app.store import Store


def find_debris(
    store: Store, artifacts: Artifacts, held: Holdings, there: Listing, age: float
) -> Iterator[str]:
    """Return the names of files and directories that can be removed, relative to the data directory.

    Args:
        store: the rows.
        artifacts: the files.
        held: what has to be there.
        there: what is.
        age: the least number of seconds since they were last written; files come before their rows.
    """
    for path in artifacts.half_written(age=age):
        yield path.relative_to(artifacts.root).as_posix()
    yield from find_leftovers(store, artifacts, age)
    restoring = artifacts.here(paths.RESTORING)
    if restoring.exists() and not is_locked(restoring / "lock"):
        yield paths.RESTORING
    yield from find_unowned(artifacts, store.models.identifiers() | store.datasets.identifiers())
    for found in _of_jobs(store, artifacts, held, there):
        if found.is_older(age):
            yield found.name


def _of_jobs(store: Store, artifacts: Artifacts, held: Holdings, there: Listing) -> Iterator[Stored]:
    """Return what jobs that have ended do not need: checkpoints but the last, what they began with, parts of tables."""
    for job in store.files.jobs():
        lock = paths.lock(job.id)
        if job.status is not None and job.status.finished and not is_locked(artifacts.here(lock)):
            for file in there.files(paths.directory(job.id)):
                if file.name not in held.files and file.name != lock:
                    yield file
