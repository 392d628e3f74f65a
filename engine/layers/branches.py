"""Published blocks whose outputs are concatenated: the Inception module and the dense block."""

from __future__ import annotations

from typing import Literal

from engine.layers.activation import ReLU
from engine.layers.base import Block, Example, LayerRecord, Scope
from engine.layers.convolution import Conv2D
from engine.layers.merge import Concatenate
from engine.layers.normalization import BatchNorm
from engine.layers.parameters import Activation
from engine.layers.pooling import MaxPool2D
from engine.spec import Flag, PositiveInt


class Inception(Block):
    """Filters of several sizes and a pool side by side; the network learns which to use.

    The reductions are 1x1 convolutions in front of the large filters: a bottleneck that saves most of the
    multiply-adds. Leave one null to see in the summary what it saves.
    """

    type: Literal["inception"] = "inception"
    filters_1x1: PositiveInt
    """Filters of the 1x1 branch."""
    reduce_3x3: PositiveInt | None = None
    """Filters of the 1x1 reduction before the 3x3 branch; null for none."""
    filters_3x3: PositiveInt
    """Filters of the 3x3 branch."""
    reduce_5x5: PositiveInt | None = None
    """Filters of the 1x1 reduction before the 5x5 branch; null for none."""
    filters_5x5: PositiveInt
    """Filters of the 5x5 branch."""
    filters_pool: PositiveInt | None = None
    """Filters of the 1x1 convolution after the 3x3 max-pool; null passes all its channels on."""
    batch_norm: Flag = False
    """Whether each convolution is followed by batch normalisation, and then has no bias."""
    activation: Activation | None = ReLU()
    """The article's psi, after each convolution."""

    examples = (
        Example(
            {
                "type": "inception",
                "filters_1x1": 2,
                "reduce_3x3": 2,
                "filters_3x3": 3,
                "reduce_5x5": 1,
                "filters_5x5": 2,
                "filters_pool": 1,
            },
            ((4, 3, 3),),
        ),
        Example({"type": "inception", "filters_1x1": 1, "filters_3x3": 2, "filters_5x5": 1}, ((3, 3, 2),)),
        Example(
            {"type": "inception", "filters_1x1": 1, "filters_3x3": 1, "filters_5x5": 1, "batch_norm": True},
            ((3, 3, 1),),
        ),
    )
    formula = "a = [conv_1x1(a), conv_3x3(conv_1x1(a)), conv_5x5(conv_1x1(a)), conv_1x1(max_pool(a))]"
    source = (
        "Szegedy et al. 2014, Going deeper with convolutions, section 4 and figure 2; 1x1 convolutions: "
        "Lin, Chen & Yan 2013, Network in network"
    )

    def expand(self, scope: Scope, source: str) -> str:
        branches = {
            "1x1": self._convolution(self.filters_1x1, 1),
            "3x3": self._convolution(self.reduce_3x3, 1) + self._convolution(self.filters_3x3, 3),
            "5x5": self._convolution(self.reduce_5x5, 1) + self._convolution(self.filters_5x5, 5),
            "pool": [
                MaxPool2D(pool_size=(3, 3), stride=(1, 1), padding="same"),
                *self._convolution(self.filters_pool, 1),
            ],
        }
        ends = [scope.chain(layers, source, None, f"branch_{name}") for name, layers in branches.items()]
        return scope.add(Concatenate(), ends, "concatenate")

    def _convolution(self, filters: int | None, size: int) -> list[LayerRecord]:
        if filters is None:
            return []
        window = {"filters": filters, "kernel_size": (size, size), "padding": "same"}
        if self.batch_norm:
            return [Conv2D(**window, bias=False), BatchNorm(activation=self.activation)]
        return [Conv2D(**window, activation=self.activation)]


class DenseBlock(Block):
    """Layers that each read the outputs of all before them, and add a few channels of their own."""

    type: Literal["dense_block"] = "dense_block"
    depth: PositiveInt
    """Number of layers."""
    growth: PositiveInt = 32
    """Channels that each layer adds, k."""
    bottleneck: PositiveInt | None = 4
    """A 1x1 convolution to so many times `growth` channels before each 3x3; null for none."""
    activation: Activation | None = ReLU()
    """The article's psi, after each normalisation, before each convolution."""

    examples = (
        Example({"type": "dense_block", "depth": 2, "growth": 2, "bottleneck": 2}, ((3, 3, 2),)),
        Example({"type": "dense_block", "depth": 2, "growth": 1, "bottleneck": None}, ((3, 3, 1),)),
    )
    formula = "a_l = [a_0, ..., a_{l-1}, H_l([a_0, ..., a_{l-1}])], H_l: batch norm, psi, convolution"
    source = "Huang et al. 2016, Densely connected convolutional networks, section 3"

    def expand(self, scope: Scope, source: str) -> str:
        layers: list[LayerRecord] = [BatchNorm(activation=self.activation)]
        if self.bottleneck is not None:
            reduced = Conv2D(filters=self.bottleneck * self.growth, kernel_size=(1, 1), bias=False)
            layers += [reduced, BatchNorm(activation=self.activation)]
        layers.append(Conv2D(filters=self.growth, kernel_size=(3, 3), padding="same", bias=False))
        for number in range(1, self.depth + 1):
            added = scope.chain(layers, source, None, f"layer_{number}")
            source = scope.add(Concatenate(), (source, added), f"concatenate_{number}")
        return source
