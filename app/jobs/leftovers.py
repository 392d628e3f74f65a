"""What processes that died have left behind, and nobody will ever read.

Files come before the rows that name them. So a file without a row may be one whose row is about to come: unless nobody
else is at work, only what is older than any request lasts is taken for left behind.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.errors import Damaged, NotFound
from app.files import paths
from app.files.artifacts import Artifacts
from app.files.locks import is_locked
from app.files.scratch import abandoned
from app.ids import MODEL, sibling
from app.jobs.kinds import DATASET_WRITERS
from app.jobs.uploads import uploads_of
from app.store import Store

ALONE = 0.0
"""The age from which on files count when no process serves yet."""
SAFE = 24 * 3600.0
"""The age from which on files count while others are at work, in seconds."""
HALF_WRITTEN = 60.0
"""The age from which on a file that somebody was still writing counts, in seconds: it is locked, and every block renews
it."""


def remove_leftovers(store: Store, artifacts: Artifacts, age: float) -> None:
    """Remove what `find_leftovers` finds, and what was never written to its end.

    Args:
        store: the rows.
        artifacts: the files.
        age: the least number of seconds since they were last written.
    """
    artifacts.clean(age=min(age, HALF_WRITTEN))
    for name in find_leftovers(store, artifacts, age):
        artifacts.delete(name)


def find_leftovers(store: Store, artifacts: Artifacts, age: float) -> Iterator[str]:
    """Return uploads, models, data sets, segments and directories of jobs without a row, and room that nobody works in.

    Args:
        store: the rows.
        artifacts: the files.
        age: the least number of seconds since they were last written.
    """
    yield from _find_datasets(store, artifacts, age)
    yield from _find_segments(store, artifacts, age)
    yield from _find_uploads(store, artifacts, age)
    yield from _find_models(store, artifacts, age)
    yield from _find_jobs(store, artifacts, age)
    yield from abandoned(artifacts.root)


def remove_uploads(store: Store, artifacts: Artifacts, age: float) -> None:
    """Remove uploads that no job will read, and those that broke off because their receiver died."""
    artifacts.clean(paths.UPLOADS, age=min(age, HALF_WRITTEN))
    for name in _find_uploads(store, artifacts, age):
        artifacts.delete(name)


def _find_uploads(store: Store, artifacts: Artifacts, age: float) -> Iterator[str]:
    names = _old(artifacts, paths.UPLOADS, age)
    wanted = {name for job in store.jobs.unfinished() for name in uploads_of(job.request)} if names else ()
    return (name for name in names if name not in wanted)


def _find_datasets(store: Store, artifacts: Artifacts, age: float) -> Iterator[str]:
    """Return the directories of data sets that are deleted or have failed."""
    for folder in artifacts.folders(paths.DATASETS):
        try:
            unwanted = store.datasets.get(folder.name.removeprefix(f"{paths.DATASETS}/")).status == "failed"
        except NotFound:
            unwanted = folder.is_older(age)
        except Damaged:
            # Until somebody deletes it: the row may be mended.
            unwanted = False
        if unwanted:
            yield folder.name


def _find_segments(store: Store, artifacts: Artifacts, age: float) -> Iterator[str]:
    """Return segments without a row: of attempts that died, or were over before they knew it."""
    found = [
        folder.name
        for folder in artifacts.folders(paths.DATASETS, levels=2)
        if folder.is_older(age) and folder.name.split("/")[2].startswith(paths.SEGMENT)
    ]
    # Who writes comes first, or one that ends meanwhile is neither.
    written = {job.dataset_id for job in store.jobs.unfinished(DATASET_WRITERS)}
    existing = store.datasets.identifiers() - written
    kept = {segment.path for segment in store.files.segments()}
    return (name for name in found if name.split("/")[1] in existing and name not in kept)


def _find_models(store: Store, artifacts: Artifacts, age: float) -> Iterator[str]:
    """Return files of models that no record names: their maker died in between, or who deleted them did."""
    names = _old(artifacts, paths.MODELS, age)
    # Those first that may come, or one that becomes a model meanwhile is neither. A worker that survived the last
    # server may be about to write the record.
    coming = {sibling(pulse.id, MODEL) for pulse in store.jobs.active()}
    existing = store.models.identifiers()
    named = {model.id: model.path for model in store.files.models()}
    for name in names:
        identifier = name.removeprefix(f"{paths.MODELS}/").partition(".")[0]
        # of a record that cannot be read all files stay
        kept = identifier in existing and named.get(identifier, name) == name
        if identifier not in coming and not kept:
            yield name


def _find_jobs(store: Store, artifacts: Artifacts, age: float) -> Iterator[str]:
    """Return the files of jobs that were deleted when nobody could, say because we were killed."""
    found = [folder.name for folder in artifacts.folders(paths.DIRECTORY) if folder.is_older(age)]
    existing = store.jobs.identifiers()
    for name in found:
        job_id = name.removeprefix(f"{paths.DIRECTORY}/")
        if job_id not in existing and not is_locked(artifacts.here(paths.lock(job_id))):
            yield name


def _old(artifacts: Artifacts, directory: str, age: float) -> list[str]:
    """Return the files in a directory that were written long enough ago."""
    return [file.name for file in artifacts.files(directory) if file.is_older(age)]
