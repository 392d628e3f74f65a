"""Files with what a frozen trunk makes of the pictures of a data set, which jobs keep for those after them.

Their names say what they belong to; there is nothing in them that could not be computed again.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress

from app.files.artifacts import LocalArtifacts
from app.files.paths import FEATURES


def feature_file(model_id: str, dataset_id: str, key: str, part: int) -> str:
    """Return the name of a file.

    Args:
        model_id: whose trunk it is.
        dataset_id: whose pictures they are.
        key: of everything that decides what is in it.
        part: which of the files with this key, from 0.
    """
    return f"{FEATURES}/{model_id}.{dataset_id}.{key}.{part}.npy"


def mark_used(artifacts: LocalArtifacts, name: str) -> None:
    """Note that a file is in use, so that others go before it."""
    with suppress(FileNotFoundError):
        os.utime(artifacts.local_path(name))


def delete_features(artifacts: LocalArtifacts, owner: str) -> None:
    """Delete the files of a model or of a data set."""
    for name in artifacts.names(FEATURES):
        if owner in _owners(name):
            artifacts.delete(name)


def shrink_features(artifacts: LocalArtifacts, limit: int, owners: Collection[str]) -> None:
    """Delete the files whose model or data set is gone, and as many of the others as exceed a limit.

    Args:
        artifacts: where the files are.
        limit: bytes that all of them may hold; those that were used longest ago go first.
        owners: ids of the models and data sets that there are.
    """
    found = []
    for name in artifacts.names(FEATURES):
        if not set(_owners(name)) <= set(owners):
            artifacts.delete(name)
            continue
        with suppress(FileNotFoundError):  # deleted meanwhile
            about = artifacts.local_path(name).stat()
            found.append((about.st_mtime, name, about.st_size))
    held = sum(size for _, _, size in found)
    for _, name, size in sorted(found):
        if held <= limit:
            break
        artifacts.delete(name)
        held -= size


def feature_bytes(artifacts: LocalArtifacts) -> int:
    """Return the size of all of them."""
    total = 0
    for name in artifacts.names(FEATURES):
        with suppress(FileNotFoundError):  # deleted meanwhile
            total += artifacts.local_path(name).stat().st_size
    return total


def _owners(name: str) -> tuple[str, ...]:
    return tuple(name.removeprefix(f"{FEATURES}/").split(".")[:2])
