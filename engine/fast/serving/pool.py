"""Inference plans from a pool: concurrent requests share the weights, and wait for a plan where all are busy.

Batches are served in pieces of a few sizes, largest first, each by a plan of its size (`plans`); those that are worth
it are split over the threads of an executor (`splitting`). Batch norm is folded and filters are transformed once. A
single picture of a large network is computed by two threads where nothing else is (`pair`), and on request by two
processes (`halves`), by whichever request finds them idle.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from copy import copy
from functools import lru_cache, partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from engine.arrays import Array, Weights
from engine.fast.estimate import pass_bytes
from engine.fast.kernels.fold import fold
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.parts import ShareLost
from engine.fast.plan import Plan
from engine.fast.serving.cut import Cut, cut
from engine.fast.serving.pair import Pair, pair_bytes, pairing
from engine.fast.serving.plans import PLAN_BYTES, PlanMemory, Plans
from engine.fast.serving.splitting import Splitting
from engine.graph.network import Network

if TYPE_CHECKING:
    from engine.fast.serving.halves import Halves

log = logging.getLogger(__name__)

SMALL = 8
"""Pictures of the smallest batch that has a plan; fewer are computed one by one, or as if there were so many."""
_SIZES = (32, 16, SMALL, 1)
_PART_SIZES = (32, 16, SMALL, 4, 1)
"""The same for a part of a batch, which may have half as many: four together take little more than half of eight."""
_FEWEST_BUSY = 2
"""Plans of a model that may be busy at once, also where batches are not split."""
_WORTH_HALVING = 10_000_000
"""Multiply-adds of a picture that two processes compute sooner than one, if it is most of the network."""


class PlanPool:
    """A network and its weights, ready to serve."""

    library: ClassVar[Literal["numpy"]] = "numpy"

    def __init__(
        self,
        network: Network,
        weights: Weights,
        tuning: Tuning,
        executor: Executor | None = None,
        ways: int = 1,
        memory: PlanMemory | None = None,
    ) -> None:
        """Fold and keep the network.

        Args:
            network: ending in scores.
            weights: by full name.
            tuning: what was measured of the machine.
            executor: has threads for parts of batches.
            ways: into how many parts; so many plans, but at least two, are busy at once.
            memory: bounds what these plans and those of other pools hold together.
        """
        self._network, self._weights = fold(network, weights)
        self._output_shape = self._network.output_shape
        self._tuning = tuning
        self._splitting = Splitting(self._network, executor, ways)
        memory = memory or PlanMemory(PLAN_BYTES)
        self._plans: Plans[Plan] = Plans(
            # none of them holds the pool: it ends with its last user, and so do the plans
            partial(_plan, self._network, self._weights, tuning),
            partial(pass_bytes, self._network, training=False),
            max(_FEWEST_BUSY, ways),
            memory,
        )
        self._executor = executor
        self._pairs: Plans[Pair] | None = None
        found = None if executor is None or ways == 1 else pairing(self._network)
        if found is not None:
            build, needed = partial(Pair, found, self._weights, tuning), pair_bytes(found)
            # else it and the plan for who comes meanwhile would take the place of each other
            if needed + pass_bytes(self._network, 1, training=False) <= memory.most_bytes:
                self._pairs = Plans(lambda _: build(), lambda _: needed, 1, memory)
        self._lock = threading.Lock()
        """Guards the three below."""
        self._halves: Halves | None = None
        """The two processes, busy or idle."""
        self._is_idle = False
        self._joined = 0
        """How often they were ended, so that those which start meanwhile are, too."""
        self._starting = threading.Lock()

    def bytes_beside(self, weights: Weights) -> int:
        """Return what the plans hold, and the weights that they are made of, but for those among the given ones."""
        shared = {id(array) for array in weights.values()}
        own = {id(array): array.nbytes for array in self._weights.values() if id(array) not in shared}
        return sum(own.values()) + self._plans.held + (self._pairs.held if self._pairs else 0)

    def alone(self) -> PlanPool:
        """Return what computes the same by the same plans, each batch on the thread that asks for it."""
        found = copy(self)
        found._splitting, found._pairs = Splitting(self._network, None, 1), None
        return found

    @property
    def is_split(self) -> bool:
        """Whether a second process computes half of single pictures."""
        return self._halves is not None

    def split(self) -> None:
        """Start a second process for single pictures, where two are quicker than one.

        Raises:
            OSError: there is no room for what they share, or no process can be started.
            ShareLost: it died at once.
        """
        joined = self._joined
        with self._starting:
            found = cut(self._network)
            if self.is_split or found is None or not _worth_halving(found):
                return
            # with the first network that is large enough: most of a server's never are
            from engine.fast.serving.halves import Halves  # noqa: PLC0415

            halves = Halves(found, self._weights, self._tuning)
            with self._lock:
                if kept := joined == self._joined:
                    self._halves, self._is_idle = halves, True
            if not kept:
                halves.close()

    def join(self) -> None:
        """End the second process, at once or when the picture that it is busy with is done."""
        with self._lock:
            self._joined += 1
            idle = self._halves if self._is_idle else None
            self._halves, self._is_idle = None, False
        if idle is not None:
            idle.close()

    def batches(self, count: int, seconds: Mapping[int, float]) -> tuple[int, ...]:
        """Return the sizes of the plans for so many pictures: see `Computation.batches`.

        A few pictures are left to a plan for `SMALL` where that takes less than one after the other. A batch that is
        split is named as a whole.
        """
        if count >= self._splitting.fewest:
            return (count,)
        rest = count % SMALL
        if rest > 1 and seconds.get(SMALL, math.inf) < rest * seconds.get(1, 0.0):
            return *_pieces(count - rest), SMALL
        return _pieces(count)

    def is_ready(self, batches: Sequence[int]) -> bool:
        """Whether `scores` of these would neither wait for anything nor compile a plan first."""
        if self.is_split or self._pairs is not None or max(batches) >= self._splitting.fewest:
            return False
        return all(map(self._plans.is_idle, batches))

    def scores(self, x: Array, batches: Sequence[int] | None = None) -> Array:
        """Return the scores (N, K) of preprocessed pictures (N, H, W, C).

        Args:
            x: the pictures.
            batches: as `batches` returned them, for a batch that is not split over threads.
        """
        scores = np.empty((len(x), *self._output_shape), np.float32)
        if len(x) >= self._splitting.fewest:
            self._splitting.run(self._part, x, scores)
        elif not (len(x) == 1 and self._by_threads(x, scores)):
            self._run(x, scores, _pieces(len(x)) if batches is None else batches)
        return scores

    def _part(self, x: Array, scores: Array) -> None:
        ways = self._splitting.ways
        sizes = tuple(size for size in _PART_SIZES if size == 1 or self._plans.have_room(size, ways))
        self._run(x, scores, _pieces(len(x), sizes))

    def _run(self, x: Array, scores: Array, batches: Sequence[int]) -> None:
        first = 0
        for size in batches:
            part = slice(first, first + size)
            first += size
            if size == 1 and self._is_idle and self._by_halves(x[part], scores[part]):
                continue
            plan = self._plans.take(size)
            try:
                scores[part] = plan.scores(x[part])
            finally:
                self._plans.give(plan)

    def _by_threads(self, x: Array, scores: Array) -> bool:
        """Let two threads write the scores of a picture, if the network is large and nothing else is computed."""
        if self._pairs is None or self._executor is None or self.is_split:
            return False
        pair = self._pairs.take_alone(1)
        if pair is None:
            return False
        try:
            done = pair.scores(x, scores, self._executor)
        except BaseException:  # its threads may be anywhere
            self._pairs.drop(pair)
            raise
        self._pairs.give(pair)
        return done

    def _by_halves(self, x: Array, scores: Array) -> bool:
        """Let the two processes write the scores of a picture if there are two, and idle."""
        with self._lock:
            halves = self._halves if self._is_idle else None
            self._is_idle = False
        if halves is None:
            return False
        works = done = False
        try:
            if done := halves.ready:
                scores[...] = halves.scores(x)
            works = True
        except ShareLost as error:
            log.warning("the second process of a model is gone: %s", error)
            done = False
        finally:
            self._put_back(halves, works=works)
        return done

    def _put_back(self, halves: Halves, *, works: bool) -> None:
        """Leave the two processes to the next picture, or end them: they were joined, or may be anywhere."""
        with self._lock:
            belongs = self._halves is halves
            if belongs:
                self._halves, self._is_idle = (halves, True) if works else (None, False)
        if not (belongs and works):
            halves.close()


def _plan(network: Network, weights: Weights, tuning: Tuning, size: int) -> Plan:
    plan = Plan(network, size, tuning, training=False)
    plan.prepare(weights)
    return plan


@lru_cache
def _pieces(count: int, sizes: tuple[int, ...] = _SIZES) -> tuple[int, ...]:
    """Return the sizes of the plans that serve so many pictures, one after the other."""
    pieces: list[int] = []
    for size in sizes:
        whole, count = divmod(count, size)
        pieces += [size] * whole
    return tuple(pieces)


def _worth_halving(found: Cut) -> bool:
    split = 2 * found.half.multiply_adds
    return split >= max(_WORTH_HALVING, found.head.multiply_adds)
