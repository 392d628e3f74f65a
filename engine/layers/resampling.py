"""A pool that brings maps of any size to a fixed one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

from engine.arrays import Array, Shape, Weights
from engine.layers.base import PASS, Context, Cost, Example, Gradients, Layer, Reach, require_map
from engine.layers.export import Given, Operator, operator, reals
from engine.layers.jacobian import Column
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, average, channel, gather
from engine.ops import resampling
from engine.spec import Size2D


def resampling_cost(source: Shape, target: Shape) -> Cost:
    """Return what `resampling.resample` takes: a matrix for the rows and one for the columns, applied in turn."""
    (height, width, channels), (rows, columns, _) = source, target
    tall = rows * width * channels
    return Cost(
        scratch_bytes=4 * (tall + 3 * (rows * height + columns * width)),
        element_operations=tall * height + rows * columns * channels * width + (rows + columns) * PASS,
    )


class AdaptiveAveragePool2D(Layer):
    """Averages a map of any size to one of a fixed size, over stretches as equal as can be."""

    type: Literal["adaptive_average_pool2d"] = "adaptive_average_pool2d"
    output_size: Size2D = (1, 1)
    """Height and width of the output."""

    examples = (
        Example({"type": "adaptive_average_pool2d", "output_size": 2}, ((5, 4, 2),)),
        Example({"type": "adaptive_average_pool2d", "output_size": [3, 5]}, ((7, 2, 3),)),
    )
    formula = "a'[x, y, c] = mean of a[i, j, c], floor(x*n_H/m_H) <= i < ceil((x + 1)*n_H/m_H), j alike"
    source = "He et al. 2014, Spatial pyramid pooling in deep convolutional networks, section 2.2"

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0], self.type)
        return (*self.output_size, inputs[0][2])

    def cost(self, *inputs: Shape) -> Cost:
        return resampling_cost(inputs[0], self.output_shape(*inputs))

    def reach(self, *inputs: Shape) -> Reach:
        (height, width), (rows, columns) = inputs[0][:2], self.output_size
        down, right = resampling.longest_stretch(height, rows), resampling.longest_stretch(width, columns)
        return Reach((down, right), (Fraction(height, rows), Fraction(width, columns)))

    def connections(self, *inputs: Shape) -> int | None:
        height, width, channels = inputs[0]
        rows, columns = self.output_size
        return resampling.stretched(height, rows) * resampling.stretched(width, columns) * channels

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        return {"size": f"output_size = {self.output_size[0]}x{self.output_size[1]}"}

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        rows, columns = (
            resampling.averaging(size, bins)
            for size, bins in zip(xs[0].shape[1:3], self.output_size, strict=True)
        )
        return resampling.resample(xs[0], rows, columns, context), (rows, columns)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        rows, columns = saved
        return (resampling.resample_backward(dy, rows, columns, context),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        stretches = (
            resampling.stretch(size, bins, at)
            for size, bins, at in zip(xs[0].shape[:2], self.output_size, position[:2], strict=True)
        )
        rows, columns = (Line(first, end - first) for first, end in stretches)
        cells = gather(xs[0], rows, columns, channel(position))
        return average(position, cells, cells.inside)

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        rows, columns = (
            resampling.averaging(size, bins)[:, at]
            for size, bins, at in zip(xs[0].shape[:2], self.output_size, position[:2], strict=True)
        )
        return Column.crossed(rows, columns, position[2])

    def export(self, weights: Weights, *xs: Given) -> Operator:
        shape = xs[0].shape
        if all(size % bins == 0 for size, bins in zip(shape[:2], self.output_size, strict=True)):
            window = (shape[0] // self.output_size[0], shape[1] // self.output_size[1])
            return operator("AveragePool", xs[0], kernel_shape=window, strides=window)
        # ONNX has no other such pool: a product with a matrix from the left and one from the right
        rows, columns = (
            resampling.averaging(size, bins)
            for size, bins in zip(xs[0].shape[:2], self.output_size, strict=True)
        )
        return operator("MatMul", operator("MatMul", reals(rows), xs[0]), reals(columns.T))
