"""The convolution layer."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from engine.arrays import Array, Shape, Weights
from engine.initializers import Initializer
from engine.layers.base import Context, Cost, Example, Gradients, Layer, Reach, WeightSpec, require_map
from engine.layers.parameters import Activation, Padding
from engine.ops import convolution, windows
from engine.ops.windows import Window
from engine.spec import Flag, PositiveInt, Size2D, Stride2D


class Conv2D(Layer):
    """Slides a bank of learned filters over the map; each filter makes one channel of the output."""

    type: Literal["conv2d"] = "conv2d"
    filters: PositiveInt
    """Channels of the output, n_C of this layer."""
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

    examples: ClassVar = (
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
    )
    formula: ClassVar = "z[x, y, k] = sum_{i,j,c} K[i, j, c, k] * a[s*x + i - p, s*y + j - p, c] + b[k]"
    source: ClassVar = (
        "LeCun et al. 1998, Gradient-based learning applied to document recognition, section II.A"
    )

    def window(self, shape: Shape) -> Window:
        """Return the arithmetic of the sliding window over a map (H, W, C)."""
        require_map(shape, "conv2d")
        return windows.slide(shape, self.kernel_size, self.stride, self.padding, self.dilation)

    def output_shape(self, *inputs: Shape) -> Shape:
        return (*self.window(inputs[0]).output, self.filters)

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        kernel = WeightSpec(
            (*self.kernel_size, inputs[0][2], self.filters), self.weight_initializer, self.trainable
        )
        bias = WeightSpec((self.filters,), "zeros", self.trainable, decays=False)
        return {"weight": kernel, "bias": bias} if self.bias else {"weight": kernel}

    def cost(self, *inputs: Shape) -> Cost:
        height, width = self.window(inputs[0]).output
        taps = self.kernel_size[0] * self.kernel_size[1] * inputs[0][2]
        window = self.window(inputs[0])
        padded = window.height.padded * window.width.padded * inputs[0][2] if window.is_padded else 0
        return Cost(height * width * self.filters * taps, 4 * padded)

    def reach(self, *inputs: Shape) -> Reach:
        rows, columns = self.window(inputs[0])
        return Reach((rows.extent, columns.extent), self.stride)

    def connections(self, *inputs: Shape) -> int | None:
        return self.window(inputs[0]).connections * inputs[0][2] * self.filters

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
            with_bias=self.bias,
            with_input=context.needs_input_gradient,
            buffers=context,
        )
        return (dx,), {"weight": dweight} if dbias is None else {"weight": dweight, "bias": dbias}
