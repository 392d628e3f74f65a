"""Shares of a batch as threads of one process.

NumPy lets go of the interpreter's lock while it computes, so the shares run side by side; BLAS has one
thread, set in the environment before NumPy loads. What is slow is handing the lock to and fro, which
small networks feel most: where there can be processes, `engine.fast.parallel.processes` is quicker.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np

from engine.arrays import Array, Bytes, Weights
from engine.execution.protocol import Pass
from engine.fast.parallel.parts import Cuts, ShareLost, bounds
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.share import Outer, Reducer, Share, composed, pins, whole
from engine.inputs.batch import Batch
from engine.layers import Context

T = TypeVar("T")


class ThreadExecution:
    """Runs batches in shares, the first in the caller's thread; `close` ends the others."""

    def __init__(self, setup: Setup) -> None:
        self._tuning = setup.tuning
        self._shares = [Share(setup) for _ in range(setup.shares)]
        others = setup.shares - 1
        self._pool = ThreadPoolExecutor(others, thread_name_prefix="share") if others else None

    @property
    def pins(self) -> dict[str, str]:
        """The number of shares and what was measured of the machine: kernels and tiles follow from them."""
        return pins(len(self._shares), self._tuning)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def reads(self, pictures: int) -> int:
        """Return how many pictures of a batch are read here: all."""
        return pictures

    def train(self, weights: Weights, batch: Batch, pictures: int, context: Context) -> Pass:
        """Run a batch forwards and backwards."""
        return whole(
            self.passes(weights, batch, pictures, context, bounds(len(batch), len(self._shares)), None)
        )

    def passes(
        self,
        weights: Weights,
        batch: Batch,
        pictures: int,
        context: Context,
        cuts: Cuts,
        outer: Outer | None,
    ) -> list[Pass]:
        """Run a batch, or a part of one, forwards and backwards.

        Args:
            weights: of the network, by full name.
            batch: pictures as they are stored.
            pictures: size of the whole step, which the loss divides by.
            context: of this step; `first_sample` says where the batch, or part, stands in it.
            cuts: which pictures of it each share has.
            outer: adds up over shares elsewhere, if the batch has any.

        Returns:
            What each share gave.
        """
        meeting = _Meeting(len(cuts), outer)

        def run(number: int) -> Pass:
            first, last = cuts[number]
            own = replace(context, first_sample=context.first_sample + first)
            try:
                return self._shares[number].train(
                    weights, batch.part(first, last), pictures, own, meeting.reducer(number)
                )
            except BaseException:
                meeting.abandon()
                raise

        return self._together(run, len(cuts))

    def scores(self, weights: Weights, images: Bytes, cuts: Cuts | None = None) -> Array:
        """Return the scores of a batch, by default cut into equal parts."""
        cuts = cuts or bounds(len(images), len(self._shares))

        def run(number: int) -> Array:
            first, last = cuts[number]
            return self._shares[number].scores(weights, images[first:last])

        return np.concatenate(self._together(run, len(cuts)))

    def _together(self, run: Callable[[int], T], shares: int) -> list[T]:
        """Run all shares, the first in this thread, and return their results in order."""
        others: list[Future[T]] = []
        if self._pool is not None:
            # NumPy's error state is part of the context
            others += [
                self._pool.submit(contextvars.copy_context().run, run, share) for share in range(1, shares)
            ]
        faults: list[BaseException] = []
        results: list[T] = []
        for share in range(shares):
            try:
                results.append(others[share - 1].result() if share else run(0))
            except BaseException as fault:
                faults.append(fault)
        if faults:
            raise next((fault for fault in faults if not isinstance(fault, ShareLost)), faults[0])
        return results


class _Meeting:
    """Where threads add up arrays."""

    def __init__(self, shares: int, outer: Outer | None) -> None:
        self._shares, self._outer = shares, outer
        self._barrier = threading.Barrier(shares)
        # two sets of places: nobody overwrites what a slower share still reads
        self._values: list[list[Array]] = [[np.empty(0)] * shares for _ in range(2)]

    def reducer(self, share: int) -> Reducer:
        """Return what a share calls with its part of a sum."""
        turn = 0

        def exchange(array: Array) -> list[Array]:
            nonlocal turn
            values = self._values[turn]
            turn = 1 - turn
            values[share] = array
            try:
                self._barrier.wait()
            except threading.BrokenBarrierError:
                raise ShareLost("another share of the batch failed") from None
            return values

        return composed(exchange, share, self._shares, self._outer)

    def abandon(self) -> None:
        """Wake everybody who waits: this sum will never be complete."""
        self._barrier.abort()
