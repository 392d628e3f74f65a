"""From what a caller asks for to a complete data set and the job that makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.api.choices import Choice
from app.api.pictures import Colour, PictureSpec
from app.api.requests.datasets import DatasetCreate
from app.api.requests.downloads import DownloadCreate
from app.datasets.ingestion import SavedFile, archive_limits, check_space, check_upload
from app.datasets.options import DatasetOptions
from app.datasets.published import PUBLISHED
from app.datasets.readers import Reader, open_upload
from app.datasets.readers.base import Shape
from app.files.budget import MemoryBudget
from app.files.volume import room
from app.ids import DATASET, sibling
from app.jobs.accept.announcing import webhook_url
from app.jobs.accept.choices import Open
from app.jobs.accept.rules import picture_side, split_shares
from app.jobs.kinds import DOWNLOAD, INGESTION
from app.jobs.requests import DownloadRequest, IngestionRequest
from app.settings import Settings
from app.store.records import DatasetRecord, JobRecord
from engine.recipe.targets import Target

DEFAULT_SHAPE = (32, 32, 3)
"""Of a data set made of picture files, which may have any."""


def new_dataset(
    request: DatasetCreate,
    file: SavedFile,
    labels: SavedFile | None,
    settings: Settings,
    memory: MemoryBudget | None = None,
) -> tuple[DatasetRecord, JobRecord]:
    """Check an upload as far as that is quick, and return the data set with the job that makes it.

    Args:
        request: what its owner asks for.
        file: the archive or the arrays.
        labels: the file of labels that belongs to one of images.
        settings: the limits.
        memory: where what it takes to look at the upload is reserved.

    Raises:
        Invalid, TooLarge: no data set can be made of it.
    """
    limits = archive_limits(settings, memory)
    with open_upload(file.path, labels.path if labels else None, limits, request.target) as reader:
        native = reader.image_shape or DEFAULT_SHAPE
        request, chosen = _with_choices(request, reader)
        options = _options(request, native, request.background, request.target, chosen)
        check_upload(reader, options.picture, room(settings.data_dir, settings.min_free_bytes))
        source = file.source.model_copy(update={"format": reader.format})
    job_id = INGESTION.new_id()
    record = DatasetRecord(
        id=sibling(job_id, DATASET),
        name=request.name or _name(source.filename),
        image_shape=list(options.picture.image_shape),
        options=options.model_dump(mode="json"),
        report={"source": source.model_dump(mode="json")},
        tags=list(request.tags) or None,
    )
    accepted = IngestionRequest(
        dataset_id=record.id,
        upload=file.upload,
        labels=labels.upload if labels else None,
        source=source,
        options=options,
    )
    return record, INGESTION.job(
        accepted, job_id, dataset_id=record.id, webhook_url=webhook_url(request.webhook, settings)
    )


def new_download(request: DownloadCreate, settings: Settings) -> tuple[DatasetRecord, JobRecord]:
    """Return a data set that is published elsewhere with the job that fetches it.

    Raises:
        TooLarge: the disk has no room for it.
    """
    published = PUBLISHED[request.dataset]
    background = request.background or published.background
    options = _options(request, published.image_shape, background)
    free = room(settings.data_dir, settings.min_free_bytes)
    check_space(published.images, options.picture, free - published.bytes)
    job_id = DOWNLOAD.new_id()
    record = DatasetRecord(
        id=sibling(job_id, DATASET),
        name=request.name or published.name,
        image_shape=list(options.picture.image_shape),
        options=options.model_dump(mode="json"),
        tags=list(request.tags) or None,
    )
    accepted = DownloadRequest(dataset_id=record.id, download=published.name, options=options)
    return record, DOWNLOAD.job(
        accepted, job_id, dataset_id=record.id, webhook_url=webhook_url(request.webhook, settings)
    )


def _with_choices(request: DatasetCreate, reader: Reader) -> tuple[DatasetCreate, tuple[Choice, ...]]:
    """Return a request in which what it leaves open fits a transfer to the pictures, if it asks for that."""
    if request.defaults == "fixed":
        return request, ()
    left = Open(request)
    changes: dict[str, Any] = {}
    side = None if reader.image_shape or request.image_size else reader.shorter_side()
    if side is not None:
        side, reason = picture_side(len(reader), side)
        changes["image_size"] = left.choose("image_size", (side, side), reason)
        changes["fit"] = left.choose(
            "fit", "cover", "borders would be the same in all pictures, and take room"
        )
    if not reader.splits:
        shares, reason = split_shares(int(reader.counts[reader.counts > 0].min()), request.target)
        changes["split"] = left.choose("split", shares, reason)
    return request.model_copy(update=changes), left.chosen


def _options(
    request: DatasetCreate | DownloadCreate,
    native: Shape,
    background: Colour,
    target: Target = "class",
    chosen: tuple[Choice, ...] = (),
) -> DatasetOptions:
    """Return what the data set remembers.

    Args:
        request: what its owner asks for.
        native: [height, width, channels] of the pictures, for what is not asked for.
        background: the colour of the ground that they are on.
        target: what is said of each picture.
        chosen: what of it was left open.
    """
    height, width, channels = native
    picture = PictureSpec(
        image_shape=(*(request.image_size or (height, width)), request.channels or channels),
        fit=request.fit,
        resize=request.resize,
        background=background,
        invert=request.invert,
    )
    return DatasetOptions(
        picture=picture,
        split=request.split,
        seed=request.seed,
        duplicates=request.duplicates,
        target=target,
        chosen=chosen,
    )


def _name(filename: str) -> str:
    """Make a name of that of a file, which has no characters but printable ones."""
    return Path(filename).stem.strip()[:100].strip() or "data set"
