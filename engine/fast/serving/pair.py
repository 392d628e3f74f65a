"""A prediction of one picture by two threads of this process, each of which computes half of the rows of every map.

Both run the network as the caller alone would, one for the upper and one for the lower rows (`cut`, `half`); behind the
cut the caller computes what there is, but for large products: of those each computes half of the columns. NumPy lets go
of the interpreter's lock while it computes. They meet where one needs what the other has computed, some twenty times a
picture: by a few looks, then by a lock that lets the processor go.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Any

import numpy as np

from engine.arrays import Array, Weights
from engine.fast.estimate import pass_bytes
from engine.fast.layout.gemm import Tuning
from engine.fast.layout.places import Call
from engine.fast.parallel.parts import ShareLost
from engine.fast.plan import Plan
from engine.fast.serving.cut import Cut, cut
from engine.fast.serving.half import Half, common
from engine.graph.network import Network

_WORTH_PAIRING = 100_000_000
"""Multiply-adds of a picture that two threads compute sooner than one, if most of them are before the cut."""
_WORTH_HALVING = 5_000_000
"""Multiply-adds of a product behind the cut that two threads compute sooner than one."""
_LOOKS = 20
"""How often to look for the other thread before going to sleep: waking takes as long as a small layer."""
_BEGIN_SECONDS = 5e-4
"""How long to wait for an idle thread of the executor: if it takes longer, there is none."""
_TIMES_LONGER = 2.0
"""As how many times the least so far a picture takes that found the cores busy with what this process knows nothing of:
such as training."""
_RESTS = 15
"""How many pictures are left to one thread then, before two try again: each waits for the thread that comes last."""

_LOST = "the other half of the picture failed"


class Pair:
    """A network ready to run one picture at a time by two threads; of a plan it has what `Plans` asks for."""

    batch = 1

    def __init__(self, cut: Cut, weights: Weights, tuning: Tuning) -> None:
        """Lay out the plans of both; the weights are those of the whole network."""
        arrays = {name: np.zeros(shape, np.float32) for name, shape in common(cut)}
        held = sum(array.nbytes for array in arrays.values())
        self._input, self._map = arrays["input"], arrays["map"]
        arrays |= {f"weight {name}": weights[name] for name in cut.half.weight_specs}
        self._meeting = meeting = _Meeting()
        self._upper, self._lower = (Half(cut, tuning, arrays, half, meeting.side(half)) for half in (0, 1))
        self._head = Plan(cut.head, 1, tuning, training=False)
        self._head.prepare(weights)
        self._least_seconds, self._rests = math.inf, 0
        self._products: list[Call] = []
        """What the other thread computes behind the cut, in order."""
        # neither holds the pair: it ends with its last user
        self._head.change_calls(partial(_shared, self._products, meeting))
        self.bytes = held + sum(plan.bytes for plan in (self._upper.plan, self._lower.plan, self._head))
        """What it holds, without the weights."""

    def scores(self, x: Array, scores: Array, executor: Executor) -> bool:
        """Write the scores (1, K) of a preprocessed picture (1, H, W, C) and return True, if a core is idle for it.

        After an exception it must not be used again.
        """
        if self._rests:
            self._rests -= 1
            return False
        begun = threading.Lock()
        begun.acquire()
        start = time.perf_counter()
        other = executor.submit(contextvars.copy_context().run, self._run_lower, begun)
        try:
            if not begun.acquire(timeout=_BEGIN_SECONDS) and other.cancel():
                self._rests = _RESTS
                return False
            np.copyto(self._input, x)
            self._meeting.cross(0)
            self._upper.run()
            scores[...] = self._head.scores(self._map)
        except ShareLost:
            other.result()  # says what was wrong there
            raise
        except BaseException:
            self._meeting.abandon()
            raise
        other.result()
        taken = time.perf_counter() - start
        self._least_seconds = min(taken, self._least_seconds)
        if taken > _TIMES_LONGER * self._least_seconds:
            self._rests = _RESTS
        return True

    def _run_lower(self, begun: threading.Lock) -> None:
        begun.release()
        try:
            self._meeting.cross(1)
            self._lower.run()
            for product in self._products:
                self._meeting.cross(1)
                product()
                self._meeting.cross(1)
        except ShareLost:  # the caller knows why
            return
        except BaseException:
            self._meeting.abandon()
            raise


class _Meeting:
    """Where two threads wait for each other: nobody passes before both have come.

    Each has a lock that it lets go of as it comes, and the other takes. There are two pairs of them, for the one who
    passes first may come to the next meeting before the other has taken his.
    """

    def __init__(self) -> None:
        self._locks = [[threading.Lock() for _ in range(2)] for _ in range(2)]
        for lock in self._all():
            lock.acquire()
        self._counts = [0, 0]
        self._abandoned = False

    def side(self, half: int) -> _Side:
        """Return what one of the two meets the other by, where it gives and takes rows."""
        return _Side(self, half)

    def cross(self, half: int) -> None:
        """Come, and wait for the other.

        Raises:
            ShareLost: the other never comes.
        """
        self.reach(half)
        self.wait(half)

    def reach(self, half: int) -> None:
        """Come."""
        self._counts[half] += 1
        try:
            self._locks[self._counts[half] % 2][half].release()
        except RuntimeError:  # it was let go of when the meetings were given up
            raise ShareLost(_LOST) from None

    def wait(self, half: int) -> None:
        """Wait for the other, after coming."""
        lock = self._locks[self._counts[half] % 2][1 - half]
        for _ in range(_LOOKS):
            if lock.acquire(blocking=False):
                break
            os.sched_yield()
        else:
            lock.acquire()
        if self._abandoned:
            raise ShareLost(_LOST)

    def abandon(self) -> None:
        """Wake who waits: there are no more meetings."""
        self._abandoned = True
        for lock in self._all():
            with contextlib.suppress(RuntimeError):  # it was not held
                lock.release()

    def _all(self) -> Iterator[threading.Lock]:
        for locks in self._locks:
            yield from locks


class _Side:
    """The meeting as one of the halves sees it: it counts for both."""

    def __init__(self, meeting: _Meeting, half: int) -> None:
        self._meeting, self._half = meeting, half

    def reach(self, count: int) -> None:
        """See `Counters`."""
        self._meeting.reach(self._half)

    def wait(self, share: int, count: int) -> None:
        """See `Counters`."""
        self._meeting.wait(self._half)


def pairing(network: Network) -> Cut | None:
    """Return where to cut a network for two threads; None where one is as quick."""
    if network.multiply_adds < _WORTH_PAIRING:
        return None
    found = cut(network)
    if found is None or 2 * found.half.multiply_adds < found.head.multiply_adds:
        return None
    return found


def pair_bytes(cut: Cut) -> int:
    """Return about how much a pair holds; rather more than less."""
    return 2 * pass_bytes(cut.half, 1, training=False) + pass_bytes(cut.head, 1, training=False)


def _shared(products: list[Call], meeting: _Meeting, call: Call) -> Call:
    """Return what the caller calls for a call behind the cut; half of a large product is added to `products`."""
    halves = _halves(call)
    if halves is None:
        return call
    own, other = halves
    products.append(other)

    def shared() -> None:
        meeting.cross(0)
        own()
        meeting.cross(0)

    return shared


def _halves(call: Call) -> tuple[Call, Call] | None:
    """Return a large product as two, of half of the columns each."""
    given: Any = call
    if getattr(given, "func", None) is not np.matmul or set(given.keywords) != {"out"}:
        return None
    a, b = given.args
    out: Array = given.keywords["out"]
    columns = out.shape[-1]
    if b.ndim != 2 or columns < 2 or out.size * a.shape[-1] < _WORTH_HALVING:
        return None
    left, right = np.s_[..., : columns // 2], np.s_[..., columns // 2 :]
    one, other = (partial(np.matmul, a, b[half], out=out[half]) for half in (left, right))
    return one, other
