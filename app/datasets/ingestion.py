"""Turns what a reader finds into a data set; runs in a worker process of its own.

A worker that dies here is started again from the beginning: until the data set's row says that it is
ready, nobody looks at its files, and writing them again replaces them.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.api.pictures import PictureSpec
from app.datasets import segments, storage
from app.datasets.decoding import PictureDecoder, progress
from app.datasets.options import DatasetOptions
from app.datasets.readers import ArchiveLimits, Reader
from app.datasets.readers.splits import SPLIT_NAMES, place
from app.errors import Invalid, TooLarge
from app.files import paths
from app.files.artifacts import Artifacts
from app.files.budget import MemoryBudget
from app.files.paths import UPLOADS
from app.pictures.bounds import Bounds
from app.settings import Settings
from app.store.records import DatasetContents, Json
from engine.spec import Spec

_HEADROOM = 1 << 20
_NAMED = 10
"""Classes that a warning names."""


class WorkerBeat(Protocol):
    """How work shows that it is alive and how far it is."""

    def __call__(self, progress: Json, /) -> None:
        """Show progress, and raise what should end the work."""

    def kept_up(self, progress: Json, /) -> contextlib.AbstractContextManager[None]:
        """Show life while one long call runs that cannot be interrupted."""


class Source(Spec):
    """The file that a data set was made of."""

    filename: str
    """The name that it was uploaded under; empty when it had none."""
    bytes: int
    sha256: str
    format: str | None = None
    """zip, npz or idx."""


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file of a request, on the disk of the server."""

    field: str
    path: Path
    source: Source

    @property
    def upload(self) -> str:
        """Its name among the artifacts."""
        return f"{UPLOADS}/{self.path.name}"


def archive_limits(settings: Settings, memory: MemoryBudget | None = None) -> ArchiveLimits:
    """Return what an archive may hold; the largest file is an uncompressed picture of the most pixels.

    With `memory`, what opening one takes is reserved there.
    """
    return ArchiveLimits(
        entries=settings.max_archive_entries,
        ratio=settings.max_archive_ratio,
        member_bytes=settings.max_image_pixels * 8 + _HEADROOM,
        unpacked_bytes=settings.max_upload_bytes,
        memory=memory,
    )


def check_upload(reader: Reader, picture: PictureSpec, free: int) -> None:
    """Refuse what cannot become a data set, as far as that shows before any picture is decoded.

    Raises:
        Invalid: no class has enough pictures for all splits.
        TooLarge: the arrays need more than the `free` bytes; small files can hold large pictures.
    """
    if not reader.splits and reader.counts.max() < len(SPLIT_NAMES):
        raise _too_few("each")
    check_space(len(reader), picture, free)


def check_space(images: int, picture: PictureSpec, free: int) -> None:
    """Refuse pictures that the disk has no room for.

    Raises:
        TooLarge: they need more than the `free` bytes.
    """
    height, width, channels = picture.image_shape
    needed = images * height * width * channels
    if needed > free:
        raise TooLarge(
            f"{images} pictures of {height}x{width}x{channels} need {needed} bytes on the disk of "
            f"the server, where {free} are free; choose a smaller image_size",
            code="no-space",
        )


def begin_segment(dataset_id: str, number: int, job_id: str, attempt: int, artifacts: Artifacts) -> str:
    """Return the directory to which an attempt of a job writes a segment; what those before it have left is removed."""
    folder = paths.dataset(dataset_id)
    artifacts.clean(folder, age=0)
    for found in artifacts.folders(folder):
        if paths.of_earlier_attempt(found.name, job_id, attempt):
            artifacts.delete(found.name)
    return paths.segment(dataset_id, number, job_id, attempt)


