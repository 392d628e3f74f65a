"""Convolution layers: plain, grouped, depthwise and transposed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
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
from engine.layers.trace_kinds import Line, gather, under, weighted
from engine.ops import convolution, transposed, windows
from engine.ops.windows import Window
from engine.spec import Extra2D, Flag, PositiveInt, Size2D, Stride2D


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
        return _weights(self, shape)

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
        constants = _constants(self, weights, xs[0].shape, "out", "in")
        return operator(
            "Conv",
            xs[0],
            *constants,
            **self.window(xs[0].shape).exported,
            dilations=self.dilation,
            group=groups,
        )


def _constants(
    layer: _Convolution | TransposedConv2D, weights: Weights, shape: Shape, *channels: Axis
) -> list[Constant]:
    """Return the filters and the bias, if there is one, as ONNX has them."""
    kernel = layer.exported(weights, "weight", (*channels, "height", "width"), shape)
    return [kernel, Constant(weights["bias"], "bias")] if layer.bias else [kernel]


def _weights(layer: _Convolution | TransposedConv2D, shape: Shape) -> dict[str, WeightSpec]:
    axes: tuple[Axis, ...] = ("height", "width", "in", "out")
    kernel = WeightSpec(shape, axes, layer.weight_initializer, layer.trainable)
    bias = WeightSpec(shape[-1:], ("out",), "zeros", layer.trainable, decays=False)
    return {"weight": kernel, "bias": bias} if layer.bias else {"weight": kernel}


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
        for number, what in ((channels, "channels of the input"), (self.filters, "filters")):
            if number % self.groups:
                raise ShapeError(
                    f"the {number} {what} cannot be divided into {self.groups} equal groups",
                    path=("groups",),
                    hint="use a number of groups that divides both the channels of the input and the filters",
                )
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


class TransposedConv2D(Layer):
    """Stamps a filter on a larger map for each pixel of the input: a convolution backwards, which enlarges."""

    type: Literal["transposed_conv2d"] = "transposed_conv2d"
    filters: PositiveInt
    """Channels of the output."""
    kernel_size: Size2D = (3, 3)
    """Height and width of a filter, f."""
    stride: Stride2D = (1, 1)
    """Pixels of the output from one stamp to the next, s."""
    padding: Padding = "valid"
    """Pixels cut off around the output, p. `same` gives n * s."""
    output_padding: Extra2D = (0, 0)
    """Pixels added to the output at the bottom and right, less than the stride."""
    dilation: Size2D = (1, 1)
    """Pixels from one cell of the filter to the next."""
    bias: Flag = True
    """Whether a number per filter is added."""
    activation: Activation | None = None
    """The article's psi, applied as a node of its own."""
    weight_initializer: Initializer = "he_normal"
    """How the filters start."""

    examples = (
        Example({"type": "transposed_conv2d", "filters": 2, "kernel_size": 2, "stride": 2}, ((2, 3, 3),)),
        Example(
            {
                "type": "transposed_conv2d",
                "filters": 3,
                "stride": [2, 1],
                "padding": 1,
                "output_padding": [1, 0],
                "bias": False,
            },
            ((3, 3, 2),),
        ),
        Example(
            {
                "type": "transposed_conv2d",
                "filters": 1,
                "kernel_size": [4, 2],
                "stride": 3,
                "padding": "same",
            },
            ((2, 2, 2),),
        ),
        Example(
            {"type": "transposed_conv2d", "filters": 2, "dilation": 2, "padding": [[1, 0], [0, 2]]},
            ((2, 3, 1),),
        ),
    )
    formula = "z[s*x + i - p, s*y + j - p, k] = sum_{x,y,i,j,c} K[i, j, c, k] * a[x, y, c] + b[k]"
    source = (
        "Zeiler et al. 2010, Deconvolutional networks; Dumoulin & Visin 2016, A guide to convolution "
        "arithmetic for deep learning, chapter 4"
    )

    def window(self, shape: Shape) -> Window:
        """Return the window of the convolution that would lead back from the output."""
        require_map(shape, self.type)
        for extra, stride in zip(self.output_padding, self.stride, strict=True):
            if extra and (extra >= stride or self.padding == "same"):
                raise ShapeError(
                    f"an output padding of {extra} with stride {stride} and padding {self.padding!r}",
                    path=("output_padding",),
                    hint="output padding is less than the stride, and there is none with padding 'same'",
                )
        window = transposed.spread(
            shape, self.kernel_size, self.stride, self.padding, self.output_padding, self.dilation
        )
        for axis, n in zip(window, shape[:2], strict=True):
            if axis.size < 1:
                raise ShapeError(
                    f"a padding of {axis.before} + {axis.after} cuts all of the "
                    f"{(n - 1) * axis.stride + axis.extent} pixels off",
                    path=("padding",),
                    hint="use less padding, a larger window or a larger stride",
                )
        return window

    def output_shape(self, *inputs: Shape) -> Shape:
        rows, columns = self.window(inputs[0])
        return (rows.size, columns.size, self.filters)

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        return _weights(self, (*self.kernel_size, inputs[0][2], self.filters))

    def cost(self, *inputs: Shape) -> Cost:
        window = self.window(inputs[0])
        taps = self.kernel_size[0] * self.kernel_size[1] * self.filters
        padded = window.height.padded * window.width.padded * self.filters
        stamps = elements(inputs[0][:2]) * taps
        return Cost(elements(inputs[0]) * taps, 4 * padded, 4 * stamps, elements(self.kernel_size) * PASS)

    def reach(self, *inputs: Shape) -> Reach:
        rows, columns = self.window(inputs[0])
        # stamps overlap: an output pixel hears of at most ceil(extent / s) neighbouring pixels of the input
        size = (-(-rows.extent // rows.stride), -(-columns.extent // columns.stride))
        return Reach(size, (Fraction(1, rows.stride), Fraction(1, columns.stride)))

    def connections(self, *inputs: Shape) -> int | None:
        return self.window(inputs[0]).connections * inputs[0][2] * self.filters

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        formulas = {}
        window = self.window(inputs[0])
        for name, axis, n, extra in zip(
            ("height", "width"), window, inputs[0][:2], self.output_padding, strict=True
        ):
            text = f"{n}*{axis.stride}"
            if self.padding != "same":
                cut = f"2*{axis.before}" if axis.before == axis.after else f"{axis.before} - {axis.after}"
                text = f"({n} - 1)*{axis.stride} - {cut} + {axis.dilation}*({axis.kernel} - 1) + 1 + {extra}"
            formulas[name] = f"{text} = {axis.size}"
        return formulas

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        window = self.window(xs[0].shape[1:])
        y = transposed.convolve_transposed(xs[0], weights["weight"], weights.get("bias"), window, context)
        return y, (xs[0], window)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        x, window = saved
        dx, dweight, dbias = transposed.convolve_transposed_backward(
            x,
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
        filters = weights["weight"][..., position[2]]  # (KH, KW, C)
        lines = []
        for number, axis in enumerate(self.window(xs[0].shape)):
            line, taps = Line.stamping(axis, position[number], xs[0].shape[number])
            filters = filters.take(np.array(taps, np.intp), number)
            lines.append(line)
        cells = gather(xs[0], *lines, Line(0, xs[0].shape[2]))
        bias = weights["bias"][position[2]] if self.bias else None
        return weighted(position, cells, filters, bias)

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        factors = weights["weight"][:, :, position[2]]  # (KH, KW, filters)
        lines = []
        for at, axis in enumerate(self.window(xs[0].shape)):
            stamp = Line.under(axis, position[at])
            taps = np.flatnonzero((stamp.indices >= 0) & (stamp.indices < axis.size))
            factors = factors.take(taps, at)
            first = int(stamp.indices[taps[0]]) if taps.size else 0
            lines.append(stamp._replace(first=first, length=taps.size))
        return Column.along((*lines, Line(0, self.filters)), factors)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        before, behind, extra = [], [], []
        for axis, n in zip(self.window(xs[0].shape), xs[0].shape[:2], strict=True):
            cut = (n - 1) * axis.stride + axis.extent - axis.before - axis.size
            before.append(axis.before)
            behind.append(max(cut, 0))
            extra.append(max(-cut, 0))
        return operator(
            "ConvTranspose",
            xs[0],
            *_constants(self, weights, xs[0].shape, "in", "out"),
            kernel_shape=self.kernel_size,
            strides=self.stride,
            dilations=self.dilation,
            pads=(*before, *behind),
            output_padding=tuple(extra),
        )
