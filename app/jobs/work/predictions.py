"""What a model predicts for the pictures of a data set: of one split all of them, of the others a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.storage import StoredDataset
from app.jobs.evaluated import looked_at

_BATCH = 64

Split = Literal["train", "dev", "test"]
Places = NDArray[np.int64]
"""The positions of pictures in the data set, (n,)."""
Predict = Callable[[Places], NDArray[np.float32]]
"""Returns what is predicted for pictures, (n, K)."""
Batch = tuple[NDArray[np.float32], NDArray[Any], Places]
"""What was predicted (n, K), what is true (the classes or targets), and the positions of the pictures (n,)."""


class SplitPictures:
    """Which pictures an evaluation looks at, and which together, split after split.

    Attributes:
        split: the split that is looked at closely.
        total: how many pictures are looked at.
    """

    def __init__(self, dataset: StoredDataset, split: Split) -> None:
        self.split = split
        self._positions = {name: self._chosen(name, dataset.positions(name)) for name in SPLIT_NAMES}
        self.total = sum(map(len, self._positions.values()))

    def images(self, name: str) -> int:
        """Return how many pictures of a split are looked at."""
        return len(self._positions[name])

    def batches(self, name: str) -> Iterator[Places]:
        """Return the pictures of a split that are looked at together, batch after batch."""
        positions = self._positions[name]
        for first in range(0, len(positions), _BATCH):
            yield positions[first : first + _BATCH]

    def all_batches(self) -> Iterator[tuple[int, Places]]:
        """Return all batches, in the order in which they are looked at, each with the number of pictures before it."""
        first = 0
        for name in SPLIT_NAMES:
            for places in self.batches(name):
                yield first, places
                first += len(places)

    def _chosen(self, name: str, positions: Places) -> Places:
        count = looked_at(len(positions), is_chosen=name == self.split)
        if count == len(positions):
            return positions
        return positions[np.linspace(0, len(positions) - 1, count).astype(np.int64)]


class SplitPredictions:
    """The predictions for each split, made, or read, as they are asked for: in the order of `SPLIT_NAMES`."""

    def __init__(
        self,
        pictures: SplitPictures,
        dataset: StoredDataset,
        predict: Predict,
        shown: Callable[[int], object],
    ) -> None:
        """Begin with the first split.

        Args:
            pictures: which there are.
            dataset: they are of.
            predict: returns what is predicted for a batch.
            shown: called with the number of pictures so far.
        """
        self.pictures = pictures
        self._dataset, self._predict, self._shown = dataset, predict, shown
        self._done = 0

    def batches(self, name: str) -> Iterator[Batch]:
        """Predict the pictures of a split, batch after batch."""
        for places in self.pictures.batches(name):
            yield self._predict(places), self._dataset.answers_at(places), places
            self._done += len(places)
            self._shown(self._done)
