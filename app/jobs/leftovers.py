"""What processes that died have left behind, and nobody will ever read.

Files come before the rows that name them. So a file without a row may be one whose row is about to come: unless nobody
else is at work, only what is older than any request lasts is taken for left behind.
"""

from __future__ import annotations

import time

from app.datasets.sweep import sweep
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.files.locks import is_locked
from app.ids import MODEL, sibling
from app.jobs.uploads import uploads_of
from app.store import Store

ALONE = 0.0
"""The age from which on files count when no process serves yet."""
SAFE = 24 * 3600.0
"""The age from which on files count while others are at work, in seconds."""
HALF_WRITTEN = 60.0
"""The age from which on a file that somebody was still writing counts, in seconds: every block renews it."""


def remove_leftovers(store: Store, artifacts: LocalArtifacts, age: float) -> None:
    """Remove uploads, models, data sets and files of jobs that have no row, and what was never written to its end.

    Args:
        store: the rows.
        artifacts: the files.
        age: the least number of seconds since they were last written.
    """
    artifacts.clean()
    sweep(store, artifacts)
    remove_uploads(store, artifacts, age)
    _remove_models(store, artifacts, age)
    _remove_jobs(store, artifacts, age)


def remove_uploads(store: Store, artifacts: LocalArtifacts, age: float) -> None:
    """Remove uploads that no job will read, and those that broke off because their receiver died."""
    artifacts.clean(paths.UPLOADS, age=min(age, HALF_WRITTEN))
    names = _old(artifacts, paths.UPLOADS, age)
    wanted = {name for job in store.jobs.unfinished() for name in uploads_of(job.request)} if names else ()
    for name in names:
        if name not in wanted:
            artifacts.delete(name)


def _remove_models(store: Store, artifacts: LocalArtifacts, age: float) -> None:
    """Remove models that have a file and no record: their maker died in between, or who deleted them did."""
    names = _old(artifacts, paths.MODELS, age)
    # Those first that may come, or one that becomes a model meanwhile is neither. A worker that survived the last
    # server may be about to write the record.
    coming = {sibling(pulse.id, MODEL) for pulse in store.jobs.active()}
    wanted = coming | store.models.identifiers()
    for name in names:
        if name.removeprefix(f"{paths.MODELS}/").partition(".")[0] not in wanted:
            artifacts.delete(name)


def _remove_jobs(store: Store, artifacts: LocalArtifacts, age: float) -> None:
    """Remove the files of jobs that were deleted when nobody could, say because we were killed."""
    root = artifacts.local_path(paths.DIRECTORY)
    latest = time.time() - age
    found = [path for path in root.iterdir() if path.stat().st_mtime <= latest] if root.is_dir() else []
    existing = store.jobs.identifiers()
    for directory in found:
        if directory.name not in existing and not is_locked(directory / "lock"):
            artifacts.delete(paths.directory(directory.name))


def _old(artifacts: LocalArtifacts, directory: str, age: float) -> list[str]:
    """Return the files in a directory that were written long enough ago."""
    latest = time.time() - age
    found = []
    for name in artifacts.names(directory):
        try:
            if artifacts.local_path(name).stat().st_mtime <= latest:
                found.append(name)
        except FileNotFoundError:
            continue
    return found
