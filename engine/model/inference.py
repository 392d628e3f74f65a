"""Predictions from a model; safe to call from many threads at once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from engine.arrays import Array, Bytes
from engine.errors import ShapeError
from engine.fast.layout.gemm import Tuning
from engine.fast.serving.plans import PlanMemory
from engine.fast.serving.pool import PlanPool
from engine.graph.network import Network
from engine.model.computation import Computation, Library
from engine.model.model_file import Model

_BATCH = 64
_MEASURED = 31
"""One of so many batches is measured: to ask for the time of a core takes microseconds."""
_NEWEST_SHARE = 0.3
"""How much a new measurement counts against those before it."""
_MOST_TIMES = 2
"""As how many times those before it it counts at most."""
_TRIES = 3


class Predictor:
    """A model ready to predict; requests share its weights without a lock."""

    def __init__(
        self,
        model: Model,
        tuning: Tuning | None = None,
        executor: Executor | None = None,
        ways: int = 1,
        memory: PlanMemory | None = None,
        computation: Computation | None = None,
    ) -> None:
        """Take a model.

        Args:
            model: as its file says.
            tuning: what was measured of the machine.
            executor: has threads for parts of batches, if there is one.
            ways: into how many parts those are split that are worth it.
            memory: bounds what the plans of this and of other models hold.
            computation: what computes the scores, of `scoring_network`; by default plans, which the above is for.
        """
        self.model = model
        network = scoring_network(model)
        self.input_shape = network.input_shape
        self._scaling = model.preprocessing.scaling(network.input_shape[1])
        self._calls = 0
        self._seconds: dict[int, float] = {}
        """What batches took of a core, by their size: those that `Computation.batches` names."""
        self.computation: Computation = computation or PlanPool(
            network, model.weights, tuning or Tuning(), executor, ways, memory
        )
        self._weight_bytes = sum(array.nbytes for array in model.weights.values())

    @property
    def bytes(self) -> int:
        """About what it holds in memory: the weights as they were read and as they are computed with, and the plans."""
        return self._weight_bytes + self.computation.bytes_beside(self.model.weights)

    @property
    def library(self) -> Library:
        """What computes the scores."""
        return self.computation.library

    @property
    def is_split(self) -> bool:
        """Whether a second process computes half of single pictures."""
        return self.computation.is_split

    def split(self) -> None:
        """Start a second process that computes half of single pictures, if the network is worth it.

        Raises:
            OSError: it cannot be started.
        """
        self.computation.split()

    def join(self) -> None:
        """End the second process, if there is one."""
        self.computation.join()

    def predict(self, images: Bytes | Array) -> Array:
        """Return the probability of each class or label, or the values.

        Args:
            images: pictures (N, H, W, C) of the model's input shape: pixels as bytes, or what the first layer
                receives as float32.

        Returns:
            Predictions (N, K), float32.

        Raises:
            ShapeError: the pictures are of another shape.
        """
        expected = self.input_shape
        if images.shape[1:] != expected:
            wanted, given = ("x".join(map(str, shape)) for shape in (expected, images.shape[1:]))
            raise ShapeError(f"the model takes {wanted} pictures but receives {given}")
        count = len(images)
        batches = self.computation.batches(count, self._seconds)
        self._calls += 1
        due = self._calls % _MEASURED == 0 or (count > 0 and batches[0] not in self._seconds)
        if due and len(set(batches)) == 1 and self.computation.is_ready(batches):
            return self._timed(images, batches)
        if count <= _BATCH:
            return self._batch(images, batches)
        predictions = np.empty((count, len(self.model.classes)), np.float32)
        for first in range(0, count, _BATCH):
            predictions[first : first + _BATCH] = self._batch(images[first : first + _BATCH])
        return predictions

    def seconds(self, count: int) -> float:
        """Return how long `predict` is likely to take a core for so many pictures, by what it has taken.

        Infinite where nobody knows: nothing was measured, a plan would have to be compiled or waited for, or other
        threads and processes take part.
        """
        batches = self.computation.batches(count, self._seconds)
        if not self.computation.is_ready(batches):
            return math.inf
        one, total = self.picture_seconds, 0.0
        for size in batches:
            total += self._seconds.get(size, size * one)
        return total

    @property
    def picture_seconds(self) -> float:
        """How long a core takes for one picture; infinite before anything was measured."""
        return self._seconds.get(1, math.inf)

    def measure(self, size: int = 1) -> None:
        """Make ready for batches of a size and find out how long one takes, unless that is known."""
        if size not in self._seconds:
            pictures = np.zeros((size, *self.input_shape), np.uint8)
            self._batch(pictures)
            # the least: while another thread has the plan a second one is compiled
            self._seconds[size] = min(self._taken(pictures)[1] for _ in range(_TRIES))

    def prepared(self, images: Bytes | Array) -> Array:
        """Return pictures as the first layer receives them, float32 (N, H, W, C); see `predict`."""
        return images if images.dtype == np.float32 else self._scaling.apply(images)

    def _timed(self, images: Bytes | Array, batches: Sequence[int]) -> Array:
        predictions, taken = self._taken(images, batches)
        taken, size = taken / len(batches), batches[0]
        before = self._seconds.get(size, taken)
        # what is far more than before was something else, or it will be so again
        self._seconds[size] = before + _NEWEST_SHARE * (min(taken, _MOST_TIMES * before) - before)
        return predictions

    def _taken(self, images: Bytes | Array, batches: Sequence[int] | None = None) -> tuple[Array, float]:
        """Return predictions, and the seconds that they took."""
        # the time of this thread's core, unless others take part: that of the clock grows with all that a machine does
        alone = self.computation.is_ready(batches or (len(images),))
        clock = time.thread_time if alone else time.perf_counter
        start = clock()
        predictions = self._batch(images, batches)
        return predictions, clock() - start

    def _batch(self, images: Bytes | Array, batches: Sequence[int] | None = None) -> Array:
        scores = self.computation.scores(self.prepared(images), batches)
        predictions: Array = self.model.loss.predict(scores)
        return predictions


def scoring_network(model: Model) -> Network:
    """Return the network of a model up to the scores that its loss turns into predictions."""
    return Network.build(model.architecture).without_final(model.loss.link)
