"""Files with what a frozen trunk makes of the pictures of a data set, which jobs keep for those after them.

Their names say what they belong to; there is nothing in them that could not be computed again.
"""

from __future__ import annotations

from collections.abc import Collection

from app.files.artifacts import Artifacts
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


def delete_features(artifacts: Artifacts, owner: str) -> None:
    """Delete the files of a model or of a data set."""
    for name in artifacts.names(FEATURES):
        if owner in _owners(name):
            artifacts.delete(name)


def shrink_features(artifacts: Artifacts, limit: int, owners: Collection[str]) -> None:
    """Delete the files whose model or data set is gone, and as many of the others as exceed a limit.

    Args:
        artifacts: where the files are.
        limit: bytes that all of them may hold; those that were used longest ago go first.
        owners: ids of the models and data sets that there are.
    """
    for name in find_unowned(artifacts, owners):
        artifacts.delete(name)
    found = artifacts.files(FEATURES)
    held = sum(file.bytes for file in found)
    for file in sorted(found, key=lambda file: (file.modified, file.name)):
        if held <= limit:
            break
        artifacts.delete(file.name)
        held -= file.bytes


def find_unowned(artifacts: Artifacts, owners: Collection[str]) -> list[str]:
    """Return the files whose model or data set is none of these."""
    return [name for name in artifacts.names(FEATURES) if not set(_owners(name)) <= set(owners)]


def feature_bytes(artifacts: Artifacts) -> int:
    """Return the size of all of them."""
    return sum(file.bytes for file in artifacts.files(FEATURES))


def _owners(name: str) -> tuple[str, ...]:
    return tuple(name.removeprefix(f"{FEATURES}/").split(".")[:2])
