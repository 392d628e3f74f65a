"""Batch prediction as a job: what a model sees in each picture of an archive, as a table."""

from __future__ import annotations

import logging

from app.errors import StaleAttempt, Unavailable
from app.files.artifacts import Artifacts
from app.jobs.faults import fault_of, passing_fault
from app.jobs.heartbeat import Cancelled, Drained, Heartbeat
from app.jobs.kinds import BATCH_PART
from app.jobs.requests import BatchPredictionRequest
from app.jobs.work.parts import Division, gather
from app.jobs.work.predict_pictures import predict_pictures
from app.jobs.work.prediction_table import Table, columns_of, join
from app.models.prediction import at_a_time, picture_spec
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord

log = logging.getLogger(__name__)


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Look at the pictures, write the table, and finish the job.

    What cannot be read gets a row that says why. A worker that dies is started again where the rows on the disk
    end; the table is the same as if it had not died.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
        NotFound, Invalid: the model or the archive cannot be used.
    """
    request = BatchPredictionRequest.of(job)
    try:
        _predict(job, request, store, artifacts, settings, beat)
    except Cancelled:
        artifacts.delete(request.upload)
        raise
    except (Drained, StaleAttempt, Unavailable):
        raise  # somebody goes on, and needs what there is
    except Exception as error:
        if passing_fault(error) is not None:
            raise
        # The job ends before its files go: another attempt may need them where this one is over.
        fault = fault_of(error)
        log.exception("failed: %s", fault["message"])
        store.jobs.fail(job.id, job.attempt, fault)
    # its rows, and those of its parts, go as what is spent of any job does
    artifacts.delete(request.upload)


def _predict(
    job: JobRecord,
    request: BatchPredictionRequest,
    store: Store,
    artifacts: Artifacts,
    settings: Settings,
    beat: Heartbeat,
) -> None:
    model = store.models.get(request.model)
    columns = columns_of(request, model)
    if request.part_images:
        starts = range(0, request.images, at_a_time(picture_spec(model)))
        division = Division(BATCH_PART, request.images, request.part_images, starts)
        position, names = gather(job, division, store, beat)
    else:
        table = Table(job, store, artifacts, columns)
        if table.position.images:
            log.info("goes on after %d of %d pictures", table.position.images, request.images)
        predict_pictures(request, model, table, artifacts, settings, beat, images=request.images)
        position, names = table.position, table.position.names(job.id)
    with beat.kept_up(position.progress(request.images)):
        written = join(job, names, columns, artifacts)
    predicted = position.images - position.failed
    log.info("%d predicted, %d failed", predicted, position.failed)
    metrics = {"predicted": predicted, "failed": position.failed}
    store.jobs.succeed(job.id, job.attempt, metrics=metrics, found=[written])
