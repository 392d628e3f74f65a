"""What a model predicts for the pictures of a data set: of one split all of them, of the others a sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.storage import StoredDataset
from app.jobs.heartbeat import Heartbeat
from engine.model.inference import Predictor

SPLIT_SAMPLE = 10_000
"""Pictures of each other split that its error is measured on, spread evenly over it."""
_BATCH = 64

Split = Literal["train", "dev", "test"]
Batch = tuple[NDArray[np.float32], NDArray[Any], NDArray[np.int64]]
"""What was predicted (n, K), what is true (the classes or targets), and the positions of the pictures (n,)."""


class SplitPredictions:
    """The predictions for each split, made as they are asked for, with the progress shown on the way.

    Attributes:
        split: the split that is looked at closely.
        total: how many pictures are looked at.
    """

    def __init__(self, predictor: Predictor, dataset: StoredDataset, split: Split, beat: Heartbeat) -> None:
        self.split = split
        self._predictor = predictor
        self._dataset = dataset
        self._beat = beat
        self._positions = {name: self._chosen(name) for name in SPLIT_NAMES}
        self.total = sum(map(len, self._positions.values()))
        self._done = 0

    def images(self, name: str) -> int:
        """Return how many pictures of a split are looked at."""
        return len(self._positions[name])

    def batches(self, name: str) -> Iterator[Batch]:
        """Predict the pictures of a split, batch after batch."""
        positions = self._positions[name]
        images = self._dataset.everything()
        for first in range(0, len(positions), _BATCH):
            places = positions[first : first + _BATCH]
            pictures, targets = images.read(places)
            yield self._predictor.predict(pictures), targets, places
            self._done += len(places)
            self._beat({"images": self._done, "of": self.total, "fraction": self._done / self.total})

    def end(self) -> None:
        """Say that all is done."""
        self._beat({"images": self.total, "of": self.total, "fraction": 1.0}, force=True)

    def _chosen(self, name: str) -> NDArray[np.int64]:
        positions = self._dataset.positions(name)
        if name == self.split or len(positions) <= SPLIT_SAMPLE:
            return positions
        return positions[np.linspace(0, len(positions) - 1, SPLIT_SAMPLE).astype(np.int64)]
