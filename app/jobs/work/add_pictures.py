"""Adds labelled pictures to a data set that is ready, as a new segment at its end; runs in a worker process.

What was there is neither changed nor moved: earlier pictures keep their number and their split, and jobs that
noted how many there were do not see the new ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.datasets import storage
from app.datasets.ingestion import archive_limits, write_kept_up
from app.datasets.intake import Intake
from app.datasets.options import DatasetOptions
from app.datasets.readers import Item, Reader
from app.datasets.readers.pictures import PictureArchive
from app.datasets.readers.splits import place
from app.errors import Conflict, DomainError, Invalid
from app.files.artifacts import Artifacts
from app.jobs.heartbeat import Cancelled, Heartbeat
from app.jobs.requests import AdditionRequest
from app.jobs.work.ingest import remove_uploads
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetContents, DatasetRecord, JobRecord, Json

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
        for name, path in self._files:
            yield Item(name, 0, None, path.read_bytes())


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
    target = DatasetOptions.model_validate(record.options).target
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
    indices = {entry["name"]: index for index, entry in enumerate(record.classes)}
    for name in reader.classes:
        if name not in indices:
            listed = ", ".join(list(indices)[:20]) + (" ..." if len(indices) > 20 else "")
            detail = f"data set {record.id!r} has no class {name[:100]!r}"
            hint = f"its classes are {listed}; for other classes make another data set"
            raise Invalid.at("label", detail, hint, parameter=True, code="unknown-class")
    return np.array([indices[name] for name in reader.classes], np.int64)


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Add the pictures of a job to its data set, and finish the job with a report.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
    """
    try:
        _add(job, store, artifacts, settings, beat)
    except Cancelled:
        remove_uploads(job, artifacts)
        raise
    remove_uploads(job, artifacts)


def _add(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    request = AdditionRequest.model_validate(job.request)
    try:
        with open_addition(request, artifacts, settings) as reader:
            contents, report = _append(request.dataset_id, reader, store, artifacts, settings, beat)
    except DomainError as error:
        code = error.code.replace("-", "_")
        store.jobs.fail(job.id, job.attempt, {"code": code, "message": error.message})
    else:
        store.jobs.succeed(job.id, job.attempt, contents=contents, metrics=report)


def _append(
    dataset_id: str, reader: Reader, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat
) -> tuple[DatasetContents | None, Json]:
    record = store.datasets.get(dataset_id)
    dataset = storage.open_dataset(store, artifacts, dataset_id)
    earlier = store.datasets.find_segments(dataset_id)
    classes = len(record.classes)
    counts = dataset.counts(classes)
    options = DatasetOptions.model_validate(record.options)
    intake = Intake(reader, options, settings.max_image_pixels, beat)
    intake.compare_with(dataset, [entry["name"] for entry in record.classes])

    def draw(labels: NDArray[np.int32]) -> NDArray[np.uint8]:
        return place(intake.given_splits, labels, classes, options.split, options.seed, counts)

    number = len(earlier) + 1
    artifacts.delete(storage.segment_directory(dataset_id, number))  # of an attempt that was killed
    segment = write_kept_up(
        dataset_id,
        number,
        intake,
        classes,
        draw,
        options,
        artifacts,
        beat,
        class_indices(reader, record),
    )
    report = {"added": segment.record.images, **intake.report.document()}
    if segment.record.images == 0:
        artifacts.delete(segment.record.path)
        return None, report
    return storage.describe_growth(segment, earlier, record, counts), report
