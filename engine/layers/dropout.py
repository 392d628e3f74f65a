"""Layers that forget at random while training."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights, elements
from engine.layers.base import Context, Cost, Example, Gradients, Layer
from engine.spec import Fraction


class Dropout(Layer):
    """Sets a share of the numbers to 0 while training, and scales the others so that the mean stays.

    In inference it passes its input on unchanged.
    """

    type: Literal["dropout"] = "dropout"
    rate: Fraction = 0.5
    """Share of the numbers that are dropped."""

    examples: ClassVar = (
        Example({"type": "dropout", "rate": 0.4}, ((6,),)),
        Example({"type": "dropout", "rate": 0.25}, ((3, 4, 2),)),
    )
    formula: ClassVar = "a' = a * m / (1 - rate), m = 1 with probability 1 - rate, else 0"
    source: ClassVar = "Srivastava et al. 2014, Dropout, section 4 (in its inverted form, section 10)"

    def cost(self, *inputs: Shape) -> Cost:
        return Cost(saved_bytes=4 * elements(inputs[0]))

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        x = xs[0]
        if not context.training or self.rate == 0:
            return x, None
        mask = context.buffer("mask", x.shape, x.dtype)
        kept = context.uniform(len(x), x.shape[1:]) >= self.rate
        np.multiply(kept, x.dtype.type(1 / (1 - self.rate)), out=mask)
        y = context.buffer("y", x.shape, x.dtype)
        return np.multiply(x, mask, out=y), mask

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        if saved is None:
            return (dy,), {}
        dx = context.buffer("dx", dy.shape, dy.dtype)
        return (np.multiply(dy, saved, out=dx),), {}
