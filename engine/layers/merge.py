"""Layers with several inputs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights
from engine.errors import ShapeError
from engine.layers.base import Context, Example, Gradients, Layer
from engine.layers.parameters import Activation


def _written(shapes: tuple[Shape, ...]) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


class Add(Layer):
    """Sums its inputs, number by number; they must have the same shape."""

    type: Literal["add"] = "add"
    activation: Activation | None = None
    """The article's psi, applied as a node of its own, after the sum."""

    input_count: ClassVar = (2, None)
    examples: ClassVar = (
        Example({"type": "add"}, ((3, 4, 2), (3, 4, 2))),
        Example({"type": "add"}, ((5,), (5,), (5,))),
    )
    formula: ClassVar = "a' = a_1 + a_2 + ..."
    source: ClassVar = "He et al. 2015, Deep residual learning for image recognition, section 3.2"

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


class Concatenate(Layer):
    """Stacks the channels of its inputs; they must agree in height and width."""

    type: Literal["concatenate"] = "concatenate"

    input_count: ClassVar = (2, None)
    examples: ClassVar = (
        Example({"type": "concatenate"}, ((3, 4, 2), (3, 4, 1))),
        Example({"type": "concatenate"}, ((2, 2, 1), (2, 2, 3), (2, 2, 2))),
        Example({"type": "concatenate"}, ((4,), (2,))),
    )
    formula: ClassVar = "n_C' = n_C(1) + n_C(2) + ..."
    source: ClassVar = "Szegedy et al. 2014, Going deeper with convolutions, section 4"

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
