"""Convolution layers: plain, grouped and depthwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights, elements
from engine.errors import ShapeError
from engine.layers.base import (
    PASS,
    Axis,
    Context,
    Cost,
    Example,
    Gradients,
    Layer,
    Reach,
    WeightSpec,
    require_map,
)
from engine.layers.export import Constant, Given, Operator, operator
from engine.layers.initializers import Initializer
from engine.layers.jacobian import Column
from engine.layers.parameters import Activation, Padding
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, under, weighted
from engine.ops import convolution, windows
from engine.ops.windows import Window
from engine.spec import Flag, PositiveInt, Size2D, Stride2D


class _Convolution(Layer):
    """What convolutions of one window share; a subclass says how many filters and groups there are."""

    kernel_size: Size2D = (3, 3)
    """Height and width of a filter, f."""
    stride: Stride2D = (1, 1)
    """Pixels from one position of the window to the next, s."""
    padding: Padding = "valid"
    """Zeros around the map, p. `same` gives ceil(n / s), the odd pixel at the bottom and right."""
    dilation: Size2D = (1, 1)
    """Pixels from one cell of the filter to the next."""
    bias: Flag = True
    """Whether a number per filter is added."""
    activation: Activation | None = None
    """The article's psi, applied as a node of its own."""
    weight_initializer: Initializer = "he_normal"
    """How the filters start."""

    def arrangement(self, channels: int) -> tuple[int, int]:
        """Return (filters, groups) for a map of so many channels; raises ShapeError."""
        raise NotImplementedError

    def window(self, shape: Shape) -> Window:
        """Return the arithmetic of the sliding window over a map (H, W, C)."""
        require_map(shape, self.type)
        return windows.slide(shape, self.kernel_size, self.stride, self.padding, self.dilation)

    def output_shape(self, *inputs: Shape) -> Shape:
        window = self.window(inputs[0])
        filters, _ = self.arrangement(inputs[0][2])
        return (*window.output, filters)

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        filters, groups = self.arrangement(inputs[0][2])
        shape = (*self.kernel_size, inputs[0][2] // groups, filters)
        return filter_weights(self, shape, self.weight_initializer, self.bias)

    def cost(self, *inputs: Shape) -> Cost:
        window = self.window(inputs[0])
        channels = inputs[0][2]
        filters, groups = self.arrangement(channels)
        cells = elements(self.kernel_size)
        padded = window.height.padded * window.width.padded * channels if window.is_padded else 0
        # whole maps at a time where each channel has one filter, else the windows as the rows of a matrix
        gathered = 1 if groups == filters == channels > 1 else cells
        return Cost(
            elements(window.output) * filters * cells * channels // groups,
            4 * padded,
            4 * (elements(window.output) * channels * gathered + padded),
            cells * PASS,
        )

    def reach(self, *inputs: Shape) -> Reach:
        rows, columns = self.window(inputs[0])
        return Reach((rows.extent, columns.extent), self.stride)

    def connections(self, *inputs: Shape) -> int | None:
        filters, groups = self.arrangement(inputs[0][2])
        return self.window(inputs[0]).connections * inputs[0][2] // groups * filters

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        return self.window(inputs[0]).formula

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        window = self.window(xs[0].shape[1:])
        y, padded = convolution.convolve(xs[0], weights["weight"], weights.get("bias"), window, context)
        return y, (padded, window)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        padded, window = saved
        dx, dweight, dbias = convolution.convolve_backward(
            padded,
            weights["weight"],
            dy,
            window,
            with_weight=context.wants("weight"),
            with_bias=self.bias and context.wants("bias"),
            with_input=context.wants_input,
            buffers=context,
        )
        return (dx,), context.gradients(weight=dweight, bias=dbias)

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        channels, k = xs[0].shape[2], position[2]
        filters, groups = self.arrangement(channels)
        group = Line(k // (filters // groups) * (channels // groups), channels // groups)
        cells = under(xs[0], self.window(xs[0].shape), position, group)
        bias = weights["bias"][k] if self.bias else None
        return weighted(position, cells, weights["weight"][..., k], bias)

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        channels, c = xs[0].shape[2], position[2]
        filters, groups = self.arrangement(channels)
        group, within = divmod(c, channels // groups)
        seeing = Line(group * (filters // groups), filters // groups)
        factors = weights["weight"][:, :, within, seeing.indices]  # (KH, KW, filters of the group)
        lines = []
        for at, axis in enumerate(self.window(xs[0].shape)):
            # the windows that see a pixel lie as the stamps of a transposed convolution do
            line, taps = Line.stamping(axis, position[at], axis.output)
            factors = factors.take(np.array(taps, np.intp), at)
            lines.append(line)
        return Column.along((*lines, seeing), factors)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        _, groups = self.arrangement(xs[0].shape[2])
        constants = filter_constants(self, weights, xs[0].shape)
        return operator(
            "Conv",
            xs[0],
            *constants,
            **self.window(xs[0].shape).exported,
            dilations=self.dilation,
            group=groups,
        )


def filter_constants(layer: Layer, weights: Weights, shape: Shape) -> list[Constant]:
    """Return the filters, those of the output first, and the bias, if there is one, as ONNX has them."""
    kernel = layer.exported(weights, "weight", ("out", "in", "height", "width"), shape)
    return [kernel, Constant(weights["bias"], "bias")] if "bias" in weights else [kernel]


def require_groups(groups: int, channels: int, filters: int) -> None:
    """Raise ShapeError unless channels of an input, and filters, can be divided into groups."""
    for number, what in ((channels, "channels of the input"), (filters, "filters")):
        if number % groups:
            raise ShapeError(
                f"the {number} {what} cannot be divided into {groups} equal groups",
                path=("groups",),
                hint="use a number of groups that divides both the channels of the input and the filters",
            )


def filter_weights(layer: Layer, shape: Shape, initializer: Initializer, bias: bool) -> dict[str, WeightSpec]:
    """Return what a layer of filters (height, width, in, out) needs."""
    axes: tuple[Axis, ...] = ("height", "width", "in", "out")
    weights = {"weight": WeightSpec(shape, axes, initializer, layer.trainable)}
    if bias:
        weights["bias"] = WeightSpec(shape[-1:], ("out",), "zeros", layer.trainable, decays=False)
    return weights


class Conv2D(_Convolution):
    """Slides a bank of learned filters over the map; each filter makes one channel of the output."""

    type: Literal["conv2d"] = "conv2d"
    filters: PositiveInt
    """Channels of the output, n_C of this layer."""
    groups: PositiveInt = 1
    """Into how many groups the channels fall; a filter sees its own group alone."""

    examples = (
        Example({"type": "conv2d", "filters": 3, "kernel_size": 3, "activation": "relu"}, ((5, 6, 2),)),
        Example(
            {"type": "conv2d", "filters": 2, "kernel_size": [2, 3], "stride": [2, 1], "padding": "same"},
            ((5, 7, 3),),
        ),
        Example({"type": "conv2d", "filters": 4, "kernel_size": 1, "bias": False}, ((3, 4, 3),)),
        Example(
            {"type": "conv2d", "filters": 2, "kernel_size": 4, "stride": 2, "padding": [[1, 2], [0, 3]]},
            ((6, 5, 1),),
        ),
        Example(
            {"type": "conv2d", "filters": 2, "kernel_size": 3, "dilation": 2, "padding": 2}, ((7, 6, 2),)
        ),
        Example({"type": "conv2d", "filters": 6, "groups": 2, "padding": "same"}, ((4, 3, 4),)),
        Example({"type": "conv2d", "filters": 3, "groups": 3, "stride": 2, "padding": 1}, ((5, 4, 3),)),
    )
    formula = "z[x, y, k] = sum_{i,j,c} K[i, j, c, k] * a[s*x + i - p, s*y + j - p, c] + b[k]"
    source = (
        "LeCun et al. 1998, Gradient-based learning applied to document recognition, section II.A; groups: "
        "Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks, section 3.5"
    )

    def arrangement(self, channels: int) -> tuple[int, int]:
        require_groups(self.groups, channels, self.filters)
        return self.filters, self.groups


class DepthwiseConv2D(_Convolution):
    """Slides a filter of its own over each channel; channels do not mix until a 1x1 convolution follows."""

    type: Literal["depthwise_conv2d"] = "depthwise_conv2d"
    multiplier: PositiveInt = 1
    """Filters for each channel; the output has so many times the input's channels."""

    examples = (
        Example({"type": "depthwise_conv2d", "padding": "same", "activation": "relu6"}, ((5, 4, 3),)),
        Example(
            {"type": "depthwise_conv2d", "kernel_size": [2, 3], "stride": 2, "multiplier": 2, "bias": False},
            ((4, 5, 2),),
        ),
        Example({"type": "depthwise_conv2d", "dilation": [1, 2], "padding": 1}, ((4, 5, 2),)),
    )
    formula = "z[x, y, c] = sum_{i,j} K[i, j, c] * a[s*x + i - p, s*y + j - p, c] + b[c]"
    source = "Howard et al. 2017, MobileNets, section 3.1; Chollet 2016, Xception, section 2"

    def arrangement(self, channels: int) -> tuple[int, int]:
        return channels * self.multiplier, channels
