"""Pictures of one split that look like pictures of another: a figure that they are judged by is too good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.datasets.storage import StoredDataset

_SIDE = 16
_ALIKE = 0.995
"""Correlation of two thumbnails from which pictures are near duplicates: scaled, compressed again, or a frame later."""
_FLAT = 4.0
"""Deviation of grey values below which a thumbnail shows nothing to compare."""
_AT_ONCE = 128
_BYTES_AT_ONCE = 8 << 20
_MOST_PAIRS = 400_000_000
"""Comparisons that take a few seconds."""


@dataclass(frozen=True)
class Pair:
    """A picture, the one of another split that it resembles most, by their numbers, and how much."""

    number: int
    like: int
    similarity: float


def near_duplicates(
    stored: StoredDataset, judging: NDArray[np.int64], learned: NDArray[np.int64]
) -> list[Pair] | None:
    """Return the pictures at `judging` that resemble one at `learned`, the most similar first; None if it took long."""
    if len(judging) * len(learned) > _MOST_PAIRS:
        return None
    if not len(judging) or not len(learned):
        return []
    candidates = thumbnails(stored, learned)
    pairs = []
    for first in range(0, len(judging), _AT_ONCE):
        some = judging[first : first + _AT_ONCE]
        similarity = thumbnails(stored, some) @ candidates.T  # (n, m)
        best = similarity.argmax(axis=1)
        values = similarity[np.arange(len(some)), best]
        pairs += [
            Pair(int(some[row]), int(learned[best[row]]), min(1.0, float(values[row])))
            for row in np.flatnonzero(values >= _ALIKE)
        ]
    return sorted(pairs, key=lambda pair: -pair.similarity)


def thumbnails(stored: StoredDataset, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return pictures as grey thumbnails (n, at most 256) of mean 0 and length 1, so that products correlate them.

    One without contrast is 0, and resembles nothing.
    """
    height, width = stored.image_shape[:2]
    rows, columns = (np.unique(np.arange(_SIDE) * side // _SIDE) for side in (height, width))
    areas = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    made = np.empty((len(positions), areas.size), np.float32)
    at_once = max(1, _BYTES_AT_ONCE // int(np.prod(stored.image_shape)))
    for first in range(0, len(positions), at_once):
        grey = stored.images_at(positions[first : first + at_once]).mean(axis=3, dtype=np.float32)
        sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=1), columns, axis=2)
        made[first : first + len(grey)] = (sums / areas).reshape(len(grey), -1)
    made -= made.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(made, axis=1, keepdims=True)
    flat = lengths < _FLAT * np.sqrt(areas.size)
    return np.where(flat, np.float32(0), made / np.where(flat, 1, lengths)).astype(np.float32)
