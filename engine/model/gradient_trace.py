"""How the gradients at single numbers of a node come about: what flows back to them from the nodes that read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.arrays import Array, Weights
from engine.graph.network import Network
from engine.graph.node import INPUT
from engine.graph.trace import inputs_of
from engine.layers.trace import Position, require_position
from engine.layers.trace_text import number, product, series
from engine.model.gradients import Gradients, Of, gradients
from engine.recipe.losses import Loss


@dataclass(frozen=True)
class Reader:
    """What flows back to a number from one node that reads it, in float64.

    The arrays have an axis for each of the node's output: (rows, columns, channels) or (numbers,).
    """

    node: str
    type: str
    """The type of the node's layer."""
    input: int
    """Which of the layer's inputs the number is in, from 0."""
    begins: Position
    """Where the first of the numbers that it leads to is in the node's output."""
    step: Position
    """How far apart these are, along each axis."""
    gradients: Array
    """The gradients at them."""
    derivatives: Array
    """By how much each of them grows with the number: of a convolution the weights that it is multiplied by."""
    products: Array
    """The gradients times the derivatives."""
    sum: float


@dataclass(frozen=True)
class GradientTrace:
    """How the gradient at one number of a node comes about."""

    node: str
    type: str
    position: Position
    gradient: float
    """The sum over the readers; at the end of the network, where none reads, the derivative of score or loss."""
    expression: str
    """The sum with its numbers, to four significant digits; long ones are shortened."""
    readers: tuple[Reader, ...]
    """In the order in which they are computed; without those that leave the number out."""


def trace_gradients(
    network: Network,
    weights: Weights,
    x: Array,
    loss: Loss,
    of: Of,
    index: int | None,
    node: str,
    positions: Sequence[Position],
) -> tuple[Gradients, list[GradientTrace]]:
    """Return how the gradients of a score, or of the loss, at numbers of a node come about for a picture.

    Args:
        network: without its final softmax or sigmoid.
        weights: of the network.
        x: the picture (1, H, W, C) as the network receives it.
        loss: of the model.
        of: what the gradients are taken of, see `gradients`.
        index: which output; by default the one with the largest score.
        node: name of a node, or `input`.
        positions: (row, column, channel) or (index,) in its output.

    Raises:
        ShapeError: a position outside the output.
    """
    target = {each.name: each for each in network.nodes}.get(node)
    shape = network.input_shape if target is None else target.output_shape
    for position in positions:
        require_position(shape, position)
    reading = [each for each in network.nodes if node in each.inputs]
    found = gradients(
        network, weights, x, loss, of, index, frozenset({node, *(each.name for each in reading)})
    )
    by_name = {each.name: each.output[0] for each in found.nodes}
    inputs = inputs_of(network, weights, x[0], {each.name for each in reading})

    def readers(position: Position) -> list[Reader]:
        given = []
        for each in reading:
            for at, source in enumerate(each.inputs):
                if source != node:
                    continue
                column = each.layer.column(each.local(weights), inputs[each.name], at, position)
                if not column.values.size:
                    continue
                pulled = column.of(by_name[each.name])
                products = pulled * column.values
                total = float(products.sum())
                given.append(
                    Reader(
                        each.name,
                        each.layer.type,
                        at,
                        column.begins,
                        column.step,
                        pulled,
                        column.values,
                        products,
                        total,
                    )
                )
        return given

    kind = INPUT if target is None else target.layer.type
    traces = []
    for position in positions:
        given = readers(position)
        gradient = sum(each.sum for each in given) if reading else float(by_name[node][position])
        text = " + ".join(series(product, each.gradients, each.derivatives) for each in given)
        text = f"{text} = {number(gradient)}" if given else number(gradient)
        traces.append(GradientTrace(node, kind, position, float(gradient), text, tuple(given)))
    return found, traces
