"""From a data set to the batches of an epoch, in its order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine import draws
from engine.arrays import Array, Bytes, Indices, Shape
from engine.augmentations import partners
from engine.inputs.batch import Batch
from engine.recipe.config import TrainingConfig
from engine.recipe.targets import Target


class ImageSet(Protocol):
    """Labelled pictures that can be read in any order."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def read(self, indices: Indices) -> tuple[Bytes, Array]:
        """Return pictures (n, H, W, C) as bytes and their classes (n,), or targets (n, K) for labels or numbers."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """A data set with its three splits."""

    train: ImageSet
    dev: ImageSet
    test: ImageSet
    classes: tuple[str, ...]
    """Or the names of the labels or values."""
    image_shape: Shape
    target: Target = "class"
    variants: tuple[ImageSet, ...] = ()
    """The same pictures to train on in other versions, of which each epoch sees the next one."""

    def in_epoch(self, epoch: int) -> ImageSet:
        """Return the pictures that an epoch, from 1, trains on."""
        return (self.train, *self.variants)[(epoch - 1) % (1 + len(self.variants))]


def one_hot(labels: Indices, classes: int) -> Array:
    """Return targets (N, K): 1 for the class of each picture, else 0."""
    targets = np.zeros((len(labels), classes), np.float32)
    targets[np.arange(len(labels)), labels] = 1
    return targets


def as_targets(labels: Array, classes: int) -> Array:
    """Return targets (N, K) in float32, from classes (N,) or from targets."""
    return one_hot(labels, classes) if labels.ndim == 1 else labels.astype(np.float32, copy=False)


class Feed:
    """The batches of an epoch, in its order."""

    def __init__(self, config: TrainingConfig, data: TrainingData) -> None:
        self._config = config
        self._data = data
        self._partners = partners(config.augmentations)
        self._per_step = config.batch_size * config.accumulate
        self._epoch = 0
        self._order: Indices = np.arange(0)

    def shuffle(self, epoch: int) -> None:
        """Draw the order of an epoch."""
        self._epoch = epoch
        count = len(self._data.train)
        self._order = draws.generator(self._config.seed, "order", epoch).permutation(count)

    def pictures(self, position: int) -> int:
        """Return how many pictures the step at `position`, from 0, of the epoch sees."""
        return min(self._per_step, len(self._order) - position * self._per_step)

    def batches(self, position: int, reads: Callable[[int], int] = int) -> Iterator[Batch]:
        """Yield the batches of that step.

        Args:
            position: of the step in the epoch, from 0.
            reads: returns how many pictures of a batch, the first ones, are read; by default all.
        """
        first = position * self._per_step
        last = first + self.pictures(position)
        for begin in range(first, last, self._config.batch_size):
            end = min(begin + self._config.batch_size, last)
            # the partners of the last ones come after them in the epoch's order, which closes in a circle
            places = np.arange(begin, end + self._partners) % len(self._order)
            samples = self._order[places]
            read = samples[: reads(end - begin) + self._partners]
            images, labels = self._data.in_epoch(self._epoch).read(read)
            yield Batch(
                images,
                as_targets(labels, len(self._data.classes)),
                samples,
                self._epoch,
                labels.ndim == 1,
                begin - first,
                self._partners,
            )
