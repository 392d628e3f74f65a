"""Layers with several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights
from engine.errors import ShapeError
from engine.layers.base import Context, Example, Gradients, Layer
from engine.layers.export import Given, Operator, integers, operator
from engine.layers.jacobian import Column
from engine.layers.parameters import Activation
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, combined, copied, source


def _written(shapes: tuple[Shape, ...]) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


class Add(Layer):
    """Sums its inputs, number by number; they must have the same shape."""

    type: Literal["add"] = "add"
    activation: Activation | None = None
    """The article's psi, applied as a node of its own, after the sum."""

    input_count = (2, None)
    examples = (
        Example({"type": "add"}, ((3, 4, 2), (3, 4, 2))),
        Example({"type": "add"}, ((5,), (5,), (5,))),
    )
    formula = "a' = a_1 + a_2 + ..."
    source = "He et al. 2015, Deep residual learning for image recognition, section 3.2"

    def output_shape(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) > 1:
            raise ShapeError(
                f"add takes inputs of one shape but receives {_written(inputs)}",
                hint="bring them to one shape first: padding 'same' and stride 1 keep height and width, "
                "a 1x1 conv2d changes the channels, a residual's shortcut 'projection' does both",
            )
        return inputs[0]

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        y = context.buffer("y", xs[0].shape, xs[0].dtype)
        np.add(xs[0], xs[1], out=y)
        for x in xs[2:]:
            y += x
        return y, len(xs)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (dy,) * saved, {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        terms = [source(xs, position, number) for number in range(len(xs))]
        return combined(position, terms, sum(each.value for each in terms), " + ")

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Add" if len(xs) == 2 else "Sum", *xs)


class Multiply(Layer):
    """Multiplies its inputs, number by number; a vector is stretched over a map and scales its channels."""

    type: Literal["multiply"] = "multiply"
    activation: Activation | None = None
    """The article's psi, applied as a node of its own, after the product."""

    input_count = (2, 2)
    examples = (
        Example({"type": "multiply"}, ((3, 4, 2), (2,))),
        Example({"type": "multiply"}, ((2,), (2, 3, 2))),
        Example({"type": "multiply"}, ((3, 2, 2), (3, 2, 2))),
    )
    formula = "a'[x, y, c] = a_1[x, y, c] * a_2[x, y, c], or * a_2[c]"
    source = "Hu, Shen & Sun 2017, Squeeze-and-excitation networks, section 3.2, equation 4"

    def output_shape(self, *inputs: Shape) -> Shape:
        small, large = sorted(inputs, key=len)
        if small not in {large, large[-1:]}:
            raise ShapeError(
                f"multiply takes two inputs of one shape, or a map and a vector of its channels, "
                f"but receives {_written(inputs)}",
                hint=f"give the vector {large[-1]} numbers, one for each channel",
            )
        return large

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        first, second = (_stretched(x, max(each.ndim for each in xs)) for x in xs)
        shape = np.broadcast_shapes(first.shape, second.shape)
        y = context.buffer("y", shape, xs[0].dtype)
        return np.multiply(first, second, out=y), xs

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        dxs = []
        for number, (x, other) in enumerate((saved, saved[::-1])):
            dx = context.buffer(f"dx {number}", dy.shape, dy.dtype)
            np.multiply(dy, _stretched(other, dy.ndim), out=dx)
            dxs.append(dx if x.ndim == dy.ndim else dx.sum(axis=(1, 2)))
        return tuple(dxs), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        # a vector's number is that of the map's channel
        first, second = (source(xs, position[-x.ndim :], number) for number, x in enumerate(xs))
        return combined(position, (first, second), first.value * second.value, " * ")

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        other = xs[1 - number]
        if other.ndim == len(position):
            return Column.along([Line(at, 1) for at in position], other[position])
        if len(position) == 3:  # of a map that a vector scales
            return Column.along([Line(at, 1) for at in position], other[position[-1:]])
        lines = [*(Line(0, n) for n in other.shape[:2]), Line(position[0], 1)]
        return Column.along(lines, other[..., position[0]])

    def export(self, weights: Weights, *xs: Given) -> Operator:
        axes = max(len(x.shape) for x in xs)
        return operator(
            "Mul", *(x if len(x.shape) == axes else operator("Unsqueeze", x, integers(2, 3)) for x in xs)
        )


def _stretched(x: Array, axes: int) -> Array:
    """See vectors (N, C) as maps of one pixel where there are maps to go with them."""
    return x if x.ndim == axes else x[:, None, None, :]


class Concatenate(Layer):
    """Stacks the channels of its inputs; they must agree in height and width."""

    type: Literal["concatenate"] = "concatenate"

    input_count = (2, None)
    examples = (
        Example({"type": "concatenate"}, ((3, 4, 2), (3, 4, 1))),
        Example({"type": "concatenate"}, ((2, 2, 1), (2, 2, 3), (2, 2, 2))),
        Example({"type": "concatenate"}, ((4,), (2,))),
    )
    formula = "n_C' = n_C(1) + n_C(2) + ..."
    source = "Szegedy et al. 2014, Going deeper with convolutions, section 4"

    def output_shape(self, *inputs: Shape) -> Shape:
        if len({shape[:-1] for shape in inputs}) > 1:
            raise ShapeError(
                f"concatenate takes inputs of one height and width but receives {_written(inputs)}",
                hint="give every branch padding 'same' and the same strides",
            )
        return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        channels = [shape[-1] for shape in inputs]
        return {"channels": f"{' + '.join(map(str, channels))} = {sum(channels)}"}

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        channels = [x.shape[-1] for x in xs]
        y = context.buffer("y", (*xs[0].shape[:-1], sum(channels)), xs[0].dtype)
        np.concatenate(xs, axis=-1, out=y)
        return y, np.cumsum([0, *channels])

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return tuple(dy[..., start:end] for start, end in pairwise(saved)), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        number, channel = 0, position[-1]
        while channel >= xs[number].shape[-1]:
            channel -= xs[number].shape[-1]
            number += 1
        return copied(xs, position, (*position[:-1], channel), number)

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        before = sum(shape[-1] for shape in inputs[:number])
        return (*(Line(at, 1) for at in position[:-1]), Line(before + position[-1], 1))

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Concat", *xs, axis=1)
