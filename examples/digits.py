"""The data set and the training loop that the experiments share."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from app.builtin.digits import DIGITS_CLASSES, DIGITS_FILE, DIGITS_SHAPE
from engine.arrays import Bytes, Indices
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.feed import TrainingData
from engine.training.loop import TrainingConfig, train
from engine.training.state import EpochMetrics

_TRAIN, _DEV, _TEST = 0, 1, 2


class Pictures:
    """Labelled pictures in memory."""

    def __init__(self, images: Bytes, labels: Indices) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: Indices) -> tuple[Bytes, Indices]:
        """Return pictures and their classes."""
        return self.images[indices], self.labels[indices]


def digits(train_pictures: int) -> TrainingData:
    """Return the packaged handwritten digits, with the first so many of the train split."""
    with (resources.files("app.builtin") / DIGITS_FILE).open("rb") as packed, np.load(packed) as file:
        images, labels, splits = file["images"], file["labels"].astype(np.int64), file["splits"]
    sets = []
    for split, most in ((_TRAIN, train_pictures), (_DEV, None), (_TEST, None)):
        chosen = np.flatnonzero(splits == split)[:most]
        sets.append(Pictures(images[chosen], labels[chosen]))
    return TrainingData(sets[0], sets[1], sets[2], DIGITS_CLASSES, DIGITS_SHAPE)


def network(layers: Sequence[dict[str, Any]]) -> Network:
    """Build a network for the digits."""
    return Network.build(Architecture.model_validate({"input_shape": DIGITS_SHAPE, "layers": layers}))


def learn(layers: Sequence[dict[str, Any]], data: TrainingData, config: TrainingConfig) -> list[EpochMetrics]:
    """Train and return the figures of each epoch."""
    reports = train(network(layers), config, data)
    return [report.metrics for report in reports if report.metrics is not None]
