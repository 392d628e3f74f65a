"""Inference plans from a pool: concurrent requests share the weights without a lock.

A plan serves one batch of one size at a time, so each size has a stack of plans: a request takes one, or
compiles one where all are busy, and puts it back. Batches are served in pieces of a few sizes, largest
first; a large one is split over the threads of an executor. Batch norm is folded and filters are transformed once.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor

import numpy as np

from engine.arrays import Array, Weights
from engine.fast.fold import fold
from engine.fast.gemm import Tuning
from engine.fast.plan import Plan
from engine.fast.share import bounds
from engine.network import Network

_SIZES = (32, 16, 8, 1)
_KEPT = 4
_WORTH_SPLITTING = 16  # pictures; a hand-off costs as much as one or two of a small network


class PlanPool:
    """A network and its weights, ready to serve."""

    def __init__(
        self,
        network: Network,
        weights: Weights,
        tuning: Tuning,
        executor: Executor | None = None,
        ways: int = 1,
    ) -> None:
        """Fold and keep the network.

        Args:
            network: ending in scores.
            weights: by full name.
            tuning: what was measured of the machine.
            executor: has threads for parts of large batches.
            ways: into how many parts those are split.
        """
        self._network, self._weights = fold(network, weights)
        self._tuning = tuning
        self._executor, self._ways = executor, ways
        # appending to and popping from a deque are atomic
        self._idle: dict[int, deque[Plan]] = {size: deque(maxlen=_KEPT) for size in _SIZES}

    def scores(self, x: Array) -> Array:
        """Return the scores (N, K) of preprocessed pictures (N, H, W, C)."""
        scores = np.empty((len(x), *self._network.output_shape), np.float32)
        if self._executor is None or self._ways == 1 or len(x) < _WORTH_SPLITTING:
            self._run(x, scores)
            return scores
        own, *others = bounds(len(x), self._ways)
        waited = [
            self._executor.submit(self._run, x[first:last], scores[first:last]) for first, last in others
        ]
        self._run(x[: own[1]], scores[: own[1]])
        for future in waited:
            future.result()
        return scores

    def _run(self, x: Array, scores: Array) -> None:
        first = 0
        while first < len(x):
            left = len(x) - first
            size = 1 if left < _SIZES[-2] else next(size for size in _SIZES if size <= left)
            plan = self._take(size)
            part = slice(first, first + size)
            scores[part] = plan.scores(x[part])
            self._idle[size].append(plan)
            first += size

    def _take(self, size: int) -> Plan:
        try:
            return self._idle[size].pop()
        except IndexError:
            plan = Plan(self._network, size, self._tuning, training=False)
            plan.prepare(self._weights)
            return plan
