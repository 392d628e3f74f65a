"""From an archive of pictures and the model that is to look at them to a complete job."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from app.api.requests.batch_predictions import BatchPredictionCreate
from app.datasets.ingestion import archive_limits
from app.datasets.readers.zip_file import Member, SafeZip
from app.errors import Invalid
from app.files.budget import MemoryBudget
from app.files.paths import UPLOADS
from app.jobs.accept.announcing import webhook_url
from app.jobs.accept.references import find_model
from app.jobs.kinds import BATCH_PREDICTION
from app.jobs.requests import BatchPredictionRequest
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord


def pictures(archive: SafeZip) -> list[Member]:
    """Return the files of an archive, in whatever folders they lie, in the order of their names.

    Raises:
        Invalid: it holds none.
    """
    files = [member for member in archive.members if not member.is_folder]
    if not files:
        raise Invalid("the archive holds no file; put pictures into it", code="unusable-archive")
    return files


def new_batch_prediction(
    request: BatchPredictionCreate,
    archive: Path,
    filename: str,
    store: Store,
    settings: Settings,
    memory: MemoryBudget | None = None,
) -> JobRecord:
    """Make the job for a request.

    Args:
        request: the model, and how many classes of each picture.
        archive: where the archive is, among the uploads.
        filename: what its owner calls it.
        store: where the models are.
        settings: what an archive may hold.
        memory: where what it takes to look at the archive is reserved.

    Raises:
        Invalid: there is no such model, it predicts values, or the archive holds no file.
        TooLarge: the archive holds more than it may.
    """
    model = find_model(request.model, store, "model")
    if model.target == "values":
        hint = "send its pictures to predict, some at a time"
        raise Invalid.at("model", "it predicts values, and the table holds classes or labels", hint)
    with closing(SafeZip(archive, archive_limits(settings, memory))) as opened:
        images = len(pictures(opened))
    accepted = BatchPredictionRequest(
        model=model.id,
        top_k=request.top_k,
        upload=f"{UPLOADS}/{archive.name}",
        filename=filename,
        images=images,
        part_images=settings.batch_parts_of(images),
    )
    return BATCH_PREDICTION.job(
        accepted, model_id=model.id, webhook_url=webhook_url(request.webhook, settings)
    )
