"""The transposed convolution, which enlarges a map."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights, elements
from engine.errors import ShapeError
from engine.layers.base import (
    PASS,
    Context,
    Cost,
    Example,
    Gradients,
    Layer,
    Reach,
    WeightSpec,
    require_map,
)
from engine.layers.convolution import filter_constants, filter_weights, require_groups
from engine.layers.export import Constant, Given, Operator, operator
from engine.layers.initializers import Initializer
from engine.layers.jacobian import Column
from engine.layers.parameters import Activation, Padding
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, gather, weighted
from engine.ops import transposed
from engine.ops.windows import Window
from engine.spec import Extra2D, Flag, PositiveInt, Size2D, Stride2D


class TransposedConv2D(Layer):
    """Stamps a filter on a larger map for each pixel of the input: a convolution backwards, which enlarges."""

    type: Literal["transposed_conv2d"] = "transposed_conv2d"
    filters: PositiveInt
    """Channels of the output."""
    groups: PositiveInt = 1
    """Into how many groups the channels fall; each makes its own share of the output's."""
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
        Example(
            {"type": "transposed_conv2d", "filters": 6, "groups": 2, "kernel_size": [2, 3], "stride": 2},
            ((2, 3, 4),),
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
        require_groups(self.groups, inputs[0][2], self.filters)
        return (rows.size, columns.size, self.filters)

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        return filter_weights(
            self,
            (*self.kernel_size, inputs[0][2] // self.groups, self.filters),
            self.weight_initializer,
            self.bias,
        )

    def cost(self, *inputs: Shape) -> Cost:
        window = self.window(inputs[0])
        taps = elements(self.kernel_size) * self.filters
        padded = window.height.padded * window.width.padded * self.filters
        stamps = elements(inputs[0][:2]) * taps
        return Cost(
            elements(inputs[0]) * taps // self.groups,
            4 * padded,
            4 * stamps,
            elements(self.kernel_size) * PASS,
        )

    def reach(self, *inputs: Shape) -> Reach:
        rows, columns = self.window(inputs[0])
        # stamps overlap: an output pixel hears of at most ceil(extent / s) neighbouring pixels of the input
        size = (-(-rows.extent // rows.stride), -(-columns.extent // columns.stride))
        return Reach(size, (Fraction(1, rows.stride), Fraction(1, columns.stride)))

    def connections(self, *inputs: Shape) -> int | None:
        return self.window(inputs[0]).connections * inputs[0][2] * self.filters // self.groups

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
        bias = weights.get("bias")
        y = transposed.convolve_transposed(xs[0], weights["weight"], bias, window, self.groups, context)
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
            self.groups,
            with_weight=context.wants("weight"),
            with_bias=self.bias and context.wants("bias"),
            with_input=context.wants_input,
            buffers=context,
        )
        return (dx,), context.gradients(weight=dweight, bias=dbias)

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        filters = weights["weight"][..., position[2]]  # (KH, KW, C / g)
        lines = []
        for number, axis in enumerate(self.window(xs[0].shape)):
            line, taps = Line.stamping(axis, position[number], xs[0].shape[number])
            filters = filters.take(np.array(taps, np.intp), number)
            lines.append(line)
        thin = xs[0].shape[2] // self.groups
        group = position[2] // (self.filters // self.groups)
        cells = gather(xs[0], *lines, Line(group * thin, thin))
        bias = weights["bias"][position[2]] if self.bias else None
        return weighted(position, cells, filters, bias)

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        group, own = divmod(position[2], xs[0].shape[2] // self.groups)
        filters = Line(group * (self.filters // self.groups), self.filters // self.groups)
        factors = weights["weight"][:, :, own, filters.indices]  # (KH, KW, F / g)
        lines = []
        for at, axis in enumerate(self.window(xs[0].shape)):
            stamp = Line.under(axis, position[at])
            taps = np.flatnonzero((stamp.indices >= 0) & (stamp.indices < axis.size))
            factors = factors.take(taps, at)
            first = int(stamp.indices[taps[0]]) if taps.size else 0
            lines.append(stamp._replace(first=first, length=taps.size))
        return Column.along((*lines, filters), factors)

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
            *self._constants(weights, xs[0].shape),
            kernel_shape=self.kernel_size,
            strides=self.stride,
            dilations=self.dilation,
            group=self.groups,
            pads=(*before, *behind),
            output_padding=tuple(extra),
        )

    def _constants(self, weights: Weights, shape: Shape) -> list[Constant]:
        """Return the filters and the bias, if there is one, as ONNX has them: all channels of the input first."""
        kernel, *bias = filter_constants(self, weights, shape)  # (F, C / g, KH, KW)
        grouped = kernel.array.reshape(self.groups, -1, *kernel.array.shape[1:]).swapaxes(1, 2)
        return [Constant(grouped.reshape(-1, *grouped.shape[2:]), kernel.name), *bias]
