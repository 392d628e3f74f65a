"""How a data set lies on disk, and how training reads it without loading it.

A data set is an append-only list of immutable segments. A segment is three arrays of equal length in
npy files: `images` uint8 (n, H, W, C), `labels` int32 (n,) and `splits` uint8 (n,). They are read through
memory maps, so that the pages of a set larger than memory come and go as the system sees fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.splits import SPLIT_NAMES

IMAGES_FILE = "images.npy"
LABELS_FILE = "labels.npy"
SPLITS_FILE = "splits.npy"
LABEL_TYPE = np.dtype("<i4")


@dataclass(frozen=True)
class Segment:
    """The three arrays of one segment, in memory or mapped from files."""

    images: NDArray[np.uint8]  # (n, H, W, C)
    labels: NDArray[np.integer]  # (n,)
    splits: NDArray[np.uint8]  # (n,)

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.labels) == len(self.splits):
            raise ValueError(
                "the arrays of a segment differ in length: "
                f"{len(self.images)} images, {len(self.labels)} labels, {len(self.splits)} splits"
            )

    @classmethod
    def open(cls, folder: Path) -> Segment:
        """Map the segment's files; nothing is read before it is asked for."""
        return cls(
            images=_map(folder / IMAGES_FILE, np.dtype(np.uint8), 4),
            labels=_map(folder / LABELS_FILE, LABEL_TYPE, 1),
            splits=_map(folder / SPLITS_FILE, np.dtype(np.uint8), 1),
        )


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

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Copy out pictures by their index in this set: uint8 (n, H, W, C) and labels int64 (n,)."""
        positions = self._positions[indices]
        if len(self._segments) == 1:
            segment = self._segments[0]
            return np.asarray(segment.images[positions]), segment.labels[positions].astype(np.int64)
        images = np.empty((len(positions), *self._segments[0].images.shape[1:]), np.uint8)
        labels = np.empty(len(positions), np.int64)
        owners = np.searchsorted(self._starts, positions, side="right") - 1
        for owner in np.unique(owners):
            here = np.flatnonzero(owners == owner)
            segment = self._segments[owner]
            local = positions[here] - self._starts[owner]
            images[here] = segment.images[local]
            labels[here] = segment.labels[local]
        return images, labels


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

    def split(self, name: str) -> StoredImages:
        """Return the pictures of the split `train`, `dev` or `test`."""
        positions = np.flatnonzero(self.splits == SPLIT_NAMES.index(name)).astype(np.int64)
        return StoredImages(self.segments, positions)

    def all(self) -> StoredImages:
        """Return the pictures of every split."""
        return StoredImages(self.segments, np.arange(self.images, dtype=np.int64))

    def counts(self, classes: int) -> NDArray[np.int64]:
        """Count the pictures per class and split, (K, 3)."""
        cells = self.labels.astype(np.int64) * len(SPLIT_NAMES) + self.splits
        return np.bincount(cells, minlength=classes * len(SPLIT_NAMES)).reshape(classes, len(SPLIT_NAMES))
