"""Normalisation of a number by its neighbours among the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights, elements
from engine.layers.base import PASS, Context, Cost, Example, Gradients, Layer
from engine.layers.export import Given, Operator, operator, reals
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, gather, source
from engine.layers.trace_text import number, put, series, term
from engine.ops import local_response
from engine.spec import NonNegativeFloat, PositiveFloat, PositiveInt


class LocalResponseNorm(Layer):
    """Divides each number by what its neighbouring channels hold at the same pixel."""

    type: Literal["local_response_norm"] = "local_response_norm"
    size: PositiveInt = 5
    """Channels that are looked at, n, the number's own in the middle."""
    k: PositiveFloat = 2.0
    """What is divided by where the neighbours are 0."""
    alpha: NonNegativeFloat = 1e-4
    """How much a neighbour's square weighs; n times as much in PyTorch's notation."""
    beta: PositiveFloat = 0.75
    """Power of the divisor."""

    examples = (
        Example({"type": "local_response_norm", "alpha": 0.3}, ((3, 2, 7),)),
        Example({"type": "local_response_norm", "size": 4, "k": 1, "alpha": 0.5, "beta": 0.5}, ((2, 2, 3),)),
    )
    formula = "a'[c] = a[c] / (k + alpha * sum_j a[j]^2)^beta, |j - c| <= n/2"
    source = (
        "Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks, section 3.3"
    )

    def cost(self, *inputs: Shape) -> Cost:
        numbers = elements(inputs[0])
        passes = min(self.size, 2 * inputs[0][-1]) * (numbers + PASS)
        return Cost(saved_bytes=4 * numbers, scratch_bytes=4 * numbers, element_operations=passes)

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        y, damping = local_response.local_response(xs[0], self.size, self.k, self.alpha, self.beta, context)
        return y, (xs[0], y, damping)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        x, y, damping = saved
        dx = local_response.local_response_backward(
            x, y, damping, dy, self.size, self.alpha, self.beta, context
        )
        return (dx,), {}

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        c, channels = position[-1], inputs[0][-1]
        first, last = max(c - (self.size - 1) // 2, 0), min(c + self.size // 2, channels - 1)
        return (*(Line(at, 1) for at in position[:-1]), Line(first, last - first + 1))

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        found, c = source(xs, position), position[-1]
        first, last = max(c - self.size // 2, 0), min(c + (self.size - 1) // 2, xs[0].shape[-1] - 1)
        cells = gather(xs[0], *(Line(at, 1) for at in position[:-1]), Line(first, last - first + 1))
        squares = np.square(cells.values)
        total = float(squares.sum())
        with np.errstate(all="ignore"):  # a power beyond all numbers is infinite, as in the layer itself
            output = float(found.value / np.float64(self.k + self.alpha * total) ** self.beta)
        divisor = put("k + alpha", {"k": self.k, "alpha": self.alpha})
        added = series(lambda value: f"{term(value)}^2", cells.values)
        text = f"{number(found.value)} / ({divisor} * ({added}))^{number(self.beta)} = {number(output)}"
        return Trace(
            position,
            output,
            text,
            (found,),
            **cells.fields(),
            factors=cells.values,
            products=squares,
            sum=total,
        )

    def export(self, weights: Weights, *xs: Given) -> Operator:
        # ONNX has such a layer, which runtimes compute for maps and windows of odd sizes only
        x, shape = xs[0], xs[0].shape
        if len(shape) == 3 and self.size % 2:
            how = {"size": self.size, "bias": self.k, "alpha": self.alpha * self.size, "beta": self.beta}
            return operator("LRN", x, **how)
        apart = np.subtract.outer(np.arange(shape[-1]), np.arange(shape[-1]))  # c - j
        near = (apart <= self.size // 2) & (-apart <= (self.size - 1) // 2)
        squares = operator("Mul", x, x)
        if len(shape) == 3:
            sums = operator("Conv", squares, reals(self.alpha * near[..., None, None]))
        else:
            sums = operator("MatMul", squares, reals(self.alpha * near.T))
        divisor = operator("Pow", operator("Add", sums, reals(self.k)), reals(self.beta))
        return operator("Div", x, divisor)
