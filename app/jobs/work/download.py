"""Makes a data set of files that are published elsewhere; runs in a worker process of its own.

A worker that dies is started again, and a data set that failed can be asked for again: what has arrived of its
files is kept until it is ready.
"""

from __future__ import annotations

from app.datasets.fetching import Origin, checksums, fetch
from app.datasets.ingestion import Source, archive_limits, begin_segment, make_dataset
from app.datasets.published import PUBLISHED
from app.errors import DomainError
from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs.faults import passing_fault
from app.jobs.heartbeat import Heartbeat
from app.jobs.requests import DownloadRequest
from app.jobs.work.ingest import fail
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Fetch the files of a data set, check them, and fill it.

    Raises:
        Interrupted, StaleAttempt: as `beat` does; what has arrived is kept.
    """
    request = DownloadRequest.of(job)
    published = PUBLISHED[request.download]
    name = f"{paths.DOWNLOADS}/{published.name}"
    folder = artifacts.here(name)
    origin = Origin.of(published, settings.dataset_mirror)
    try:
        with beat.kept_up({"stage": "downloading"}):
            own = checksums(origin) if settings.dataset_mirror is not None else {}
        for file in published.files:
            fetch(origin, file, own.get(file.name, file.sha256), folder, settings.max_upload_bytes, beat)
        first = published.files[0].name
        source = Source(
            filename=first,
            bytes=sum((folder / file.name).stat().st_size for file in published.files),
            sha256=own.get(first, published.files[0].sha256),
        )
        with published.open(folder, archive_limits(settings)) as reader:
            place = begin_segment(request.dataset_id, 1, job.id, job.attempt, artifacts)
            contents = make_dataset(
                request.dataset_id, place, reader, request.options, source, artifacts, settings, beat
            )
    except DomainError as error:
        if passing_fault(error) is not None:
            raise  # it goes on, and needs what there is
        fail(job, store, artifacts, request.dataset_id, error)
        return
    store.jobs.succeed(job.id, job.attempt, contents=contents)
    artifacts.delete(name)
