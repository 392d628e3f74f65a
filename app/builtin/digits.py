"""The data set `digits`, which comes with the package."""

from __future__ import annotations

import json
import shutil
import zipfile
from importlib import resources
from typing import IO

from app.errors import Damaged, NotFound
from app.files import paths
from app.files.artifacts import Artifacts
from app.store import Store
from app.store.records import DatasetContents, DatasetRecord, SegmentRecord

DIGITS = "digits"
DIGITS_FILE = "digits.npz"
"""A zip archive of the files of the one segment, as `app.datasets.storage` describes them."""
RECORD_FILE = "digits.json"
"""What the rows say; `make_digits` writes both."""
DIGITS_IMAGES = 10_000
DIGITS_CLASSES = tuple("0123456789")
DIGITS_SHAPE = (28, 28, 1)
SEGMENT_FILES = ("images.npy", "labels.npy", "splits.npy")
_SEGMENT = paths.segment(DIGITS, 1)


def install(store: Store, artifacts: Artifacts) -> None:
    """Put `digits` into a data directory that does not have it, or has lost its pictures.

    The files are unpacked as they are: to make them from arrays would load NumPy, half of a fresh start.

    Raises:
        ValueError: the files are not those that were packaged.
    """
    packaged = resources.files("app.builtin")
    document = json.loads((packaged / RECORD_FILE).read_bytes())
    try:
        record = store.datasets.get(DIGITS)
    except Damaged:
        return
    except NotFound:
        record = DatasetRecord(id=DIGITS, **document["record"], builtin=True)
        store.datasets.create(record)
    if record.status == "ready" and artifacts.exists(f"{_SEGMENT}/{SEGMENT_FILES[-1]}"):
        return
    with (packaged / DIGITS_FILE).open("rb") as file, zipfile.ZipFile(file) as archive:
        for name in SEGMENT_FILES:
            _unpack(archive, name, document["sha256"][name], artifacts)
    if record.status != "ready":
        contents = document["contents"]
        segments = tuple(SegmentRecord(**segment) for segment in contents.pop("segments"))
        store.datasets.finish(DIGITS, DatasetContents(**contents, segments=segments))


def _unpack(archive: zipfile.ZipFile, name: str, sha256: str, artifacts: Artifacts) -> None:
    def write(file: IO[bytes]) -> None:
        with archive.open(name) as member:
            shutil.copyfileobj(member, file, 1 << 20)

    if artifacts.write(f"{_SEGMENT}/{name}", write).sha256 != sha256:
        artifacts.delete(f"{_SEGMENT}/{name}")
        raise ValueError(f"{name} in {DIGITS_FILE} is not what was packaged; install the package again")
