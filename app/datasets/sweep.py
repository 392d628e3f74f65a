"""Removes the files of data sets that no row refers to: what remains when a process dies at the wrong moment."""

from __future__ import annotations

from app.errors import Damaged, NotFound
from app.files import paths
from app.files.artifacts import Artifacts
from app.store import Store


def sweep(store: Store, artifacts: Artifacts) -> None:
    """Remove the files of data sets that are deleted or have failed."""
    folder = artifacts.local_path(paths.DATASETS)
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            keep = store.datasets.get(path.name).status != "failed"
        except NotFound:
            keep = False
        except Damaged:
            # Until somebody deletes it: the row may be mended.
            keep = True
        if not keep:
            artifacts.delete(paths.dataset(path.name))
