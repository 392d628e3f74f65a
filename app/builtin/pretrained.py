"""The model `mobilenet-v2-imagenet`, which comes with the package; see `mobilenet_v2_imagenet.md` for its licence."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

from app.builtin.install import agree, from_document
from app.errors import Conflict, NotFound
from app.files import paths
from app.files.artifacts import Artifacts
from app.ids import PRETRAINED
from app.store import Store
from app.store.records import ModelRecord

log = logging.getLogger(__name__)

PRETRAINED_FILE = Path(__file__).with_name("mobilenet_v2_imagenet.safetensors")
PRETRAINED_RECORD = PRETRAINED_FILE.with_suffix(".json")
"""What its row says; `make_pretrained` writes both."""
_PATH = paths.model(PRETRAINED)


def install(store: Store, artifacts: Artifacts) -> None:
    """Put the model into a data directory that does not have it, or has lost its file.

    The file is compared by its size alone, and opened by nobody before the model is used.

    Raises:
        ValueError: the file is not the one that was packaged.
    """
    size = PRETRAINED_FILE.stat().st_size
    found = artifacts.find(_PATH)
    whole = found is not None and found.bytes == size
    if whole and _says(store) == size:
        return
    record = from_document(ModelRecord, json.loads(PRETRAINED_RECORD.read_bytes()))
    # the file before the row, so that no row is ever without its file
    if not whole and artifacts.write(_PATH, _copy).sha256 != record.sha256:
        artifacts.delete(_PATH)
        raise ValueError(f"{PRETRAINED_FILE.name} is not what was packaged; install the package again")
    # also where the row is of an earlier package, and whoever wrote the file died before it
    agree(store, record)
    if not _is_stored(store):
        with suppress(Conflict):  # another server has stored it at the same time
            store.models.create(record)


def remove(store: Store, artifacts: Artifacts) -> None:
    """Take the model out of a data directory; it stays while an alias or a job that is not finished needs it."""
    if not _is_stored(store):
        return
    try:
        artifacts.delete(store.models.delete(PRETRAINED, builtin=True))
    except NotFound:  # another server has just done so
        return
    except Conflict as conflict:
        log.warning("CONVSERVE_BUILTIN_MODELS is false, and %s stays: %s", PRETRAINED, conflict.detail)


def _copy(target: IO[bytes]) -> None:
    with PRETRAINED_FILE.open("rb") as source:
        shutil.copyfileobj(source, target, 1 << 20)


def _says(store: Store) -> int | None:
    """Return the size of the file that the row says, None without one."""
    try:
        return store.models.get(PRETRAINED).bytes
    except NotFound:
        return None


def _is_stored(store: Store) -> bool:
    try:
        store.models.find_id(PRETRAINED)
    except NotFound:
        return False
    return True
