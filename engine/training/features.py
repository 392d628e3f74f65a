"""What a trunk makes of pictures, computed as predictions are: by plans, on all cores, a few pictures at a time."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate, pairwise

import numpy as np

from engine.arrays import Array, Weights
from engine.environment import pins
from engine.fast.estimate import pass_bytes
from engine.fast.kernels.fold import folded
from engine.fast.layout.gemm import Tuning
from engine.fast.plan import REVISION
from engine.fast.serving.plans import PlanMemory
from engine.fast.serving.pool import PlanPool
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing

_SIZES = (32, 16, 8, 4, 1)
"""Pictures that go through a trunk together."""
_PLAN_BYTES = 128 << 20
"""What a plan for them may hold, each thread one; that of a single picture may hold more.

Of MobileNetV2's pictures eight together take 0.63 of a core's time of one by one at 96x96, 0.75 at 128x128, where they
hold 88 MB, and 0.92 at 224x224, where they would hold 250. What is compared is an estimate, half as much again.
"""
_PLAN_BYTES_OF_FEW = 256 << 20
"""The same of up to four: of ResNet-18's pictures they take 0.87 of the time of one by one, and hold 174 MB."""
_FEW = 4


class FeatureExtractor:
    """A trunk that is ready to compute features; what it computes does not depend on how many threads it has."""

    def __init__(self, trunk: Network, weights: Weights, preprocessing: Preprocessing, threads: int) -> None:
        self._trunk, self._preprocessing, self._threads = trunk, preprocessing, threads
        self._weights = {name: weights[name] for name in trunk.weight_specs}
        self._size = pictures_at_once(trunk)
        # those for the last few pictures take the place of those for many
        memory = PlanMemory(_plan_bytes(trunk, self._size, threads))
        self._pool = PlanPool(trunk, self._weights, Tuning(), ways=threads, memory=memory)

    def fingerprint(self) -> str:
        """Return what changes with the features of a picture: trunk, weights, normalisation and arithmetic."""
        about = {
            "trunk": self._trunk.document(),
            "preprocessing": self._preprocessing.model_dump(mode="json"),
            "pictures": [size for size in _SIZES if size <= self._size],
            "pins": pins(1) | {"plan": str(REVISION)},
        }
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        for name in sorted(self._weights):
            digest.update(np.ascontiguousarray(self._weights[name]).data)
        return digest.hexdigest()

    def features(self, count: int, read: Callable[[int, int], Array]) -> Iterator[Array]:
        """Yield the features (n, ...) of pictures in their order, some at a time.

        Args:
            count: how many there are.
            read: returns those from one place to another, (n, H, W, C), bytes or float32 numbers 0..255; called from
                several threads.
        """
        with ThreadPoolExecutor(self._threads, thread_name_prefix="features") as executor:
            waiting: deque[Future[Array]] = deque()
            try:
                for first, last in pairwise(accumulate(_pieces(count, self._size), initial=0)):
                    waiting.append(executor.submit(self._some, read, first, last))
                    if len(waiting) > self._threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _some(self, read: Callable[[int, int], Array], first: int, last: int) -> Array:
        x = self._preprocessing.apply(np.asarray(read(first, last)))
        return self._pool.scores(x, (len(x),))


def pictures_at_once(trunk: Network) -> int:
    """Return how many pictures go through a trunk together: as many as a plan has room for."""
    network, _ = folded(trunk)  # as the plans are made
    for size in _SIZES:
        most = _PLAN_BYTES if size > _FEW else _PLAN_BYTES_OF_FEW
        if pass_bytes(network, size, training=False) <= most:
            return size
    return _SIZES[-1]


def extractor_bytes(trunk: Network, threads: int) -> int:
    """Return how much memory an extractor takes beside the trunk's weights; rather more than less."""
    weights = sum(4 * int(np.prod(spec.shape)) for spec in trunk.weight_specs.values())
    return weights + _plan_bytes(trunk, pictures_at_once(trunk), threads)


def _plan_bytes(trunk: Network, size: int, threads: int) -> int:
    return threads * pass_bytes(folded(trunk)[0], size, training=False)


def _pieces(count: int, most: int) -> Iterator[int]:
    """Yield how many pictures go through a trunk together, smaller numbers of them towards the end.

    So threads end at about the same time. They do not depend on how many there are: nor do the bits of features.
    """
    while count:
        size = next(size for size in _SIZES if size <= most and (size == 1 or 2 * size <= count))
        count -= size
        yield size
