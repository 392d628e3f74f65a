"""Pooling layers: they shrink a map, channel by channel, and learn nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights, elements
from engine.errors import ShapeError
from engine.layers.base import PASS, Context, Cost, Example, Gradients, Layer, Reach, require_map
from engine.layers.export import Given, Operator, integers, operator, reals
from engine.layers.parameters import Padding
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Cells, Line, average, channel, gather, largest, under
from engine.ops import pooling, windows
from engine.ops.windows import Window
from engine.spec import Flag, Size2D, Stride2D


class _Pool2D(Layer):
    """What the sliding pools share."""

    pool_size: Size2D = (2, 2)
    """Height and width of the window, f."""
    stride: Stride2D | None = None
    """Pixels from one position of the window to the next, s; by default the window's own size."""
    padding: Padding = "valid"
    """Pixels around the map, p; less than the window on every side."""
    dilation: Size2D = (1, 1)
    """Pixels from one cell of the window to the next."""
    ceil_mode: Flag = False
    """Whether a last window that only partly fits counts too: ceil instead of floor in the size formula."""

    def window(self, shape: Shape) -> Window:
        """Return the arithmetic of the sliding window over a map (H, W, C)."""
        require_map(shape, self.type)
        try:
            window = windows.slide(
                shape,
                self.pool_size,
                self.stride or self.pool_size,
                self.padding,
                self.dilation,
                round_up=self.ceil_mode,
            )
        except ShapeError as error:
            raise ShapeError(error.detail, path=("pool_size",), hint=error.hint) from None
        for axis in window:
            if max(axis.before, axis.after) >= axis.extent:
                raise ShapeError(
                    f"padding of {max(axis.before, axis.after)} with a window of {axis.extent}: "
                    "a window would see nothing but padding",
                    path=("padding",),
                    hint=f"use a padding of at most {axis.extent - 1}",
                )
            if axis.padded > axis.size and axis.kernel > 1 and axis.dilation > axis.size:
                raise ShapeError(
                    f"a dilation of {axis.dilation} with {axis.size} pixels between padding: "
                    "a window would see nothing but padding",
                    path=("dilation",),
                    hint=f"use a dilation of at most {axis.size}, or no padding",
                )
        return window

    def output_shape(self, *inputs: Shape) -> Shape:
        return (*self.window(inputs[0]).output, inputs[0][2])

    def cost(self, *inputs: Shape) -> Cost:
        outputs = elements(self.output_shape(*inputs))
        passes = elements(self.pool_size) * (outputs + PASS)
        return Cost(scratch_bytes=self._padded(inputs[0]) + 4 * outputs, element_operations=passes)

    def _padded(self, shape: Shape) -> int:
        """Return how many bytes the map and its padding take, 0 if it has none."""
        rows, columns = window = self.window(shape)
        return 4 * rows.padded * columns.padded * shape[2] if window.is_padded else 0

    def reach(self, *inputs: Shape) -> Reach:
        rows, columns = self.window(inputs[0])
        return Reach((rows.extent, columns.extent), self.stride or self.pool_size)

    def connections(self, *inputs: Shape) -> int | None:
        return self.window(inputs[0]).connections * inputs[0][2]

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        return self.window(inputs[0]).formula

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        window = self.window(inputs[0])
        stamps = (
            Line.stamping(axis, at, axis.output)[0] for axis, at in zip(window, position[:2], strict=True)
        )
        return (*stamps, channel(position))


