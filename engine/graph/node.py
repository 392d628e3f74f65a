"""One layer in its place in a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.arrays import Array, Shape, Weights, elements
from engine.layers import Layer, WeightSpec

INPUT = "input"


class BlockName(NamedTuple):
    """A block that nodes are part of."""

    name: str
    """Its full name, with which the names of its nodes begin: `residual_2`."""
    type: str


@dataclass(frozen=True)
class Node:
    """One layer in its place in the graph."""

    name: str
    """Stable and readable: `residual_2/body/conv2d_1`."""
    layer: Layer
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    weights: dict[str, WeightSpec]
    path: tuple[str | int, ...]
    """Where the author wrote it: `("layers", 3)`."""
    blocks: tuple[BlockName, ...] = ()
    """The blocks that it is part of, outermost first."""

    @property
    def pointer(self) -> str:
        """`path` as a JSON pointer (RFC 6901): `/layers/3`."""
        return "".join(f"/{key}" for key in self.path)

    @property
    def parameters(self) -> int:
        """Numbers in its weights that count as parameters: all but running statistics."""
        return sum(elements(spec.shape) for spec in self.weights.values() if spec.role == "parameter")

    @property
    def trainable_parameters(self) -> int:
        """Numbers in its weights that training changes by gradients."""
        return sum(elements(spec.shape) for spec in self.weights.values() if spec.trainable)

    @property
    def weight_names(self) -> tuple[str, ...]:
        """Full names of its weights."""
        return tuple(f"{self.name}/{name}" for name in self.weights)

    def local(self, weights: Weights) -> Weights:
        """Return the node's own weights, by the names its layer gives them."""
        return {name: weights[f"{self.name}/{name}"] for name in self.weights}


class NodeRun(NamedTuple):
    """One node of a forward pass."""

    node: Node
    inputs: tuple[Array, ...]
    output: Array
    saved: Any
    """What the layer's backward needs."""
