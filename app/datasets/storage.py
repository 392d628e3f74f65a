"""How a data set lies on disk, and how training reads it without loading it.

A data set is an append-only list of immutable segments. A segment is three arrays of equal length in
npy files: `images` uint8 (n, H, W, C), `labels` int32 (n,) and `splits` uint8 (n,). Where pictures have labels or
values in place of a class there is a fourth, `targets` float32 (n, K), and `labels` says by what splits are drawn.
They are read through memory maps, so that the pages of a set larger than memory come and go as the system sees fit.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.records import class_names, options
from app.errors import Conflict, Damaged
from app.files import paths
from app.files.artifacts import Artifacts
from app.store import Store
from app.store.records import DatasetContents, DatasetRecord, Json, SegmentRecord
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

    def __post_init__(self) -> None:
        if self.targets is not None and len(self.targets) != len(self.images):
            raise ValueError(f"a segment has {len(self.images)} images, but {len(self.targets)} targets")
        if not len(self.images) == len(self.labels) == len(self.splits):
            raise ValueError(
                "the arrays of a segment differ in length: "
                f"{len(self.images)} images, {len(self.labels)} labels, {len(self.splits)} splits"
            )

    @classmethod
    def open(cls, folder: Path, target: Target = "class") -> Segment:
        """Map the segment's files; nothing is read before it is asked for."""
        return cls(
            images=_map(folder / IMAGES_FILE, np.dtype(np.uint8), 4),
            labels=_map(folder / LABELS_FILE, LABEL_TYPE, 1),
            splits=_map(folder / SPLITS_FILE, np.dtype(np.uint8), 1),
            targets=None if target == "class" else _map(folder / TARGETS_FILE, TARGET_TYPE, 2),
        )

    def answers(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Copy out the classes of pictures, int64 (n,), or their targets (n, K)."""
        if self.targets is None:
            return self.labels[positions].astype(np.int64)
        return np.asarray(self.targets[positions])


def _map(path: Path, dtype: np.dtype[Any], dimensions: int) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    if array.dtype != dtype or array.ndim != dimensions:
        raise ValueError(f"{path} holds {array.dtype} {array.shape}, not {dimensions} dimensions of {dtype}")
    return array


class StoredImages:
    """Some pictures of a data set, in their order of arrival: what training takes as an `ImageSet`."""

    def __init__(self, segments: Sequence[Segment], positions: NDArray[np.int64]) -> None:
        """Take the pictures at these positions, counted through all segments."""
        self._segments = tuple(segments)
        self._positions = positions
        self._starts = np.cumsum([0, *(len(segment.labels) for segment in segments)])

    def __len__(self) -> int:
        return len(self._positions)

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Copy out pictures by their index in this set: uint8 (n, H, W, C), and their classes int64 (n,).

        Where they have labels or values in place of a class: targets float32 (n, K).
        """
        positions = self._positions[indices]
        first = self._segments[0]
        if len(self._segments) == 1:
            return np.asarray(first.images[positions]), first.answers(positions)
        images = np.empty((len(positions), *first.images.shape[1:]), np.uint8)
        nothing = first.answers(positions[:0])
        answers = np.empty((len(positions), *nothing.shape[1:]), nothing.dtype)
        owners = np.searchsorted(self._starts, positions, side="right") - 1
        for owner in np.unique(owners):
            here = np.flatnonzero(owners == owner)
            segment = self._segments[owner]
            local = positions[here] - self._starts[owner]
            images[here] = segment.images[local]
            answers[here] = segment.answers(local)
        return images, answers


class StoredDataset:
    """A data set as it was when it held `images` pictures; what arrived later is not seen."""

    def __init__(self, segments: Sequence[Segment], images: int | None = None) -> None:
        """Open over segments in their order of arrival, all of their pictures unless `images` is given.

        Raises:
            ValueError: the segments hold fewer pictures than that, or do not fit together.
        """
        if not segments:
            raise ValueError("a data set needs at least one segment")
        shapes = {segment.images.shape[1:] for segment in segments}
        if len(shapes) != 1:
            raise ValueError(f"the segments hold pictures of different shapes: {sorted(shapes)}")
        held = sum(len(segment.labels) for segment in segments)
        self.images = held if images is None else images
        if self.images > held:
            raise ValueError(f"the data set should have {self.images} pictures, its segments hold {held}")
        self.segments = tuple(segments)
        self.image_shape: tuple[int, ...] = segments[0].images.shape[1:]
        self.labels = np.concatenate([segment.labels for segment in segments])[: self.images]
        self.splits = np.concatenate([segment.splits for segment in segments])[: self.images]
        targets = [segment.targets for segment in segments if segment.targets is not None]
        if targets and len(targets) != len(segments):
            raise ValueError("some segments hold targets, others do not")
        whole = targets[0] if len(targets) == 1 else np.concatenate(targets) if targets else None
        self.targets: Targets | None = None if whole is None else whole[: self.images]
        """Labels as 0 and 1, or values, (N, K); None where pictures have classes."""

    def check_classes(self, count: int) -> None:
        """Refuse pictures of more or, of labels and values, fewer classes than these.

        Raises:
            ValueError: that is so.
        """
        held = int(self.labels.max(initial=-1)) + 1 if self.targets is None else self.targets.shape[1]
        if held > count or (self.targets is not None and held != count):
            raise ValueError(f"its pictures show {held} classes, it names {count}")

    def positions(self, split: str | None = None) -> NDArray[np.int64]:
        """Return where the pictures of a split are, or all pictures, in their order of arrival."""
        if split is None:
            return np.arange(self.images, dtype=np.int64)
        return np.flatnonzero(self.splits == SPLIT_NAMES.index(split)).astype(np.int64)

    def split(self, name: str | None = None) -> StoredImages:
        """Return the pictures of the split `train`, `dev` or `test`, or of all three."""
        return StoredImages(self.segments, self.positions(name))

    def read(self, position: int) -> tuple[NDArray[np.uint8], int]:
        """Return one picture (H, W, C), and its class index where it has one."""
        images, _ = self.split().read(np.array([position]))
        return images[0], int(self.labels[position])

    def counts(self, classes: int) -> NDArray[np.int64]:
        """Count the pictures per class and split, (K, 3)."""
        return count_pictures(self.labels, self.splits, classes)


def open_dataset(
    store: Store, artifacts: Artifacts, dataset_id: str, images: int | None = None
) -> StoredDataset:
    """Open a data set that is ready, as it was when it held `images` pictures; by default as it is now.

    Raises:
        NotFound: there is no such data set.
        Conflict: it is not ready.
        Damaged: its row cannot be read, or does not fit its files.
    """
    record = store.datasets.get(dataset_id)
    check_ready(record)
    target, classes = options(record).target, len(record.classes)
    segments = store.datasets.find_segments(dataset_id)
    try:
        opened = StoredDataset(
            [Segment.open(artifacts.local_path(segment.path), target) for segment in segments],
            record.images if images is None else images,
        )
        opened.check_classes(classes)
    except ValueError as error:
        raise Damaged.of("data set", record.id, f"it does not fit its files: {error}") from error
    return opened


def check_ready(record: DatasetRecord) -> None:
    """Refuse a data set that has no pictures to read, yet or for good.

    Raises:
        Conflict: it is not ready.
    """
    if record.status != "ready":
        why = f": {record.error['message']}" if record.error else "; wait for its status to become ready"
        raise Conflict(f"data set {record.id!r} is {record.status}{why}", code="dataset-not-ready")


@dataclass(frozen=True)
class WrittenSegment:
    """A segment whose files are on the disk, for a row to refer to.

    Attributes:
        record: what the row will hold.
        counts: pictures per class and split, (K, 3).
        shown: pictures that show each class, or have each label or value, (K,).
        bytes: the size of its files.
    """

    record: SegmentRecord
    counts: NDArray[np.int64]
    shown: NDArray[np.int64]
    bytes: int


def write_segment(
    artifacts: Artifacts,
    dataset_id: str,
    number: int,
    image_shape: Sequence[int],
    classes: int,
    pictures: Iterable[tuple[NDArray[np.uint8], int]],
    draw: Draw,
    targets: Callable[[], tuple[Target, Targets]] | None = None,
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
    """
    folder = paths.segment(dataset_id, number)
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
    checksum = hashlib.sha256("".join(file.sha256 for file in written).encode()).hexdigest()
    return WrittenSegment(
        SegmentRecord(dataset_id, number, len(labels), folder, checksum),
        counts,
        shown,
        sum(file.bytes for file in written),
    )


def describe(
    segment: WrittenSegment, classes: Sequence[str], image_shape: Sequence[int], report: Json
) -> DatasetContents:
    """Return what the row of a data set with this one segment says."""
    return _contents(segment, (), segment.counts, segment.shown, classes, image_shape, report)


def describe_growth(
    segment: WrittenSegment,
    earlier: Sequence[SegmentRecord],
    record: DatasetRecord,
    counts: NDArray[np.int64],
) -> DatasetContents:
    """Return what the row of a data set says once it has another segment.

    Args:
        segment: the new one.
        earlier: those that were there.
        record: the row so far.
        counts: pictures per class and split of those that were there, (K, 3).
    """
    names = class_names(record)
    both = counts + segment.counts
    grown = _contents(segment, earlier, both, both.sum(axis=1), names, record.image_shape, record.report)
    return replace(grown, bytes=record.bytes + segment.bytes)


def _contents(
    segment: WrittenSegment,
    earlier: Sequence[SegmentRecord],
    counts: NDArray[np.int64],
    shown: NDArray[np.int64],
    classes: Sequence[str],
    image_shape: Sequence[int],
    report: Json,
) -> DatasetContents:
    identity = {
        "classes": list(classes),
        "image_shape": list(image_shape),
        "segments": [*(before.sha256 for before in earlier), segment.record.sha256],
    }
    per_split = counts.sum(axis=0)
    return DatasetContents(
        classes=[{"name": name, "images": int(images)} for name, images in zip(classes, shown, strict=True)],
        splits={name: int(images) for name, images in zip(SPLIT_NAMES, per_split, strict=True)},
        image_shape=list(image_shape),
        images=int(counts.sum()),
        bytes=segment.bytes,
        report=report,
        fingerprint=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
        segments=(segment.record,),
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