class MaxPool2D(_Pool2D):
    """Keeps the largest number of each window; padding never wins, a tie goes to the first cell."""

    type: Literal["max_pool2d"] = "max_pool2d"

    examples = (
        Example({"type": "max_pool2d"}, ((4, 6, 2),)),
        Example({"type": "max_pool2d", "pool_size": 3, "stride": 2, "padding": 1}, ((7, 6, 3),)),
        Example(
            {"type": "max_pool2d", "pool_size": [3, 2], "stride": [1, 2], "padding": "same"}, ((5, 5, 2),)
        ),
        Example({"type": "max_pool2d", "pool_size": 3, "stride": 2, "ceil_mode": True}, ((6, 4, 2),)),
        Example({"type": "max_pool2d", "stride": 1, "padding": [0, 1], "dilation": [2, 3]}, ((5, 4, 2),)),
    )
    formula = "a'[x, y, c] = max_{i,j} a[s*x + i - p, s*y + j - p, c]"
    source = "Zhou & Chellappa 1988, Computation of optical flow using a neural network; Boureau et al. 2010"

    def cost(self, *inputs: Shape) -> Cost:
        winners = elements(self.output_shape(*inputs))
        return super().cost(*inputs)._replace(saved_bytes=winners + self._padded(inputs[0]))

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        window = self.window(xs[0].shape[1:])
        y, winner = pooling.max_pool(xs[0], window, context)
        return y, (winner, window)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        winner, window = saved
        return (pooling.max_pool_backward(winner, dy, window, context),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        return largest(position, under(xs[0], self.window(xs[0].shape), position, channel(position)))

    def export(self, weights: Weights, *xs: Given) -> Operator:
        window = self.window(xs[0].shape).exported
        return operator("MaxPool", xs[0], **window, dilations=self.dilation)


class AveragePool2D(_Pool2D):
    """Averages each window."""

    type: Literal["average_pool2d"] = "average_pool2d"
    count_padding: Flag = False
    """Whether padded zeros are averaged in, or only real pixels."""

    examples = (
        Example({"type": "average_pool2d"}, ((4, 6, 2),)),
        Example({"type": "average_pool2d", "pool_size": 3, "stride": 2, "padding": 1}, ((7, 6, 3),)),
        Example(
            {
                "type": "average_pool2d",
                "pool_size": [2, 3],
                "stride": 1,
                "padding": "same",
                "count_padding": True,
            },
            ((5, 5, 2),),
        ),
        Example(
            {
                "type": "average_pool2d",
                "pool_size": 3,
                "stride": 2,
                "padding": 1,
                "ceil_mode": True,
                "count_padding": True,
            },
            ((6, 4, 2),),
        ),
        Example(
            {"type": "average_pool2d", "pool_size": [2, 3], "stride": 1, "padding": 1, "dilation": [3, 2]},
            ((5, 6, 2),),
        ),
    )
    formula = "a'[x, y, c] = mean_{i,j} a[s*x + i - p, s*y + j - p, c]"
    source = "LeCun et al. 1998, Gradient-based learning applied to document recognition, section II.A"

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        window = self.window(xs[0].shape[1:])
        return pooling.average_pool(xs[0], window, count_padding=self.count_padding, buffers=context), window

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        dx = pooling.average_pool_backward(dy, saved, count_padding=self.count_padding, buffers=context)
        return (dx,), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        window = self.window(xs[0].shape)
        cells = under(xs[0], window, position, channel(position))
        if not self.count_padding:
            return average(position, cells, cells.inside)
        # what a rounded-up last window sees beyond the padding is never counted
        rows, columns = (
            Line.under(axis, at).indices < axis.size + axis.after
            for axis, at in zip(window, position[:2], strict=True)
        )
        return average(position, cells, (rows[:, None] & columns)[..., None])

    def export(self, weights: Weights, *xs: Given) -> Operator:
        window = self.window(xs[0].shape)
        pool = window.exported
        if max(self.dilation) > 1:
            # which AveragePool has from version 19 on: the sums of windows, each times its share
            channels = xs[0].shape[2]
            ones = reals(np.ones((channels, 1, *self.pool_size)))
            sums = operator("Conv", xs[0], ones, **pool, dilations=self.dilation, group=channels)
            return operator(
                "Mul", sums, reals(pooling.shares(window, count_padding=self.count_padding)[..., 0])
            )
        if not (self.count_padding and window.is_padded):
            return operator("AveragePool", xs[0], **pool)
        # the padding that was asked for becomes pixels; what a rounded-up last window sees beyond it is never counted
        rows, columns = window
        sides = (rows.before, columns.before, rows.after, columns.after)
        padded = operator("Pad", xs[0], integers(0, 0, *sides[:2], 0, 0, *sides[2:]))
        beyond = tuple(pad - side for pad, side in zip(pool["pads"], sides, strict=True))
        return operator("AveragePool", padded, **pool | {"pads": beyond})


class _GlobalPool2D(Layer):
    """What the pools over whole maps share."""

    exported_as: ClassVar[str]
    """What ONNX calls it."""

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0], self.type)
        return (inputs[0][2],)

    def reach(self, *inputs: Shape) -> Reach | None:
        return None

    def connections(self, *inputs: Shape) -> int | None:
        return elements(inputs[0])

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        return {"size": f"channels = {inputs[0][2]}"}

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        return (channel(position),)

    def cells(self, x: Array, position: Position) -> Cells:
        """Return all of one channel's map."""
        return gather(x, Line(0, x.shape[0]), Line(0, x.shape[1]), channel(position))

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Flatten", operator(self.exported_as, xs[0]))


class GlobalAveragePool2D(_GlobalPool2D):
    """Averages each whole map to one number."""

    type: Literal["global_average_pool2d"] = "global_average_pool2d"
    exported_as = "GlobalAveragePool"

    examples = (Example({"type": "global_average_pool2d"}, ((3, 5, 4),)),)
    formula = "a'[c] = mean_{x,y} a[x, y, c]"
    source = "Lin, Chen & Yan 2013, Network in network, section 3.2"

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        return pooling.global_average_pool(xs[0]), xs[0].shape[1:3]

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (pooling.global_average_pool_backward(dy, saved[0], saved[1], context),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        cells = self.cells(xs[0], position)
        return average(position, cells, cells.inside)


class GlobalMaxPool2D(_GlobalPool2D):
    """Keeps the largest number of each whole map; a tie goes to the first pixel."""

    type: Literal["global_max_pool2d"] = "global_max_pool2d"
    exported_as = "GlobalMaxPool"

    examples = (Example({"type": "global_max_pool2d"}, ((3, 5, 4),)),)
    formula = "a'[c] = max_{x,y} a[x, y, c]"
    source = "Oquab et al. 2015, Is object localization for free?, section 3.1"

    def cost(self, *inputs: Shape) -> Cost:
        return Cost(0, 8 * inputs[0][2])

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        y, winner = pooling.global_max_pool(xs[0])
        return y, (winner, *xs[0].shape[1:3])

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        winner, height, width = saved
        return (pooling.global_max_pool_backward(winner, dy, height, width, context),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        return largest(position, self.cells(xs[0], position))
