"""Makes a data set of an upload; runs in a worker process of its own."""

from __future__ import annotations

from app.datasets.ingestion import archive_limits, begin_segment, make_dataset
from app.datasets.readers import open_upload
from app.errors import DomainError
from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs.faults import passing_fault
from app.jobs.heartbeat import Cancelled, Heartbeat
from app.jobs.requests import IngestionRequest
from app.jobs.uploads import remove_uploads
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Read the upload of an ingestion job into its data set, and finish both.

    Files that are no readable picture are left out and reported. A class that ends up without any fails
    the data set: a network cannot learn what it never sees.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
    """
    try:
        _ingest(job, store, artifacts, settings, beat)
    except Cancelled:
        remove_uploads(job.request, artifacts)
        raise
    remove_uploads(job.request, artifacts)


def _ingest(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    request = IngestionRequest.of(job)
    labels = None if request.labels is None else artifacts.local_path(request.labels)
    try:
        file, limits = artifacts.local_path(request.upload), archive_limits(settings)
        with open_upload(file, labels, limits, request.options.target) as reader:
            folder = begin_segment(request.dataset_id, 1, job.id, job.attempt, artifacts)
            contents = make_dataset(
                request.dataset_id, folder, reader, request.options, request.source, artifacts, settings, beat
            )
    except DomainError as error:
        if passing_fault(error) is not None:
            raise  # it goes on, and needs what there is
        fail(job, store, artifacts, request.dataset_id, error)
    else:
        store.jobs.succeed(job.id, job.attempt, contents=contents)


def fail(job: JobRecord, store: Store, artifacts: Artifacts, dataset_id: str, error: DomainError) -> None:
    """End a job whose data set cannot be made."""
    # The job ends before its files go: a worker that dies in between leaves only files behind.
    store.jobs.fail(job.id, job.attempt, {"code": error.code.replace("-", "_"), "message": error.message})
    artifacts.delete(paths.dataset(dataset_id))
