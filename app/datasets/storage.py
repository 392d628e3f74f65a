"""How a data set lies on disk, and how training reads it without loading it.

A data set is an append-only list of immutable segments. A segment is three arrays of equal length in
npy files: `images` uint8 (n, H, W, C), `labels` int32 (n,) and `splits` uint8 (n,). Where pictures have labels or
values in place of a class there is a fourth, `targets` float32 (n, K), and `labels` says by what splits are drawn.
They are read through memory maps, so that the pages of a set larger than memory come and go as the system sees fit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.corrections import Corrections
from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.records import class_names, options
from app.datasets.segments import Segment, Targets, WrittenSegment, count_pictures, count_shown
from app.errors import Conflict, Damaged
from app.files.artifacts import Artifacts
from app.store import Store
from app.store.records import DatasetContents, DatasetRecord, Json, SegmentRecord
from engine.recipe.targets import Target

_NONE = Corrections()


class StoredImages:
    """Some pictures of a data set, in their order of arrival: what training takes as an `ImageSet`."""

    def __init__(self, dataset: StoredDataset, positions: NDArray[np.int64]) -> None:
        """Take the pictures at these positions, counted through all segments."""
        self._dataset = dataset
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Copy out pictures by their index in this set: uint8 (n, H, W, C), and their classes int64 (n,).

        Where they have labels or values in place of a class: targets float32 (n, K).
        """
        positions = self._positions[indices]
        return self._dataset.images_at(positions), self._dataset.answers_at(positions)


