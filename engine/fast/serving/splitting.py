"""A batch of predictions in parts, by several threads: from how many pictures on, and who computes which."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor

from engine.arrays import Array
from engine.fast.parallel.parts import bounds
from engine.graph.network import Network

_WORTH = 128_000_000
"""Multiply-adds of a batch that several threads compute sooner than one, by far: a core takes milliseconds for them,
a hand-off a twentieth of one."""
_WEIGHT = 8
"""Multiply-adds in the time of which a weight is read: each part reads all of them, and the cores share the memory."""
_FEWEST = 2
_MANY = 16
"""Pictures that are split whatever one costs: of small networks, which gain little by it."""


class Splitting:
    """Splits the batches of a network over the threads of an executor."""

    def __init__(self, network: Network, executor: Executor | None, ways: int) -> None:
        """Take the threads.

        Args:
            network: that computes the batches.
            executor: has the threads beside the caller's, if there are any.
            ways: into how many parts a batch is split.
        """
        self._executor, self.ways = executor, ways
        self.fewest = math.inf if executor is None or ways == 1 else fewest(network)
        """Pictures of the smallest batch that is split; infinite where none is."""

    def run(self, compute: Callable[[Array, Array], None], x: Array, scores: Array) -> None:
        """Have the scores of a batch written, those of a part by each call of `compute`.

        What no thread has begun by the time that the caller is done with its own part, it computes as well: then all of
        them are busy with other batches.

        Args:
            compute: writes the scores (n, K) of pictures (n, H, W, C); perhaps called by several threads at once.
            x: the pictures (N, H, W, C).
            scores: room for their scores (N, K).
        """
        if self._executor is None or len(x) < self.fewest:
            compute(x, scores)
            return
        own, *others = ((x[first:last], scores[first:last]) for first, last in bounds(len(x), self.ways))
        handed = [(part, self._executor.submit(compute, *part)) for part in others]
        try:
            compute(*own)
            for part, future in handed:
                if future.cancel():
                    compute(*part)
                else:
                    future.result()
        finally:
            for _, future in handed:
                future.cancel()


def fewest(network: Network) -> int:
    """Return how many pictures of a network make a batch that is worth splitting."""
    work = network.multiply_adds - _WEIGHT * network.parameters
    return _MANY if work <= _WORTH // _MANY else max(_FEWEST, -(-_WORTH // work))
