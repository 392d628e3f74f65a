"""From pictures that are to be added to a data set to a complete job, or to what would become of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.api.requests.dataset_pictures import AdditionForm
from app.datasets import records, storage
from app.datasets.decoding import PictureDecoder
from app.datasets.ingestion import SavedFile, archive_limits, check_space
from app.datasets.options import DatasetOptions
from app.datasets.readers import Item, Reader
from app.datasets.readers.pictures import PictureArchive
from app.errors import Conflict, Invalid, TooLarge
from app.files.artifacts import Artifacts
from app.files.budget import MemoryBudget
from app.files.volume import room
from app.jobs.accept.announcing import webhook_url
from app.jobs.kinds import ADDITION
from app.jobs.requests import AddedFile, AdditionRequest
from app.pictures.bounds import Bounds
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetRecord, JobRecord, Json

MAX_FILES = 1000
"""Picture files in one request; more are better packed in an archive."""


class LabelledFiles(Reader):
    """Picture files that all have the same label."""

    format = "files"

    def __init__(self, files: Sequence[tuple[str, Path]], label: str, most_bytes: int) -> None:
        self.classes = (label,)
        self.counts = np.array([len(files)])
        self._files, self._most = tuple(files), most_bytes

    def items(self) -> Iterator[Item]:
        """Read the files one by one."""
        for number, (name, path) in enumerate(self._files, 1):
            called = name or f"image {number}"
            size = path.stat().st_size
            content = path.read_bytes() if size <= self._most else self._too_large(size)
            yield Item(called, 0, None, content, file=name or None)

    def _too_large(self, size: int) -> TooLarge:
        return TooLarge(f"it has {size} bytes; at most {self._most} are read of one picture")


def open_addition(
    request: AdditionRequest,
    path: Callable[[str], Path],
    settings: Settings,
    memory: MemoryBudget | None = None,
) -> Reader:
    """Open what is to be added.

    Args:
        request: which files they are.
        path: returns where one is, by its name.
        settings: the limits.
        memory: where what that takes is reserved, if anywhere.

    Raises:
        Invalid, TooLarge: it is no archive of class folders.
    """
    limits = archive_limits(settings, memory)
    files = [(file.filename, path(file.upload)) for file in request.files]
    if request.label is not None:
        return LabelledFiles(files, request.label, limits.member_bytes)
    return PictureArchive(files[0][1], limits, at_least=1)


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
    request: AdditionForm,
    store: Store,
    artifacts: Artifacts,
    settings: Settings,
    bounds: Bounds,
) -> JobRecord | Json:
    """Check pictures as far as that is quick and return the job that adds them; the report for a dry run.

    Args:
        dataset_id: the data set.
        files: an archive, or pictures of one label.
        request: the class of all of them, without which `files` is one archive; whether it is a dry run.
        store: where the data sets are.
        artifacts: where the files are.
        settings: the limits.
        bounds: what decoding a picture may take.

    Raises:
        NotFound: there is no such data set.
        Conflict: it is not ready, or none that can be added to.
        Invalid, TooLarge: the pictures cannot be added.
    """
    record = store.datasets.get(dataset_id)
    storage.check_ready(record)
    check_addable(record)
    accepted = AdditionRequest(
        dataset_id=dataset_id,
        files=tuple(AddedFile(filename=file.source.filename, upload=file.upload) for file in files),
        label=request.label,
    )
    options = records.options(record)
    with open_addition(accepted, artifacts.here, settings, bounds.memory) as reader:
        class_indices(reader, record)
        check_space(len(reader), options.picture, room(settings.data_dir, settings.min_free_bytes))
        if request.dry_run:
            return _would_add(record, reader, options, store, artifacts, bounds)
    if record.builtin:
        raise Conflict(f"data set {dataset_id!r} is built in and cannot be added to", code="built-in")
    return ADDITION.job(accepted, dataset_id=dataset_id, webhook_url=webhook_url(request.webhook, settings))


def _would_add(
    record: DatasetRecord,
    reader: Reader,
    options: DatasetOptions,
    store: Store,
    artifacts: Artifacts,
    bounds: Bounds,
) -> Json:
    if len(reader) > MAX_FILES:
        raise Invalid(f"a dry run takes at most {MAX_FILES} pictures, and these are {len(reader)}")
    decoder = PictureDecoder(reader, options, bounds, lambda progress: bounds.go_on())
    present = storage.open_dataset(store, artifacts, record.id)
    decoder.compare_with(present, records.class_names(record))
    return {"added": sum(1 for _ in decoder.pictures()), **decoder.report.document()}
