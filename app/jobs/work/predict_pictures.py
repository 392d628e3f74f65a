"""What a model sees in pictures of an archive, one batch after another, put into a table."""

from __future__ import annotations

from contextlib import closing

from app.datasets.ingestion import archive_limits
from app.datasets.readers.zip_file import SafeZip
from app.errors import Invalid, TooLarge
from app.files.artifacts import Artifacts
from app.jobs.accept.batch_prediction import pictures
from app.jobs.heartbeat import Drained, Heartbeat
from app.jobs.requests import BatchPredictionRequest
from app.jobs.work.prediction_table import Table
from app.models.prediction import at_a_time, look, picture_spec
from app.models.predictors import load
from app.pictures.bounds import Bounds
from app.pictures.decode import decode
from app.settings import Settings
from app.store.records import ModelRecord

_SAVED_ROWS = 10_000


def predict_pictures(
    request: BatchPredictionRequest,
    model: ModelRecord,
    table: Table,
    artifacts: Artifacts,
    settings: Settings,
    beat: Heartbeat,
    *,
    start: int = 0,
    images: int,
) -> None:
    """Look at pictures, and save their rows; those that the table has are left out.

    Args:
        request: what is asked for.
        model: the model.
        table: where the rows go.
        artifacts: where the archive is.
        settings: what an archive and a picture may hold.
        beat: shows how far it is.
        start: the place of the first picture in the archive.
        images: how many there are.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
        Invalid: the archive cannot be used.
    """
    predictor = load(model, artifacts, settings)
    spec = picture_spec(model)
    size = at_a_time(spec)
    with closing(SafeZip(artifacts.local_path(request.upload), archive_limits(settings))) as archive:
        members = pictures(archive)[start : start + images]
        try:
            # Batches begin at the same pictures in every attempt, so that the numbers in them are the same, too.
            for first in range(table.position.images, len(members), size):
                batch = members[first : first + size]
                read, faults = [], {}
                for place, member in enumerate(batch):
                    beat(table.reached.progress(len(members)))
                    try:
                        read.append(decode(archive.read(member), spec, Bounds(settings.max_image_pixels)))
                    except (Invalid, TooLarge) as error:
                        faults[place] = error
                found = iter(look(predictor, model, read, request.top_k))
                for place, member in enumerate(batch):
                    fault = faults.get(place)
                    table.add(member.name, fault if fault is not None else next(found))
                if table.age >= settings.checkpoint_seconds or table.waiting >= _SAVED_ROWS:
                    table.save()
        except Drained:
            table.save()
            raise
    table.save()
    beat(table.position.progress(images), force=True)
