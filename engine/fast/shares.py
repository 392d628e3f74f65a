"""A batch in a fixed number of shares, each computed by a thread with a plan of its own.

NumPy lets go of the interpreter's lock while it computes, so the shares run side by side; BLAS has one
thread, set in the environment before NumPy loads. Splitting the batch is the largest single gain there
is, while splitting every operation loses: a hand-off costs 60 microseconds.

The result is that of the whole batch: gradients are summed in the order of the shares, and batch norm
adds its sums over all shares at a meeting. It is reproducible to the bit for a given number of shares.
A share that fails takes the step down: the others are woken, and the first fault is raised.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from engine.arrays import Array, Weights
from engine.execution import Pass
from engine.fast.gemm import Tuning
from engine.fast.plan import Plan
from engine.layers import Context
from engine.losses import Loss
from engine.network import Network
from engine.workspace import Workspace

T = TypeVar("T")


class ShareLost(RuntimeError):
    """Another share of the batch failed."""


class Meeting:
    """Where shares add up small arrays: all see the same sum, taken in the order of the shares."""

    def __init__(self, shares: int) -> None:
        self._shares = shares
        self._barrier = threading.Barrier(shares)
        # two sets of places: nobody overwrites what a slower share still reads
        self._values: list[list[Array]] = [[np.empty(0)] * shares for _ in range(2)]

    def reducer(self, share: int) -> Callable[[Array], Array]:
        """Return what a share calls with its part of a sum."""
        if self._shares == 1:
            return _alone
        turn = 0

        def reduce(array: Array) -> Array:
            nonlocal turn
            values = self._values[turn]
            turn = 1 - turn
            values[share] = array
            try:
                self._barrier.wait()
            except threading.BrokenBarrierError:
                raise ShareLost from None
            total: Array = values[0] + values[1]
            for value in values[2:]:
                total += value
            return total

        return reduce

    def abandon(self) -> None:
        """Wake everybody who waits: this sum will never be complete."""
        self._barrier.abort()


def _alone(array: Array) -> Array:
    return array


class SharedExecution:
    """Runs batches in shares; `close` ends its threads."""

    def __init__(self, network: Network, loss: Loss, tuning: Tuning, shares: int) -> None:
        self._network, self._loss, self._tuning, self._shares = network, loss, tuning, shares
        self._plans: dict[tuple[int, int, bool], Plan] = {}
        self._workspaces = [Workspace() for _ in range(shares)]
        self._pool = ThreadPoolExecutor(shares - 1, thread_name_prefix="share") if shares > 1 else None

    @property
    def pins(self) -> dict[str, str]:
        """The number of shares and what was measured of the machine: kernels and tiles follow from them."""
        return {"shares": str(self._shares), "tuning": self._tuning.model_dump_json()}

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def train(self, weights: Weights, x: Array, targets: Array, pictures: int, context: Context) -> Pass:
        """Run a batch forwards and backwards."""
        bounds = self._bounds(len(x))
        meeting = Meeting(len(bounds))

        def run(share: int) -> Pass:
            first, last = bounds[share]
            own = replace(
                context,
                first_sample=context.first_sample + first,
                workspace=self._workspaces[share],
                reducer=meeting.reducer(share),
                updates={},
            )
            try:
                plan = self._plan(share, last - first, training=True)
                plan.prepare(weights)
                tape = plan.forward(x[first:last], own)
                losses, saved = self._loss.forward(tape.output, targets[first:last])
                gradients = plan.backward(tape, self._loss.backward(saved, pictures))
            except BaseException:
                meeting.abandon()
                raise
            return Pass(tape.output, losses, gradients, own.updates)

        passes = self._together(run, len(bounds))
        gradients = passes[0].gradients
        for other in passes[1:]:
            for name, gradient in other.gradients.items():
                gradients[name] += gradient
        return Pass(
            np.concatenate([one.scores for one in passes]),
            np.concatenate([one.losses for one in passes]),
            gradients,
            passes[0].updates,
        )

    def scores(self, weights: Weights, x: Array) -> Array:
        """Return the scores of a batch."""
        bounds = self._bounds(len(x))

        def run(share: int) -> Array:
            first, last = bounds[share]
            plan = self._plan(share, last - first, training=False)
            context = Context(workspace=self._workspaces[share])
            plan.prepare(weights)
            return plan.forward(x[first:last], context).output

        return np.concatenate(self._together(run, len(bounds)))

    def _bounds(self, pictures: int) -> list[tuple[int, int]]:
        """Cut a batch into as many equal runs as there are shares, fewer if it is too small."""
        shares = min(self._shares, pictures)
        return list(pairwise(pictures * share // shares for share in range(shares + 1)))

    def _plan(self, share: int, pictures: int, *, training: bool) -> Plan:
        key = (share, pictures, training)
        if key not in self._plans:
            self._plans[key] = Plan(self._network, pictures, self._tuning, training=training)
        return self._plans[key]

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
