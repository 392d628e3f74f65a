"""Published blocks that do much with little arithmetic: MobileNet's, and squeeze-and-excitation."""

from __future__ import annotations

from typing import Literal

from engine.layers.activation import ReLU, Sigmoid
from engine.layers.base import Block, Example, LayerRecord, Scope, require_map
from engine.layers.bounded import ReLU6
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.dense import Dense
from engine.layers.merge import Add, Multiply
from engine.layers.normalization import BatchNorm
from engine.layers.parameters import Activation, Padding
from engine.layers.pooling import GlobalAveragePool2D
from engine.spec import PositiveInt, Size2D, Stride2D


class SqueezeAndExcitation(Block):
    """Weighs the channels of a map by what the whole map holds."""

    type: Literal["squeeze_and_excitation"] = "squeeze_and_excitation"
    reduction: PositiveInt = 16
    """How many times fewer units the bottleneck has than the map has channels, r."""
    activation: Activation | None = ReLU()
    """The article's psi in the bottleneck."""
    gate: Activation = Sigmoid()
    """Turns a channel's score into its weight."""

    examples = (
        Example({"type": "squeeze_and_excitation", "reduction": 2}, ((3, 2, 4),)),
        Example({"type": "squeeze_and_excitation", "activation": "silu"}, ((2, 2, 3),)),
    )
    formula = "a'[x, y, c] = a[x, y, c] * s[c], s = gate(W_2 psi(W_1 mean_{x,y} a))"
    source = "Hu, Shen & Sun 2017, Squeeze-and-excitation networks, section 3"

    def expand(self, scope: Scope, source: str) -> str:
        require_map(scope.shape(source), self.type)
        channels = scope.shape(source)[2]
        units = max(1, channels // self.reduction)
        squeezed = scope.add(GlobalAveragePool2D(), (source,), "squeeze")
        reduced = scope.add(Dense(units=units, activation=self.activation), (squeezed,), "reduce")
        weight = scope.add(Dense(units=channels, activation=self.gate), (reduced,), "excite")
        return scope.add(Multiply(), (source, weight), "scale")


class DepthwiseSeparable(Block):
    """A convolution in two cheap steps: each channel's window by itself, then a 1x1 convolution that mixes."""

    type: Literal["depthwise_separable"] = "depthwise_separable"
    filters: PositiveInt
    """Channels of the output."""
    kernel_size: Size2D = (3, 3)
    """Height and width of the depthwise filters, f."""
    stride: Stride2D = (1, 1)
    """Pixels from one position of the window to the next, s."""
    padding: Padding = "same"
    """Zeros around the map, p."""
    activation: Activation | None = ReLU()
    """The article's psi, after either step."""

    examples = (
        Example({"type": "depthwise_separable", "filters": 3}, ((4, 3, 2),)),
        Example(
            {"type": "depthwise_separable", "filters": 1, "kernel_size": 2, "stride": 2, "padding": "valid"},
            ((4, 4, 2),),
        ),
    )
    formula = "a' = psi(BN(conv_1x1(psi(BN(depthwise_fxf(a))))))"
    source = "Howard et al. 2017, MobileNets, section 3.1 and figure 3"

    def expand(self, scope: Scope, source: str) -> str:
        layers: list[LayerRecord] = [
            DepthwiseConv2D(
                kernel_size=self.kernel_size, stride=self.stride, padding=self.padding, bias=False
            ),
            BatchNorm(activation=self.activation),
            Conv2D(filters=self.filters, kernel_size=(1, 1), bias=False),
            BatchNorm(activation=self.activation),
        ]
        return scope.chain(layers, source, None, "body")


class InvertedResidual(Block):
    """A residual block that is wide inside and thin outside, with a depthwise convolution in its middle.

    Where stride and channels leave the shape as it is, the input is added to the output.
    """

    type: Literal["inverted_residual"] = "inverted_residual"
    filters: PositiveInt
    """Channels of the output."""
    expansion: PositiveInt = 6
    """How many times as many channels the inside has, t; 1 leaves the expanding convolution out."""
    kernel_size: Size2D = (3, 3)
    """Height and width of the depthwise filters, f."""
    stride: Stride2D = (1, 1)
    """Pixels from one position of the window to the next, s."""
    padding: Padding = "same"
    """Zeros around the map, p."""
    activation: Activation | None = ReLU6()
    """The article's psi, inside; the thin output has none."""

    examples = (
        Example({"type": "inverted_residual", "filters": 2, "expansion": 2}, ((3, 3, 2),)),
        Example({"type": "inverted_residual", "filters": 3, "expansion": 2, "stride": 2}, ((4, 4, 2),)),
        Example({"type": "inverted_residual", "filters": 1, "expansion": 1}, ((3, 3, 2),)),
    )
    formula = "a' = [a +] BN(conv_1x1(psi(BN(depthwise_fxf(psi(BN(conv_1x1(a))))))))"
    source = "Sandler et al. 2018, MobileNetV2: Inverted residuals and linear bottlenecks, section 3"

    def expand(self, scope: Scope, source: str) -> str:
        shape = scope.shape(source)
        require_map(shape, self.type)
        layers: list[LayerRecord] = []
        if self.expansion != 1:
            wide = Conv2D(filters=self.expansion * shape[2], kernel_size=(1, 1), bias=False)
            layers += [wide, BatchNorm(activation=self.activation)]
        layers += [
            DepthwiseConv2D(
                kernel_size=self.kernel_size, stride=self.stride, padding=self.padding, bias=False
            ),
            BatchNorm(activation=self.activation),
            Conv2D(filters=self.filters, kernel_size=(1, 1), bias=False),
            BatchNorm(),
        ]
        end = scope.chain(layers, source, None, "body")
        return scope.add(Add(), (end, source), "add") if scope.shape(end) == shape else end
