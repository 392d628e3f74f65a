"""What rules look at: the graph with its readers, and what they answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

from engine.graph.costs import Hint
from engine.graph.network import INPUT, Network, Node
from engine.layers.activation import ActivationLayer
from engine.layers.affine import Affine
from engine.layers.base import Reach
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.dropout import Dropout, SpatialDropout2D
from engine.layers.normalization import BatchNorm
from engine.layers.pooling import AveragePool2D, MaxPool2D
from engine.ops.windows import Window

_WINDOWED = (Conv2D, DepthwiseConv2D, MaxPool2D, AveragePool2D)


class Finding(NamedTuple):
    """One place where a rule applies."""

    node: Node | None
    """None for the network as a whole."""
    detail: str
    """What is there, with its numbers."""
    fix: str
    """What to change."""

    def hint(self, code: str) -> Hint:
        """Return it as the hint of this code."""
        if self.node is None:
            return Hint(code=code, node=None, pointer="/layers", detail=self.detail, fix=self.fix)
        return Hint(
            code=code, node=self.node.name, pointer=self.node.pointer, detail=self.detail, fix=self.fix
        )


class Graph:
    """A network and who reads whom in it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes = network.nodes
        self.by_name = {node.name: node for node in network.nodes}
        self.readers: dict[str, list[Node]] = defaultdict(list)
        for node in network.nodes:
            for source in node.inputs:
                self.readers[source].append(node)
        self._ahead: dict[tuple[type, ...], dict[str, Node | None]] = {}

    @cached_property
    def windows(self) -> dict[str, Window]:
        """The windows that convolutions and pools slide over their inputs, by node."""
        return {
            node.name: node.layer.window(node.input_shapes[0])
            for node in self.nodes
            if isinstance(node.layer, _WINDOWED)
        }

    @cached_property
    def reaches(self) -> dict[str, Reach | None]:
        """How each node widens the receptive field."""
        return {node.name: node.layer.reach(*node.input_shapes) for node in self.nodes}

    def before(self, node: Node) -> Node | None:
        """Return the node that a node with one input reads, None for the picture."""
        return self.by_name.get(node.inputs[0]) if len(node.inputs) == 1 else None

    def only_reader(self, name: str) -> Node | None:
        """Return the one node that reads another, None if there are none or several."""
        readers = self.readers[name]
        return readers[0] if len(readers) == 1 else None

    def chain_back(self, node: Node, passed: tuple[type, ...]) -> Node | None:
        """Return the node before the layers of these types that a node reads one after the other, each alone."""
        if passed not in self._ahead:
            # of all nodes at once: each goes on from what was found for the one before it
            ahead: dict[str, Node | None] = {}
            for one in self.nodes:
                source = self.before(one)
                passes = (
                    source is not None
                    and isinstance(source.layer, passed)
                    and len(self.readers[source.name]) == 1
                )
                ahead[one.name] = ahead[source.name] if source is not None and passes else source
            self._ahead[passed] = ahead
        return self._ahead[passed][node.name]


Rule = Callable[[Graph], Iterable[Finding]]

KEEPS_LINEAR = (BatchNorm, Affine, Dropout, SpatialDropout2D)
"""Layers between two others that leave a linear map linear, in inference."""
KEEPS_PLACE = (*KEEPS_LINEAR, ActivationLayer)
"""Layers that leave every number in its place."""


def size(numbers: Iterable[int]) -> str:
    """Write sizes as 3x3."""
    return "x".join(map(str, numbers))


__all__ = ["INPUT", "KEEPS_LINEAR", "KEEPS_PLACE", "Finding", "Graph", "Rule", "size"]
