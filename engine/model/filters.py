"""The weights by which a layer connects its inputs with its outputs, filter by filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from engine.arrays import Array, Weights
from engine.graph.network import Network
from engine.graph.node import Node
from engine.layers.base import Axis


@dataclass(frozen=True)
class Filters:
    """The filters of one node; there is one for each channel, or number, of its output."""

    node: Node
    name: str
    """The full name of the array: `conv2d_1/weight`."""
    axes: tuple[Axis, ...]
    """What each axis of the array runs over, such as height, width, in, out."""
    weight: Array = field(repr=False)
    bias: Array | None = field(repr=False)
    """(out,)"""

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.weight.shape[self.axes.index("out")])

    @property
    def by_filter(self) -> Array:
        """The array with a row for each filter: (out, numbers of one)."""
        return np.moveaxis(self.weight, self.axes.index("out"), 0).reshape(self.count, -1)

    @property
    def bank(self) -> Array:
        """The array as (height, width, in, out); those of a dense layer have a height and width of 1."""
        spatial: tuple[Axis, ...] = ("height", "width")
        kept = [axis for axis in spatial if axis in self.axes]
        ordered = self.weight.transpose([self.axes.index(axis) for axis in (*kept, "in", "out")])
        return ordered.reshape((1,) * (2 - len(kept)) + ordered.shape)


def filters(network: Network, weights: Weights) -> Iterator[Filters]:
    """Yield the filters of each node that has some: whatever has an array of axes `in` and `out`."""
    for node in network.nodes:
        for name, spec in node.weights.items():
            if {"in", "out"} <= set(spec.axes):
                bias = weights[f"{node.name}/bias"] if "bias" in node.weights else None
                full = f"{node.name}/{name}"
                yield Filters(node, full, spec.axes, weights[full], bias)