class StoredDataset:
    """A data set as it was when it held `images` pictures; what arrived or was corrected later is not seen.

    Attributes:
        images: how many pictures there are, those that are left out among them.
        corrections: what was corrected in it.
        labels: the class index of each picture, (N,), as it is corrected; of labels and values by what splits are
            drawn.
        splits: the split of each, (N,).
        used: which pictures are not left out, (N,).
        fingerprint: a checksum of pictures, labels and splits, where it was opened with one.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        images: int | None = None,
        corrections: Corrections = _NONE,
        fingerprint: str | None = None,
    ) -> None:
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
        self._starts = np.cumsum([0, *(len(segment.labels) for segment in segments)])
        self.uploaded_labels = np.concatenate([segment.labels for segment in segments])[: self.images]
        self.corrections = corrections
        self.fingerprint = fingerprint
        self.labels = self.uploaded_labels
        self.used = corrections.used(self.images)
        self.splits = np.concatenate([segment.splits for segment in segments])[: self.images]
        targets = [segment.targets for segment in segments if segment.targets is not None]
        if targets and len(targets) != len(segments):
            raise ValueError("some segments hold targets, others do not")
        whole = targets[0] if len(targets) == 1 else np.concatenate(targets) if targets else None
        self.uploaded_targets: Targets | None = None if whole is None else whole[: self.images]
        self.targets: Targets | None = None
        """Labels as 0 and 1, or values, (N, K), as they are corrected; None where pictures have classes."""
        if self.uploaded_targets is None:
            self.labels = corrections.corrected(self.uploaded_labels)
        else:
            self.targets = corrections.corrected(self.uploaded_targets)

    @property
    def uploaded(self) -> NDArray[Any]:
        """What each picture shows as it was uploaded: class indices (N,), or targets (N, K)."""
        return self.uploaded_labels if self.uploaded_targets is None else self.uploaded_targets

    def check_classes(self, count: int) -> None:
        """Refuse pictures of more or, of labels and values, fewer classes than these.

        Raises:
            ValueError: that is so.
        """
        held = int(self.labels.max(initial=-1)) + 1 if self.targets is None else self.targets.shape[1]
        if held > count or (self.targets is not None and held != count):
            raise ValueError(f"its pictures show {held} classes, it names {count}")

    def positions(self, split: str | None = None) -> NDArray[np.int64]:
        """Return where the pictures of a split are, or of all three, in their order of arrival; none is left out."""
        if split is None:
            return np.flatnonzero(self.used).astype(np.int64)
        return np.flatnonzero(self.used & (self.splits == SPLIT_NAMES.index(split))).astype(np.int64)

    def split(self, name: str | None = None) -> StoredImages:
        """Return the pictures of the split `train`, `dev` or `test`, or of all three, without what is left out."""
        return StoredImages(self, self.positions(name))

    def everything(self) -> StoredImages:
        """Return all pictures, those that are left out too: what reads pictures by their number."""
        return StoredImages(self, np.arange(self.images, dtype=np.int64))

    def read(self, position: int) -> tuple[NDArray[np.uint8], int]:
        """Return one picture (H, W, C), and its class index where it has one."""
        return self.images_at(np.array([position]))[0], int(self.labels[position])

    def images_at(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copy out pictures, (n, H, W, C)."""
        first = self.segments[0]
        if len(self.segments) == 1:
            return np.asarray(first.images[positions])
        images = np.empty((len(positions), *self.image_shape), np.uint8)
        owners = np.searchsorted(self._starts, positions, side="right") - 1
        for owner in np.unique(owners):
            here = np.flatnonzero(owners == owner)
            images[here] = self.segments[owner].images[positions[here] - self._starts[owner]]
        return images

    def answers_at(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Copy out the classes of pictures, int64 (n,), or their targets, float32 (n, K)."""
        if self.targets is None:
            return self.labels[positions].astype(np.int64)
        return np.asarray(self.targets[positions])

    def name(self, position: int) -> str | None:
        """Return the name of the file that a picture came in; None where it had none."""
        owner = int(np.searchsorted(self._starts, position, side="right")) - 1
        names = self.segments[owner].names
        return None if names is None else names[position - int(self._starts[owner])]

    def counts(self, classes: int) -> NDArray[np.int64]:
        """Count the pictures per class and split, (K, 3)."""
        return count_pictures(self.labels[self.used], self.splits[self.used], classes)

    def split_counts(self) -> NDArray[np.int64]:
        """Count the pictures of each split, (3,)."""
        return np.bincount(self.splits[self.used], minlength=len(SPLIT_NAMES))

    def shown(self, classes: int, target: Target) -> NDArray[np.int64]:
        """Count the pictures that show each class, or have each label or value, (K,)."""
        if self.targets is None:
            per_class: NDArray[np.int64] = self.counts(classes).sum(axis=1)
            return per_class
        return count_shown(self.targets[self.used], target)


def open_dataset(
    store: Store,
    artifacts: Artifacts,
    dataset_id: str,
    images: int | None = None,
    revision: int | None = None,
) -> StoredDataset:
    """Open a data set that is ready, as it was with so many pictures at a revision; by default as it is now.

    Raises:
        NotFound: there is no such data set.
        Conflict: it is not ready.
        Damaged: its row cannot be read, or does not fit its files.
    """
    record = store.datasets.get(dataset_id)
    check_ready(record)
    target, classes = options(record).target, len(record.classes)
    revision = record.revision if revision is None else revision
    images = record.images if images is None else images
    corrections = Corrections.of(store.datasets.corrections(dataset_id, revision) if revision else ())
    segments = store.datasets.find_segments(dataset_id)
    try:
        opened = StoredDataset(
            [Segment.open(artifacts, segment.path, target) for segment in segments],
            images,
            corrections,
            record.fingerprint,
        )
        opened.check_classes(classes)
    except FileNotFoundError as error:
        raise Damaged.of("data set", record.id, f"its file {Path(error.filename).name} is missing") from error
    except ValueError as error:
        raise Damaged.of("data set", record.id, f"it does not fit its files: {error}") from error
    if (images, revision) != (record.images, record.revision):
        opened.fingerprint = fingerprint(record.classes, record.image_shape, segments, opened)
    return opened


def fingerprint(
    classes: Sequence[Json],
    image_shape: Sequence[int],
    segments: Sequence[SegmentRecord],
    dataset: StoredDataset,
) -> str:
    """Return the checksum of pictures, labels and splits of a data set as it was opened.

    Args:
        classes: `{"name", ...}` in the order of the labels.
        image_shape: [height, width, channels].
        segments: those of the data set; what came after the pictures of `dataset` does not count.
        dataset: the data set.
    """
    held, checksums = 0, []
    for segment in segments:
        if held < dataset.images:
            checksums.append(segment.sha256)
        held += segment.images
    names = [str(entry["name"]) for entry in classes]
    return _fingerprint(names, image_shape, checksums, dataset.corrections.identity(dataset.uploaded))


def check_ready(record: DatasetRecord) -> None:
    """Refuse a data set that has no pictures to read, yet or for good.

    Raises:
        Conflict: it is not ready.
    """
    if record.status != "ready":
        why = f": {record.error['message']}" if record.error else "; wait for its status to become ready"
        raise Conflict(f"data set {record.id!r} is {record.status}{why}", code="dataset-not-ready")


def describe(
    segment: WrittenSegment, classes: Sequence[str], image_shape: Sequence[int], report: Json
) -> DatasetContents:
    """Return what the row of a data set with this one segment says."""
    return DatasetContents(
        **tallies(classes, segment.counts.sum(axis=0), segment.shown),
        image_shape=list(image_shape),
        images=segment.record.images,
        bytes=segment.bytes,
        report=report,
        fingerprint=_fingerprint(classes, image_shape, [segment.record.sha256], []),
        segments=(segment.record,),
        files=segment.files,
    )


def describe_growth(
    segment: WrittenSegment,
    earlier: Sequence[SegmentRecord],
    record: DatasetRecord,
    dataset: StoredDataset,
) -> DatasetContents:
    """Return what the row of a data set says once it has another segment.

    Args:
        segment: the new one.
        earlier: those that were there.
        record: the row so far.
        dataset: the data set so far.
    """
    names = class_names(record)
    counts = dataset.counts(len(names)) + segment.counts
    checksums = [*(before.sha256 for before in earlier), segment.record.sha256]
    corrected = dataset.corrections.identity(dataset.uploaded)
    return DatasetContents(
        **tallies(names, counts.sum(axis=0), counts.sum(axis=1)),
        image_shape=list(record.image_shape),
        images=record.images + segment.record.images,
        bytes=record.bytes + segment.bytes,
        report=record.report,
        fingerprint=_fingerprint(names, record.image_shape, checksums, corrected),
        segments=(segment.record,),
        files=segment.files,
    )


def tallies(classes: Sequence[str], counts: NDArray[np.int64], shown: NDArray[np.int64]) -> Json:
    """Return the columns `classes` and `splits` of a data set.

    Args:
        classes: the names of its classes, labels or values.
        counts: its pictures per split, (3,).
        shown: how many show each class, or have each label or value, (K,).
    """
    return {
        "classes": [
            {"name": name, "images": int(images)} for name, images in zip(classes, shown, strict=True)
        ],
        "splits": dict(zip(SPLIT_NAMES, counts.tolist(), strict=True)),
    }


def _fingerprint(
    classes: Sequence[str], image_shape: Sequence[int], segments: Sequence[str], corrected: Sequence[Json]
) -> str:
    identity: Json = {"classes": list(classes), "image_shape": list(image_shape), "segments": list(segments)}
    if corrected:
        identity["corrections"] = list(corrected)
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
