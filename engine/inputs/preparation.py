"""From pictures as they are stored to what goes into the network: augmented, then normalised.

It is drawn from the sample's own place, epoch and seed, so that any share of a batch can do its part.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from engine.arrays import Array, Bytes, Indices
from engine.augmentations import AnyAugmentation, Pipeline
from engine.inputs.batch import Batch
from engine.inputs.preprocessing import Preprocessing
from engine.spec import Spec
from engine.workspace import FRESH, Buffers


class Preparation(Spec):
    """How pictures are augmented and normalised in one run."""

    augmentations: tuple[AnyAugmentation, ...] = ()
    seed: int = 0
    """Of the run."""
    preprocessing: Preprocessing | None
    """None where no pictures come but features of them: those go into the network as they are."""

    @property
    def stored(self) -> type[np.uint8 | np.float32]:
        """The type of the numbers that come."""
        return np.float32 if self.preprocessing is None else np.uint8

    @property
    def partners(self) -> int:
        """How many pictures more a batch holds than are trained on."""
        return self._pipeline.partners

    def training(self, batch: Batch, buffers: Buffers = FRESH) -> tuple[Array, Array]:
        """Return the pictures (n, H, W, C) of a batch as the network takes them, and their targets (n, K)."""
        if self.preprocessing is None:
            return batch.images, batch.targets
        images, targets = self._pipeline.apply(
            batch.images, batch.targets, batch.samples, batch.epoch, buffers
        )
        return self.preprocessing.apply(images, buffers.buffer("x", images.shape, np.float32)), targets

    def inference(self, images: Array) -> Array:
        """Return pictures (n, H, W, C) as the network takes them where it does not learn."""
        return images if self.preprocessing is None else self.preprocessing.apply(images)

    def augmented(self, images: Bytes, samples: Indices, epoch: int) -> Array:
        """Return pictures (n, H, W, C) as an epoch sees them before normalisation, numbers 0..255; none is mixed.

        Args:
            images: as they are stored.
            samples: their places among those that are trained on, (n,).
            epoch: from 1.
        """
        nothing = np.zeros((len(images), 1), np.float32)
        return self._pipeline.apply(images, nothing, samples, epoch)[0]

    @cached_property
    def _pipeline(self) -> Pipeline:
        return Pipeline(self.augmentations, self.seed)
