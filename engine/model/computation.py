"""What computes the scores of a model, and which of two things that can is better; see `Computation`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from engine.arrays import Array, Weights

Library = Literal["numpy", "onnxruntime"]

TOLERANCE = 1e-4
"""How much scores may differ, by the largest of them, to count as the same."""
_SEVERAL = 8
"""Pictures of a batch that is compared."""
_MOST_SECONDS = 0.05
"""A batch that takes longer is not compared: large networks gain nothing by batches, and plans for them are large."""
_ENOUGH_SECONDS = 0.1
"""After so long, and `_FEWEST` runs of each side, a comparison ends."""
_FEWEST, _MOST = 3, 30


class Computation(Protocol):
    """Computes the scores of one model, for many threads at once: plans in NumPy, or a session of ONNX Runtime."""

    @property
    def library(self) -> Library:
        """What does the arithmetic."""
        ...

    def bytes_beside(self, weights: Weights) -> int:
        """Return about how many bytes it holds, but for these arrays, which it may share."""
        ...

    def batches(self, count: int, seconds: Mapping[int, float]) -> tuple[int, ...]:
        """Return the sizes of the batches that so many pictures are best computed in.

        Args:
            count: how many; all batches may have more.
            seconds: what a batch of a size takes, as far as that is known.
        """
        ...

    def is_ready(self, batches: Sequence[int]) -> bool:
        """Whether `scores` of such batches takes this thread alone, and neither waits nor has to be made ready."""
        ...

    def scores(self, x: Array, batches: Sequence[int] | None = None) -> Array:
        """Return the scores (N, K) of preprocessed pictures (N, H, W, C), float32, by way of such batches."""
        ...

    def alone(self) -> Computation:
        """Return what computes the same, each batch on the thread that asks for it."""
        ...

    @property
    def is_split(self) -> bool:
        """Whether a second process computes half of single pictures."""
        ...

    def split(self) -> None:
        """Start such a process, where it gains something.

        Raises:
            OSError: it cannot be started.
        """
        ...

    def join(self) -> None:
        """End it, if there is one."""
        ...


@dataclass(frozen=True)
class Comparison:
    """What became of one computation held against another.

    Attributes:
        difference: the largest one between two scores, by the largest score; infinite where one is not finite.
        times: how many times as quick it was; of one picture and of several, the geometric mean.
    """

    difference: float
    times: float

    @property
    def is_same(self) -> bool:
        """Whether the scores are the same but for rounding."""
        return self.difference <= TOLERANCE

    @property
    def is_better(self) -> bool:
        """Whether it gives the same scores sooner."""
        return self.is_same and self.times > 1


def compare(new: Computation, old: Computation, pictures: Array) -> Comparison:
    """Hold a computation against the one that is trusted, both on this thread alone.

    They take turns, and the shortest time of each counts: that of this thread's core, which hardly depends on what else
    the machine does.

    Args:
        new: whose scores and time are in question.
        old: which is right.
        pictures: as the first layer receives them, (N, H, W, C); as many as `fixed_pictures` returns.
    """
    one = pictures[:1]
    difference = max(_difference(new.scores(x), old.scores(x)) for x in (one, pictures[:2]))
    times, seconds = _times(new, old, one)
    if seconds * len(pictures) > _MOST_SECONDS:
        return Comparison(difference, times)
    difference = max(difference, _difference(new.scores(pictures), old.scores(pictures)))
    return Comparison(difference, float(np.sqrt(times * _times(new, old, pictures)[0])))


def fixed_pictures(shape: tuple[int, ...]) -> Array:
    """Return pictures that are always the same noise, bytes (N, H, W, C), for `compare`."""
    return np.random.default_rng(0).integers(0, 256, (_SEVERAL, *shape), np.uint8)


def _difference(found: Array, wanted: Array) -> float:
    if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return float("inf")
    largest = float(np.abs(wanted).max(initial=0))
    difference = float(np.abs(found - wanted).max(initial=0))
    return difference / largest if largest else difference


def _times(new: Computation, old: Computation, x: Array) -> tuple[float, float]:
    """Return how many times as quick the new one is, and how many seconds of a core the old one takes."""
    best = [float("inf")] * 2
    until = time.perf_counter() + _ENOUGH_SECONDS
    for number in range(_MOST):
        if number >= _FEWEST and time.perf_counter() > until:
            break
        for side, computation in enumerate((new, old)):
            start = time.thread_time()
            computation.scores(x)
            best[side] = min(best[side], time.thread_time() - start)
    return best[1] / max(best[0], 1e-9), best[1]
