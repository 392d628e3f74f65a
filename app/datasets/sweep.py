"""Removes files that no row refers to any more: what remains when a process dies at the wrong moment."""

from __future__ import annotations

from itertools import product

from app.datasets import storage
from app.datasets.ingestion import UPLOADS, uploads_of
from app.errors import NotFound
from app.files.artifacts import Artifacts
from app.states import UNFINISHED
from app.store import Store
from app.store.records import BATCH_PREDICTION, INGESTION

_PAGE = 200


def sweep(store: Store, artifacts: Artifacts) -> None:
    """Remove the files of data sets that are deleted or have failed, and uploads that no job will read.

    To be called before the first request is answered: an upload has no job for a moment.
    """
    artifacts.clean(UPLOADS, age=0)  # nobody but the server that is starting receives uploads
    wanted = _wanted_uploads(store)
    for name in artifacts.names(UPLOADS):
        if name not in wanted:
            artifacts.delete(name)
    folder = artifacts.local_path(storage.DIRECTORY)
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            keep = store.datasets.get(path.name).status != "failed"
        except NotFound:
            keep = False
        if not keep:
            artifacts.delete(storage.directory(path.name))


def _wanted_uploads(store: Store) -> set[str]:
    uploads: set[str] = set()
    for kind, status in product((INGESTION, BATCH_PREDICTION), UNFINISHED):
        after = None
        while True:
            page = store.jobs.page(_PAGE, after, kind=kind, status=status)
            uploads = uploads.union(*(uploads_of(job.request) for job in page.data))
            after = page.next
            if after is None:
                break
    return uploads
