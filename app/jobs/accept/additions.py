"""From pictures that are to be added to a data set to a complete job, or to what would become of them."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.datasets import records, storage
from app.datasets.decoding import PictureDecoder
from app.datasets.ingestion import SavedFile, archive_limits, check_space
from app.datasets.options import DatasetOptions
from app.datasets.readers import Item, Reader
from app.datasets.readers.pictures import PictureArchive
from app.errors import Conflict, Invalid
from app.files.artifacts import Artifacts
from app.jobs.kinds import ADDITION
from app.jobs.requests import AddedFile, AdditionRequest
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetRecord, JobRecord, Json

MAX_FILES = 1000
"""Picture files in one request; more are better packed in an archive."""


class LabelledFiles(Reader):
    """Picture files that all have the same label."""

    format = "files"

    def __init__(self, files: Sequence[tuple[str, Path]], label: str) -> None:
        self.classes = (label,)
        self.counts = np.array([len(files)])
        self._files = tuple(files)

    def items(self) -> Iterator[Item]:
        """Read the files one by one."""
        for number, (name, path) in enumerate(self._files, 1):
            called = name or f"image {number}"
            yield Item(called, 0, None, path.read_bytes(), file=name or None)


def open_addition(request: AdditionRequest, artifacts: Artifacts, settings: Settings) -> Reader:
    """Open what is to be added.

    Raises:
        Invalid, TooLarge: it is no archive of class folders.
    """
    files = [(file.filename, artifacts.local_path(file.upload)) for file in request.files]
    if request.label is not None:
        return LabelledFiles(files, request.label)
    return PictureArchive(files[0][1], archive_limits(settings), at_least=1)


def check_addable(record: DatasetRecord) -> None:
    """Refuse to add to a data set whose pictures have labels or values in place of classes.

    Raises:
        Conflict: it is one.
    """
    target = records.options(record).target
    if target != "class":
        raise Conflict(
            f"the pictures of data set {record.id!r} have {target}, and only to those with classes more can be added; "
            "make another data set of all pictures",
            code="not-of-classes",
        )


def class_indices(reader: Reader, record: DatasetRecord) -> NDArray[np.int64]:
    """Return the index in the data set of each class of what is to be added, (K,).

    Raises:
        Invalid: a class is not one of the data set's; a new one would change what its models are asked.
    """
    # Data sets of earlier versions may have names whose letters and accents were taken apart.
    indices = {
        unicodedata.normalize("NFC", name): index for index, name in enumerate(records.class_names(record))
    }
    for name in reader.classes:
        if unicodedata.normalize("NFC", name) not in indices:
            listed = ", ".join(list(indices)[:20]) + (" ..." if len(indices) > 20 else "")
            detail = f"data set {record.id!r} has no class {name[:100]!r}"
            hint = f"its classes are {listed}; for other classes make another data set"
            place = "label" if isinstance(reader, LabelledFiles) else "file"
            raise Invalid.at(place, detail, hint, code="unknown-class")
    return np.array([indices[unicodedata.normalize("NFC", name)] for name in reader.classes], np.int64)


def new_addition(
    dataset_id: str,
    files: Sequence[SavedFile],
    label: str | None,
    store: Store,
    artifacts: Artifacts,
    settings: Settings,
    *,
    dry_run: bool,
) -> JobRecord | Json:
    """Check pictures as far as that is quick and return the job that adds them; the report for a dry run.

    Args:
        dataset_id: the data set.
        files: an archive, or pictures of one label.
        label: the class of all of them; without one `files` is one archive.
        store: where the data sets are.
        artifacts: where the files are.
        settings: the limits.
        dry_run: only find out what would become of them.

    Raises:
        NotFound: there is no such data set.
        Conflict: it is not ready, or none that can be added to.
        Invalid, TooLarge: the pictures cannot be added.
    """
    record = store.datasets.get(dataset_id)
    storage.check_ready(record)
    check_addable(record)
    request = AdditionRequest(
        dataset_id=dataset_id,
        files=tuple(AddedFile(filename=file.source.filename, upload=file.upload) for file in files),
        label=label,
    )
    options = records.options(record)
    with open_addition(request, artifacts, settings) as reader:
        class_indices(reader, record)
        check_space(len(reader), options.picture, shutil.disk_usage(settings.data_dir).free)
        if dry_run:
            return _would_add(record, reader, options, store, artifacts, settings)
    if record.builtin:
        raise Conflict(f"data set {dataset_id!r} is built in and cannot be added to", code="built-in")
    return ADDITION.job(request, dataset_id=dataset_id)


def _would_add(
    record: DatasetRecord,
    reader: Reader,
    options: DatasetOptions,
    store: Store,
    artifacts: Artifacts,
    settings: Settings,
) -> Json:
    if len(reader) > MAX_FILES:
        raise Invalid(f"a dry run takes at most {MAX_FILES} pictures, and these are {len(reader)}")
    decoder = PictureDecoder(reader, options, settings.max_image_pixels, lambda progress: None)
    present = storage.open_dataset(store, artifacts, record.id)
    decoder.compare_with(present, records.class_names(record))
    return {"added": sum(1 for _ in decoder.pictures()), **decoder.report.document()}
