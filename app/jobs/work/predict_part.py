"""A part of a batch prediction as a job: the rows of some pictures, in files that stay its own.

What it found is its checkpoint: the batch prediction joins those of all parts.
"""

from __future__ import annotations

from app.files.artifacts import Artifacts
from app.jobs.heartbeat import Heartbeat
from app.jobs.requests import BatchPredictionRequest, PartRequest
from app.jobs.work.predict_pictures import predict_pictures
from app.jobs.work.prediction_table import Table, columns_of
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Look at the pictures and finish the job.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
        NotFound, Invalid: the model or the archive cannot be used.
    """
    part = PartRequest.of(job)
    request = BatchPredictionRequest.of(store.jobs.get(str(job.part_of)))
    model = store.models.get(request.model)
    table = Table(job, store, artifacts, columns_of(request, model))
    predict_pictures(request, model, table, artifacts, settings, beat, start=part.first, images=part.images)
    store.jobs.succeed(job.id, job.attempt)
