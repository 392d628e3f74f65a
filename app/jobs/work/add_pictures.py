"""Adds labelled pictures to a data set that is ready, as a new segment at its end; runs in a worker process.

What was there is neither changed nor moved: earlier pictures keep their number and their split, and jobs that
noted how many there were do not see the new ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.datasets import records, storage
from app.datasets.decoding import PictureDecoder
from app.datasets.ingestion import begin_segment, write_kept_up
from app.datasets.readers import Reader
from app.datasets.readers.splits import place
from app.errors import DomainError
from app.files.artifacts import Artifacts
from app.jobs.accept.additions import class_indices, open_addition
from app.jobs.faults import passing_fault
from app.jobs.heartbeat import Cancelled, Heartbeat
from app.jobs.requests import AdditionRequest
from app.jobs.uploads import remove_uploads
from app.pictures.bounds import Bounds
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetContents, JobRecord, Json


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Add the pictures of a job to its data set, and finish the job with a report.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
    """
    try:
        _add(job, store, artifacts, settings, beat)
    except Cancelled:
        remove_uploads(job.request, artifacts)
        raise
    remove_uploads(job.request, artifacts)


def _add(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    request = AdditionRequest.of(job)
    try:
        with open_addition(request, artifacts.local_path, settings) as reader:
            contents, report = _append(job, request.dataset_id, reader, store, artifacts, settings, beat)
    except DomainError as error:
        if passing_fault(error) is not None:
            raise  # it goes on, and needs what there is
        code = error.code.replace("-", "_")
        store.jobs.fail(job.id, job.attempt, {"code": code, "message": error.message})
    else:
        store.jobs.succeed(job.id, job.attempt, contents=contents, metrics=report)


def _append(
    job: JobRecord,
    dataset_id: str,
    reader: Reader,
    store: Store,
    artifacts: Artifacts,
    settings: Settings,
    beat: Heartbeat,
) -> tuple[DatasetContents | None, Json]:
    record = store.datasets.get(dataset_id)
    dataset = storage.open_dataset(store, artifacts, dataset_id)
    earlier = store.datasets.find_segments(dataset_id)
    classes = len(record.classes)
    counts = dataset.counts(classes)
    options = records.options(record)
    decoder = PictureDecoder(reader, options, Bounds(settings.max_image_pixels), beat)
    decoder.compare_with(dataset, records.class_names(record))

    def draw(labels: NDArray[np.int32]) -> NDArray[np.uint8]:
        return place(decoder.given_splits, labels, classes, options.split, options.seed, counts)

    number = len(earlier) + 1
    segment = write_kept_up(
        dataset_id,
        number,
        begin_segment(dataset_id, number, job.id, job.attempt, artifacts),
        decoder,
        classes,
        draw,
        options,
        artifacts,
        beat,
        class_indices(reader, record),
    )
    report = {"added": segment.record.images, **decoder.report.document()}
    if segment.record.images == 0:
        artifacts.delete(segment.record.path)
        return None, report
    return storage.describe_growth(segment, earlier, record, dataset), report
