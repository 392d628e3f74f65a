"""Inference plans from a pool: concurrent requests share the weights without a lock.

A plan serves one batch of one size at a time, so each size has a stack of plans: a request takes one, or
compiles one where all are busy, and puts it back. Batches are served in pieces of a few sizes, largest
first; a large one is split over the threads of an executor. Batch norm is folded and filters are transformed once.
On request a single picture is computed by two processes (`halves`), by whichever request finds them idle.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Executor

import numpy as np

from engine.arrays import Array, Weights
from engine.fast.kernels.fold import fold
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.share import ShareLost, bounds
from engine.fast.plan import Plan
from engine.fast.serving.cut import Cut, cut
from engine.fast.serving.halves import Halves
from engine.graph.network import Network

log = logging.getLogger(__name__)

_SIZES = (32, 16, 8, 1)
_KEPT = 4
_WORTH_HALVING = 10_000_000
"""Multiply-adds of a picture that two processes compute sooner than one, if it is most of the network."""
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
        self._halves: deque[Halves] = deque()
        self.is_split = False
        """Whether a second process computes half of single pictures."""

    def split(self) -> None:
        """Start a second process for single pictures, where two are quicker than one.

        Raises:
            OSError: there is no room for what they share, or no process can be started.
            ShareLost: it died at once.
        """
        found = cut(self._network)
        if not self.is_split and found is not None and _worth_halving(found):
            self._halves.append(Halves(found, self._weights, self._tuning))
            self.is_split = True

    def join(self) -> None:
        """End the second process, at once or when the picture that it is busy with is done."""
        self.is_split = False
        while self._halves:
            self._halves.pop().close()

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
            part = slice(first, first + size)
            first += size
            if size == 1 and self._by_halves(x[part], scores[part]):
                continue
            plan = self._take(size)
            scores[part] = plan.scores(x[part])
            self._idle[size].append(plan)

    def _by_halves(self, x: Array, scores: Array) -> bool:
        """Let the two processes write the scores of a picture if there are two, and idle."""
        try:
            halves = self._halves.pop()
        except IndexError:
            return False
        done = False
        try:
            if done := halves.ready:
                scores[...] = halves.scores(x)
        except BaseException as error:
            # the other may be anywhere: the two are of no use any more
            halves.close()
            self.is_split = False
            if isinstance(error, ShareLost):
                log.warning("the second process of a model is gone: %s", error)
                return False
            raise
        self._halves.append(halves)
        if not self.is_split:  # joined meanwhile
            self.join()
        return done

    def _take(self, size: int) -> Plan:
        try:
            return self._idle[size].pop()
        except IndexError:
            plan = Plan(self._network, size, self._tuning, training=False)
            plan.prepare(self._weights)
            return plan


def _worth_halving(found: Cut) -> bool:
    split = 2 * found.half.multiply_adds
    return split >= max(_WORTH_HALVING, found.head.multiply_adds)
