"""Layers that bring a map to another size without learning anything."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights
from engine.layers.base import PASS, Context, Cost, Example, Gradients, Layer, Reach, require_map
from engine.layers.export import Given, Operator, operator, reals
from engine.layers.jacobian import Column
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, average, channel, copied, gather, weighted
from engine.ops import resampling
from engine.spec import Size2D


def _cost(source: Shape, target: Shape) -> Cost:
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
        return _cost(inputs[0], self.output_shape(*inputs))

    def reach(self, *inputs: Shape) -> Reach:
        sizes = [max(lengths) for lengths in self._lengths(inputs[0])]
        (height, width), (rows, columns) = inputs[0][:2], self.output_size
        return Reach((sizes[0], sizes[1]), (Fraction(height, rows), Fraction(width, columns)))

    def connections(self, *inputs: Shape) -> int | None:
        rows, columns = self._lengths(inputs[0])
        return sum(rows) * sum(columns) * inputs[0][2]

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        return {"size": f"output_size = {self.output_size[0]}x{self.output_size[1]}"}

    def _lengths(self, shape: Shape) -> list[list[int]]:
        """Return how many rows each row of the output averages, and the same of columns."""
        lengths = []
        for size, bins in zip(shape[:2], self.output_size, strict=True):
            stretches = [resampling.stretch(size, bins, number) for number in range(bins)]
            lengths.append([end - first for first, end in stretches])
        return lengths

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
        # ONNX has no such pool: a product with a matrix from the left and one from the right
        rows, columns = (
            resampling.averaging(size, bins)
            for size, bins in zip(xs[0].shape[:2], self.output_size, strict=True)
        )
        return operator("MatMul", operator("MatMul", reals(rows), xs[0]), reals(columns.T))


class Upsample2D(Layer):
    """Enlarges a map: by repeating each pixel, or by passing smoothly from one to the next."""

    type: Literal["upsample2d"] = "upsample2d"
    factor: Size2D = (2, 2)
    """How many times as high and as wide."""
    mode: Literal["nearest", "bilinear"] = "nearest"
    """`nearest` repeats pixels; `bilinear` interpolates between pixel centres (not between corners)."""

    examples = (
        Example({"type": "upsample2d"}, ((2, 3, 2),)),
        Example({"type": "upsample2d", "mode": "bilinear"}, ((3, 2, 2),)),
        Example({"type": "upsample2d", "factor": [3, 1], "mode": "bilinear"}, ((2, 4, 1),)),
    )
    formula = "n' = factor * n"
    source = (
        "Odena, Dumoulin & Olah 2016, Deconvolution and checkerboard artifacts; Long, Shelhamer & Darrell 2015, "
        "Fully convolutional networks for semantic segmentation, section 3.3"
    )

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0], self.type)
        height, width, channels = inputs[0]
        return (height * self.factor[0], width * self.factor[1], channels)

    def cost(self, *inputs: Shape) -> Cost:
        return Cost() if self.mode == "nearest" else _cost(inputs[0], self.output_shape(*inputs))

    def reach(self, *inputs: Shape) -> Reach:
        down, right = self.factor
        size = (1, 1) if self.mode == "nearest" else (min(down, 2), min(right, 2))
        return Reach(size, (Fraction(1, down), Fraction(1, right)))

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        return {
            name: f"{factor}*{size} = {factor * size}"
            for name, factor, size in zip(("height", "width"), self.factor, inputs[0][:2], strict=True)
        }

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        if self.mode == "nearest":
            return resampling.repeat(xs[0], self.factor, context), None
        rows, columns = (
            resampling.interpolating(size, size * factor)
            for size, factor in zip(xs[0].shape[1:3], self.factor, strict=True)
        )
        return resampling.resample(xs[0], rows, columns, context), (rows, columns)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        if saved is None:
            return (resampling.repeat_backward(dy, self.factor, context),), {}
        rows, columns = saved
        return (resampling.resample_backward(dy, rows, columns, context),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        if self.mode == "nearest":
            row, column = (at // factor for at, factor in zip(position[:2], self.factor, strict=True))
            return copied(xs, position, (row, column, position[2]))
        shares = [
            resampling.interpolating(size, size * factor)[at]
            for size, factor, at in zip(xs[0].shape[:2], self.factor, position[:2], strict=True)
        ]
        used = [np.flatnonzero(share) for share in shares]
        rows, columns = (Line(int(cells[0]), len(cells)) for cells in used)
        factors = np.multiply.outer(shares[0][used[0]], shares[1][used[1]])[..., None]
        return weighted(position, gather(xs[0], rows, columns, channel(position)), factors, None)

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        rows, columns = (
            np.arange(size * factor) // factor == at
            if self.mode == "nearest"
            else resampling.interpolating(size, size * factor)[:, at]
            for size, factor, at in zip(xs[0].shape[:2], self.factor, position[:2], strict=True)
        )
        return Column.crossed(rows, columns, position[2])

    def export(self, weights: Weights, *xs: Given) -> Operator:
        # the second input, a region of interest, is of no use here
        inputs = (xs[0], reals([]), reals([1, 1, *self.factor]))
        if self.mode == "nearest":
            how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            return operator("Resize", *inputs, mode="nearest", **how)
        return operator("Resize", *inputs, mode="linear", coordinate_transformation_mode="half_pixel")
