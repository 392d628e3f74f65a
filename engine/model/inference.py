"""Predictions from a model; safe to call from many threads at once."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from engine.arrays import Array, Bytes
from engine.errors import ShapeError
from engine.fast.layout.gemm import Tuning
from engine.fast.serving.pool import PlanPool
from engine.graph.network import Network
from engine.model.model_file import Model

_BATCH = 64


class Predictor:
    """A model ready to predict; requests share its weights without a lock."""

    def __init__(
        self, model: Model, tuning: Tuning | None = None, executor: Executor | None = None, ways: int = 1
    ) -> None:
        """Take a model; large batches are split in `ways` parts over the threads of an executor, if there is one."""
        self.model = model
        network = Network.build(model.architecture).without_final(model.loss.link)
        self._input_shape = network.input_shape
        self._pool = PlanPool(network, model.weights, tuning or Tuning(), executor, ways)

    @property
    def is_split(self) -> bool:
        """Whether a second process computes half of single pictures."""
        return self._pool.is_split

    def split(self) -> None:
        """Start a second process that computes half of single pictures, if the network is worth it.

        Raises:
            OSError: it cannot be started.
        """
        self._pool.split()

    def join(self) -> None:
        """End the second process, if there is one."""
        self._pool.join()

    def predict(self, images: Bytes) -> Array:
        """Return the probability of each class or label, or the values.

        Args:
            images: pictures (N, H, W, C) as bytes, of the model's input shape.

        Returns:
            Predictions (N, K), float32.

        Raises:
            ShapeError: the pictures are of another shape.
        """
        expected = self._input_shape
        if images.shape[1:] != expected:
            wanted, given = ("x".join(map(str, shape)) for shape in (expected, images.shape[1:]))
            raise ShapeError(f"the model takes {wanted} pictures but receives {given}")
        predictions = np.empty((len(images), len(self.model.classes)), np.float32)
        for first in range(0, len(images), _BATCH):
            batch = self.model.preprocessing.apply(images[first : first + _BATCH])
            predictions[first : first + _BATCH] = self.model.loss.predict(self._pool.scores(batch))
        return predictions