def make_dataset(
    dataset_id: str,
    folder: str,
    reader: Reader,
    options: DatasetOptions,
    source: Source,
    artifacts: Artifacts,
    settings: Settings,
    beat: WorkerBeat,
) -> DatasetContents:
    """Write the pictures of a reader as the first segment of a data set, in a directory.

    Raises:
        DomainError: they cannot be trained on.
        Interrupted, StaleAttempt: as `beat` does.
    """
    decoder = PictureDecoder(reader, options, Bounds(settings.max_image_pixels), beat)
    classes = len(reader.counts)

    def draw(labels: NDArray[np.int32]) -> NDArray[np.uint8]:
        _check_classes(reader, decoder)
        splits = place(decoder.given_splits, labels, classes, options.split, options.seed)
        for code, name in enumerate(SPLIT_NAMES):
            if not (splits == code).any():
                raise _too_few(f"the {name}")
        decoder.report.warnings += _missing_in_splits(reader, decoder, labels, splits)
        return splits

    segment = write_kept_up(dataset_id, 1, folder, decoder, classes, draw, options, artifacts, beat)
    report = {
        "source": source.model_copy(update={"format": reader.format}).model_dump(mode="json"),
        **decoder.report.document(),
    }
    return storage.describe(segment, reader.classes, options.picture.image_shape, report)


def write_kept_up(
    dataset_id: str,
    number: int,
    folder: str,
    decoder: PictureDecoder,
    classes: int,
    draw: segments.Draw,
    options: DatasetOptions,
    artifacts: Artifacts,
    beat: WorkerBeat,
    labels: NDArray[np.int64] | None = None,
) -> segments.WrittenSegment:
    """Write a segment, showing life also while the disk is waited for.

    Args:
        dataset_id: whose segment it is.
        number: its place in the data set.
        folder: the directory of its files.
        decoder: where the pictures come from.
        classes: number of classes of the data set, or of whatever else splits are drawn by.
        draw: as for `segments.write_segment`.
        options: of the data set.
        artifacts: where to.
        beat: of the job.
        labels: what the reader's class indices are in the data set; the same when omitted.
    """
    with contextlib.ExitStack() as writing:

        def pictures() -> segments.Pictures:
            for picture, label in decoder.pictures():
                yield picture, label if labels is None else int(labels[label])
            # What follows is one long write to the disk: no step at which to show life.
            total = int(decoder.taken.sum())
            writing.enter_context(beat.kept_up(progress(total, total)))

        shape = options.picture.image_shape
        targets = None if options.target == "class" else decoder.targets
        return segments.write_segment(
            artifacts,
            dataset_id,
            number,
            shape,
            classes,
            pictures(),
            draw,
            targets,
            lambda: decoder.files,
            folder=folder,
        )


def _check_classes(reader: Reader, decoder: PictureDecoder) -> None:
    if reader.target != "class":
        target, targets = decoder.targets()
        for name, images in zip(reader.classes, segments.count_shown(targets, target), strict=True):
            if not images:
                raise Invalid(f"no picture that can be read has the label {name!r}", code="empty-class")
        return
    for label, name in enumerate(reader.classes):
        if decoder.taken[label] == 0:
            first = decoder.first_faults.get(label)
            why = f"; {first.name}: {first.reason}" if first else ""
            raise Invalid(
                f"no file of the class {name!r} is a picture that can be read{why}", code="empty-class"
            )


def _missing_in_splits(
    reader: Reader, decoder: PictureDecoder, labels: NDArray[np.int32], splits: NDArray[np.uint8]
) -> list[str]:
    """Say which classes or labels have no picture in a split, most important first."""
    if reader.target == "values":
        return []
    if reader.target == "class":
        counts = segments.count_pictures(labels, splits, len(reader.classes))
    else:
        _, targets = decoder.targets()
        shown = [np.count_nonzero(targets[splits == code], axis=0) for code in range(len(SPLIT_NAMES))]
        counts = np.stack(shown, axis=1)
    noun = "class" if reader.target == "class" else "label"
    consequences = ("a model cannot learn it", "no epoch is chosen by it", "nothing is measured of it")
    found = []
    for code, (split, consequence) in enumerate(zip(SPLIT_NAMES, consequences, strict=True)):
        names = [name for name, row in zip(reader.classes, counts, strict=True) if not row[code]]
        listed = ", ".join(map(repr, names[:_NAMED]))
        if len(names) > _NAMED:
            listed += f" and {len(names) - _NAMED} more"
        if names:
            found.append(f"the {split} split has no picture of the {noun} {listed}: {consequence}")
    return found


def _too_few(split: str) -> Invalid:
    return Invalid(
        f"there are too few pictures for {split} split: at least one class needs three that can be read, for "
        "train, dev and test",
        code="too-few-images",
    )
