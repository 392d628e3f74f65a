"""Layers that forget at random while training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights, elements
from engine.layers.base import Context, Cost, Example, Gradients, Layer, require_map
from engine.layers.export import Given, Operator, operator
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import copied
from engine.spec import Fraction


class _Dropout(Layer):
    """What the layers share that drop something: in inference they pass their input on unchanged."""

    random = True

    rate: Fraction = 0.5
    """Probability that something is dropped."""

    def draws(self, shape: Shape) -> Shape:
        """Return the shape of one picture's draws, which is stretched over its numbers."""
        raise NotImplementedError

    def output_shape(self, *inputs: Shape) -> Shape:
        self.draws(inputs[0])
        return inputs[0]

    def cost(self, *inputs: Shape) -> Cost:
        return Cost(saved_bytes=4 * elements(self.draws(inputs[0])))

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        x = xs[0]
        if context.statistics == "running" or self.rate == 0:
            return x, None
        drawn = context.uniform("dropout", len(x), self.draws(x.shape[1:]))
        mask = context.buffer("mask", drawn.shape, x.dtype)
        np.multiply(drawn >= self.rate, x.dtype.type(1 / (1 - self.rate)), out=mask)
        y = context.buffer("y", x.shape, x.dtype)
        return np.multiply(x, mask, out=y), mask

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        if saved is None:
            return (dy,), {}
        dx = context.buffer("dx", dy.shape, dy.dtype)
        return (np.multiply(dy, saved, out=dx),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        return copied(xs, position, position)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Identity", xs[0])


class Dropout(_Dropout):
    """Sets a share of the numbers to 0 while training, and scales the others so that the mean stays."""

    type: Literal["dropout"] = "dropout"

    examples = (
        Example({"type": "dropout", "rate": 0.4}, ((6,),)),
        Example({"type": "dropout", "rate": 0.25}, ((3, 4, 2),)),
    )
    formula = "a' = a * m / (1 - rate), m = 1 with probability 1 - rate, else 0"
    source = "Srivastava et al. 2014, Dropout, section 4 (in its inverted form, section 10)"

    def draws(self, shape: Shape) -> Shape:
        return shape


class SpatialDropout2D(_Dropout):
    """Sets whole channels of a picture to 0 while training, for neighbouring pixels say much the same."""

    type: Literal["spatial_dropout2d"] = "spatial_dropout2d"

    examples = (Example({"type": "spatial_dropout2d", "rate": 0.4}, ((3, 2, 6),)),)
    formula = "a'[x, y, c] = a[x, y, c] * m[c] / (1 - rate)"
    source = "Tompson et al. 2015, Efficient object localization using convolutional networks, section 3.2"

    def draws(self, shape: Shape) -> Shape:
        require_map(shape, self.type)
        return (1, 1, shape[2])


class StochasticDepth(_Dropout):
    """Sets all of a picture to 0 while training; at the end of a residual's body it skips the body."""

    type: Literal["stochastic_depth"] = "stochastic_depth"

    examples = (
        Example({"type": "stochastic_depth", "rate": 0.3}, ((3, 2, 2),)),
        Example({"type": "stochastic_depth"}, ((4,),)),
    )
    formula = "a' = a * m / (1 - rate), one m for each picture"
    source = "Huang et al. 2016, Deep networks with stochastic depth, section 3"

    def draws(self, shape: Shape) -> Shape:
        return (1,) * len(shape)
