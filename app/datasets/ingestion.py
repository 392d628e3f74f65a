"""Turns an uploaded archive into a data set; runs in a worker process of its own.

A worker that dies here is started again from the beginning: until the data set's row says that it is
ready, nobody looks at its files, and writing them again replaces them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.artifacts import Artifacts
from app.datasets import storage
from app.datasets.archive import ArchiveLimits, PictureArchive, Skipped
from app.datasets.options import DatasetOptions
from app.datasets.splits import SPLIT_NAMES, draw_splits
from app.errors import DomainError, Invalid, TooLarge
from app.images import decode
from app.jobs.heartbeat import Heartbeat
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetContents, JobRecord, Json
from engine.spec import Spec

REPORTED_FILES = 1000
"""Files that a report names; the rest is only counted."""
UPLOADS = "uploads"
_HEADROOM = 1 << 20


class Source(Spec):
    """The file that a data set was made of."""

    filename: str
    """The name that it was uploaded under; empty when it had none."""
    bytes: int
    sha256: str


class IngestionRequest(Spec):
    """What an ingestion job is asked to do."""

    dataset_id: str
    upload: str = Field(pattern=rf"^{UPLOADS}/[0-9a-f]+$")
    source: Source
    options: DatasetOptions


def archive_limits(settings: Settings) -> ArchiveLimits:
    """Return what an archive may hold; the largest file is an uncompressed picture of the most pixels."""
    return ArchiveLimits(
        entries=settings.max_archive_entries,
        ratio=settings.max_archive_ratio,
        member_bytes=settings.max_image_pixels * 8 + _HEADROOM,
    )


def check_archive(archive: PictureArchive, options: DatasetOptions, free: int) -> None:
    """Refuse what cannot become a data set, as far as that shows before any picture is decoded.

    Raises:
        Invalid: no class has enough files for all splits.
        TooLarge: the arrays need more than the `free` bytes; small files can hold large pictures.
    """
    if max(Counter(picture.label for picture in archive.pictures).values()) < len(SPLIT_NAMES):
        raise _too_few("each")
    height, width, channels = options.picture.image_shape
    needed = len(archive.pictures) * height * width * channels
    if needed > free:
        raise TooLarge(
            f"{len(archive.pictures)} pictures of {height}x{width}x{channels} need {needed} bytes on the disk of "
            f"the server, where {free} are free; choose a smaller image_size",
            code="no-space",
        )


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Read the archive of an ingestion job into its data set, and finish both.

    Files that are no readable picture are left out and reported. A class that ends up without any fails
    the data set: a network cannot learn what it never sees.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
    """
    request = IngestionRequest.model_validate(job.request)
    artifacts.clean(storage.directory(request.dataset_id), age=0)  # of an attempt that was killed
    try:
        with PictureArchive(artifacts.local_path(request.upload), archive_limits(settings)) as archive:
            contents = _Ingestion(request, archive, settings, beat).write(artifacts)
    except DomainError as error:
        # The job ends before its files go: a worker that dies in between leaves only files behind.
        code = error.code.replace("-", "_")
        store.jobs.fail(job.id, job.attempt, {"code": code, "message": error.detail})
        artifacts.delete(storage.directory(request.dataset_id))
    else:
        store.jobs.succeed(job.id, job.attempt, contents=contents)
    artifacts.delete(request.upload)


class _Ingestion:
    def __init__(
        self, request: IngestionRequest, archive: PictureArchive, settings: Settings, beat: Heartbeat
    ) -> None:
        self._request = request
        self._archive = archive
        self._settings = settings
        self._beat = beat
        self._skipped: list[Skipped] = list(archive.skipped)
        self._read = np.zeros(len(archive.classes), np.int64)
        self._writing = ExitStack()

    def write(self, artifacts: Artifacts) -> DatasetContents:
        shape = self._request.options.picture.image_shape
        with self._writing:
            segment = storage.write_segment(
                artifacts,
                self._request.dataset_id,
                number=1,
                image_shape=shape,
                classes=len(self._archive.classes),
                pictures=self._pictures(),
                draw=self._draw,
            )
        return storage.describe(segment, self._archive.classes, shape, self._report())

    def _pictures(self) -> Iterator[tuple[NDArray[np.uint8], int]]:
        total = len(self._archive.pictures)
        for done, picture in enumerate(self._archive.pictures):
            self._beat(_progress(done, total))
            try:
                content = self._archive.read(picture)
                array = decode(content, self._request.options.picture, self._settings.max_image_pixels)
            except (Invalid, TooLarge) as error:
                self._skipped.append(Skipped(picture.name, error.detail))
                continue
            self._read[picture.label] += 1
            yield array, picture.label
        self._check_classes()
        # What follows is one long write to the disk: no step at which to show life.
        self._writing.enter_context(self._beat.kept_up(_progress(total, total)))

    def _check_classes(self) -> None:
        for label, name in enumerate(self._archive.classes):
            if self._read[label] == 0:
                names = {picture.name for picture in self._archive.pictures if picture.label == label}
                first = next(file for file in self._skipped if file.name in names)
                raise Invalid(
                    f"no file of the class {name!r} is a picture that can be read; {first.name}: {first.reason}",
                    code="empty-class",
                )

    def _draw(self, labels: NDArray[np.int32]) -> NDArray[np.uint8]:
        options = self._request.options
        splits = draw_splits(labels, len(self._archive.classes), options.split, options.seed)
        for code, name in enumerate(SPLIT_NAMES):
            if not (splits == code).any():
                raise _too_few(f"the {name}")
        return splits

    def _report(self) -> Json:
        files = [{"name": file.name, "reason": file.reason} for file in self._skipped[:REPORTED_FILES]]
        source = self._request.source.model_dump(mode="json")
        return {"source": source, "skipped": len(self._skipped), "files": files}


def _too_few(split: str) -> Invalid:
    return Invalid(
        f"there are too few pictures for {split} split: at least one class needs three that can be read, for "
        "train, dev and test",
        code="too-few-images",
    )


def _progress(done: int, total: int) -> Json:
    return {"images": done, "of": total, "fraction": done / total}
