"""Labelled pictures in memory, for all that is measured without a data set on a disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Pictures:
    """Pictures and their classes, read as those of a data set are."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[Any]) -> None:
        self.images, self.labels = images, labels.astype(np.int64)

    @classmethod
    def noise(cls, count: int, shape: Sequence[int], classes: int = 10) -> Pictures:
        """Return pictures of nothing, always the same."""
        draw = np.random.default_rng(0)
        images = draw.integers(0, 256, (count, *shape), np.uint8)
        return cls(images, draw.integers(0, classes, count))

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return some of them."""
        return self.images[indices], self.labels[indices]
