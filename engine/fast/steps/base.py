"""The contract of a step, and the step that is always possible."""

from __future__ import annotations

from engine.arrays import Array, Weights
from engine.layers import Context
from engine.network import Node

Gradients = dict[str, Array]
BLOCK = 1 << 16
"""Numbers of one block of element-wise work: 256 KB."""


class Step:
    """One or more nodes; `inputs` are read and `output` is written."""

    kind = "layer"

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = nodes
        self.inputs = nodes[0].inputs
        self.output = nodes[-1].name

    def prepare(self, weights: Weights) -> None:
        """Take the weights: before each step of training, and once for all in inference."""
        self._weights = weights

    def forward(self, xs: tuple[Array, ...], context: Context) -> Array:
        """Compute the output of the last node from the inputs of the first."""
        raise NotImplementedError

    def backward(
        self, dy: Array, context: Context, *, needs_dx: bool
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        """Turn the gradient of the output into those of the inputs and of the weights, by full name."""
        raise NotImplementedError

    @property
    def choice(self) -> str:
        """What computes it, for people and for checkpoints."""
        return self.kind


class LayerStep(Step):
    """A node that no pattern covers: its layer's own forward and backward."""

    def prepare(self, weights: Weights) -> None:
        node = self.nodes[0]
        self._local = {name: weights[f"{node.name}/{name}"] for name in node.weights}

    def forward(self, xs: tuple[Array, ...], context: Context) -> Array:
        node = self.nodes[0]
        y, self._saved = node.layer.forward(self._local, *xs, context=context.bound(node.name))
        return y

    def backward(
        self, dy: Array, context: Context, *, needs_dx: bool
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        node = self.nodes[0]
        bound = context.bound(node.name, needs_input_gradient=needs_dx)
        dxs, found = node.layer.backward(self._local, self._saved, dy, context=bound)
        return dxs, {f"{node.name}/{name}": gradient for name, gradient in found.items()}
