"""The files of a segment of a data set: images, labels and splits, and what else there is of its pictures."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.file_names import FileNames
from app.datasets.readers.splits import SPLIT_NAMES
from app.errors import StorageFault
from app.files import paths
from app.files.artifacts import Artifacts, Written
from app.store.records import SegmentRecord
from engine.recipe.targets import Target

IMAGES_FILE = "images.npy"
LABELS_FILE = "labels.npy"
SPLITS_FILE = "splits.npy"
TARGETS_FILE = "targets.npy"
LABEL_TYPE = np.dtype("<i4")
TARGET_TYPE = np.dtype("<f4")

Pictures = Iterator[tuple[NDArray[np.uint8], int]]
Draw = Callable[[NDArray[np.int32]], NDArray[np.uint8]]
"""Returns the splits of pictures, given their labels."""
Targets = NDArray[np.float32]


@dataclass(frozen=True)
class Segment:
    """The arrays of one segment, in memory or mapped from files."""

    images: NDArray[np.uint8]  # (n, H, W, C)
    labels: NDArray[np.integer]  # (n,)
    splits: NDArray[np.uint8]  # (n,)
    targets: Targets | None = None  # (n, K), where pictures have no classes
    names: FileNames | None = None  # where pictures came in files of their own

    def __post_init__(self) -> None:
        if self.names is not None and len(self.names) != len(self.images):
            raise ValueError(f"a segment has {len(self.images)} images, but {len(self.names)} names")
        if self.targets is not None and len(self.targets) != len(self.images):
            raise ValueError(f"a segment has {len(self.images)} images, but {len(self.targets)} targets")
        if not len(self.images) == len(self.labels) == len(self.splits):
            raise ValueError(
                "the arrays of a segment differ in length: "
                f"{len(self.images)} images, {len(self.labels)} labels, {len(self.splits)} splits"
            )

    @classmethod
    def open(cls, artifacts: Artifacts, folder: str, target: Target = "class") -> Segment:
        """Map the segment's files; nothing is read before it is asked for."""

        def path(name: str) -> Path:
            return artifacts.local_path(f"{folder}/{name}")

        return cls(
            images=_map(path(IMAGES_FILE), np.dtype(np.uint8), 4),
            labels=_map(path(LABELS_FILE), LABEL_TYPE, 1),
            splits=_map(path(SPLITS_FILE), np.dtype(np.uint8), 1),
            targets=None if target == "class" else _map(path(TARGETS_FILE), TARGET_TYPE, 2),
            names=FileNames.open(path),
        )


def _map(path: Path, dtype: np.dtype[Any], dimensions: int) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    if array.dtype != dtype or array.ndim != dimensions:
        raise ValueError(f"{path} holds {array.dtype} {array.shape}, not {dimensions} dimensions of {dtype}")
    return array


@dataclass(frozen=True)
class WrittenSegment:
    """A segment whose files are on the disk, for a row to refer to.

    Attributes:
        record: what the row will hold.
        counts: pictures per class and split, (K, 3).
        shown: pictures that show each class, or have each label or value, (K,).
        files: what it consists of.
    """

    record: SegmentRecord
    counts: NDArray[np.int64]
    shown: NDArray[np.int64]
    files: tuple[Written, ...]

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(file.bytes for file in self.files)


def write_segment(
    artifacts: Artifacts,
    dataset_id: str,
    number: int,
    image_shape: Sequence[int],
    classes: int,
    pictures: Iterable[tuple[NDArray[np.uint8], int]],
    draw: Draw,
    targets: Callable[[], tuple[Target, Targets]] | None = None,
    names: Callable[[], Sequence[str]] = lambda: (),
    *,
    folder: str | None = None,
) -> WrittenSegment:
    """Write pictures to disk as they come, one in memory at a time, then draw their splits.

    Args:
        artifacts: where to.
        dataset_id: whose segment it is.
        number: its place in the data set, from 1.
        image_shape: [height, width, channels] of every picture.
        classes: number of classes, or of whatever else splits are drawn by.
        pictures: arrays (H, W, C) with their class index; what it raises ends the writing and is raised on.
        draw: returns the splits of all the pictures, given their labels; may raise as well.
        targets: returns the labels or values of all the pictures, in place of their classes, after the last of them.
        names: returns the names of the files that they came in, after the last of them; empty texts for none.
        folder: the directory of its files, where nobody else writes; by default that of a segment which comes with us.
    """
    folder = folder or paths.segment(dataset_id, number)
    try:
        return _write(
            artifacts, folder, dataset_id, number, image_shape, classes, pictures, draw, targets, names
        )
    except (OSError, StorageFault):
        # Where there is no room, what is written already must not take the room of the next try.
        artifacts.delete(folder)
        raise


def _write(
    artifacts: Artifacts,
    folder: str,
    dataset_id: str,
    number: int,
    image_shape: Sequence[int],
    classes: int,
    pictures: Iterable[tuple[NDArray[np.uint8], int]],
    draw: Draw,
    targets: Callable[[], tuple[Target, Targets]] | None,
    names: Callable[[], Sequence[str]],
) -> WrittenSegment:
    arrived: list[int] = []

    def write_images(file: IO[bytes]) -> None:
        file.write(_header((0, *image_shape)))
        for picture, label in pictures:
            file.write(np.ascontiguousarray(picture).data)
            arrived.append(label)
        file.seek(0)
        file.write(_header((len(arrived), *image_shape)))

    written = [artifacts.write(f"{folder}/{IMAGES_FILE}", write_images)]
    labels = np.array(arrived, LABEL_TYPE)
    splits = draw(labels)
    written.append(artifacts.write(f"{folder}/{LABELS_FILE}", _npy(labels)))
    written.append(artifacts.write(f"{folder}/{SPLITS_FILE}", _npy(splits)))
    counts = count_pictures(labels, splits, classes)
    shown = counts.sum(axis=1)
    if targets is not None:
        target, numbers = targets()
        written.append(artifacts.write(f"{folder}/{TARGETS_FILE}", _npy(numbers.astype(TARGET_TYPE))))
        shown = count_shown(numbers, target)
    # Names of files are not in it: the same pictures under other names are the same data set.
    checksum = hashlib.sha256("".join(file.sha256 for file in written).encode()).hexdigest()
    files = names()
    if any(files):
        arrays = FileNames.of(files).arrays
        written += [artifacts.write(f"{folder}/{name}", _npy(array)) for name, array in arrays.items()]
    return WrittenSegment(
        SegmentRecord(dataset_id, number, len(labels), folder, checksum),
        counts,
        shown,
        tuple(written),
    )


def count_pictures(labels: NDArray[np.integer], splits: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Count pictures per class and split, (K, 3)."""
    cells = labels.astype(np.int64) * len(SPLIT_NAMES) + splits
    return np.bincount(cells, minlength=classes * len(SPLIT_NAMES)).reshape(classes, len(SPLIT_NAMES))


def count_shown(targets: Targets, target: Target) -> NDArray[np.int64]:
    """Count the pictures that have each label, (K,); each value has them all."""
    if target == "values":
        return np.full(targets.shape[1], len(targets), np.int64)
    return np.asarray(np.count_nonzero(targets, axis=0), np.int64)


def _header(shape: tuple[int, ...]) -> bytes:
    """Return the header of an npy file of bytes; NumPy leaves room for the first length to grow."""
    buffer = io.BytesIO()
    content = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, content)
    return buffer.getvalue()


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()
