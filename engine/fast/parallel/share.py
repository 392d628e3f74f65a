"""One share of a batch: plans of its own, and the pass of its pictures through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from engine.arrays import Array, Bytes, Weights
from engine.execution.flat import Flat
from engine.execution.protocol import Pass
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.setup import Setup
from engine.fast.plan import REVISION, Plan
from engine.inputs.batch import Batch
from engine.layers import Context
from engine.workspace import Workspace

Reducer = Callable[[Array], Array]
"""Adds up a small array over the shares of a batch: all get the same sum, taken in the order of the shares."""
Outer = Callable[[Sequence[Array]], Array]
"""Adds up the arrays of the shares here, in their order, together with those of shares elsewhere."""


class Share:
    """Runs its pictures of each batch, in memory that the next batch uses again."""

    def __init__(self, setup: Setup, gradients: Flat | None = None) -> None:
        """Get ready; `gradients` is where they are left, by default in memory of its own."""
        self._network, self._loss, self._tuning = setup.network, setup.loss, setup.tuning
        self._gradients = Flat(setup.network.weight_specs) if gradients is None else gradients
        self._preparation = setup.preparation
        self._plans: dict[tuple[int, bool], Plan] = {}
        self._workspace = Workspace()

    def train(
        self, weights: Weights, batch: Batch, pictures: int, context: Context, reducer: Reducer
    ) -> Pass:
        """Prepare pictures, and run them forwards and backwards.

        Args:
            weights: of the network, by full name.
            batch: the pictures of this share.
            pictures: size of the whole step, which the loss divides by.
            context: of this step; `first_sample` says where the first of these pictures stands in it.
            reducer: adds up over the shares of the batch.
        """
        own = replace(context, workspace=self._workspace, reducer=reducer, updates={})
        x, targets = self._preparation.training(batch, own.bound("input/preparation"))
        plan = self._plan(len(x), training=True)
        plan.prepare(weights)
        tape = plan.forward(x, own)
        losses, saved = self._loss.forward(tape.output, targets)
        self._gradients.take(plan.backward(tape, self._loss.backward(saved, pictures)))
        return Pass(tape.output, losses, self._gradients, own.updates, targets)

    def scores(self, weights: Weights, images: Bytes) -> Array:
        """Return the scores (n, K) of pictures (n, H, W, C), valid until the next call."""
        plan = self._plan(len(images), training=False)
        plan.prepare(weights)
        return plan.scores(self._preparation.inference(images))

    def _plan(self, pictures: int, *, training: bool) -> Plan:
        key = (pictures, training)
        if key not in self._plans:
            self._plans[key] = Plan(self._network, pictures, self._tuning, training=training)
        return self._plans[key]


def pins(shares: int, tuning: Tuning) -> dict[str, str]:
    """Return what changes the bits of a step beside libraries and processor: kernels and tiles follow from it."""
    # without figures as it was before there were any, so that runs from then go on and are the same
    return {"shares": str(shares), "tuning": tuning.model_dump_json(exclude_none=True), "plan": str(REVISION)}


def whole(passes: list[Pass]) -> Pass:
    """Join the passes of the shares: gradients are summed in their order, running statistics are the first's."""
    gradients = passes[0].gradients
    for other in passes[1:]:
        gradients.memory += other.gradients.memory
    return Pass(
        np.concatenate([one.scores for one in passes]),
        np.concatenate([one.losses for one in passes]),
        gradients,
        passes[0].updates,
        np.concatenate([one.targets for one in passes]),
    )


def composed(
    exchange: Callable[[Array], Sequence[Array]], share: int, shares: int, outer: Outer | None
) -> Reducer:
    """Return a reducer over the shares of a batch, here and elsewhere.

    Args:
        exchange: returns the arrays that all shares here gave, in their order.
        share: that calls it.
        shares: that the batch has here.
        outer: adds up over those elsewhere too, if there are any; the first share calls it for all.
    """
    if shares == 1:
        return lambda array: (outer or total)([array])

    def reduce(array: Array) -> Array:
        parts = exchange(array)
        if outer is None:
            return total(parts)
        return exchange(outer(parts) if share == 0 else array)[0].copy()

    return reduce


def total(values: Sequence[Array]) -> Array:
    """Add up arrays, in their order; the sum of one is that array itself."""
    if len(values) == 1:
        return values[0]
    summed: Array = values[0] + values[1]
    for value in values[2:]:
        summed += value
    return summed
