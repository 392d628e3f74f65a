"""The arithmetic of single numbers of an operation's output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from app.errors import Invalid, TooLarge
from engine.arrays import Array, Shape, Weights, elements
from engine.errors import ShapeError
from engine.graph.node import Node
from engine.graph.operation import Operation
from engine.graph.trace import NodeTrace, trace_node
from engine.layers import Block
from engine.layers.base import PASS, Statistics
from engine.layers.trace import Position, require_position

_FIRST = 64
"""How many numbers are traced where no positions are given."""

_FIELDS = 24
"""What a trace has beside its window; so a block of thousands of layers is not traced at all positions."""

_MOST_NUMBERS = 100_000
"""Numbers of windows that are gathered at once."""


def choose(
    operation: Operation, asked: bool | Sequence[Sequence[int]], statistics: Statistics
) -> tuple[Position, ...]:
    """Return the positions to trace: the first ones of the output, or those that are asked for.

    Raises:
        Invalid: a position outside of the output; statistics of the batch, which traces do not know.
        TooLarge: so many numbers of such large windows that they could not be shown.
    """
    if asked is False:
        return ()
    if statistics == "batch":
        raise Invalid.at("trace", "the arithmetic is that of inference", 'leave `statistics` at "running"')
    shape = operation.output_shape
    each = max(1, sum(_window(node) for node in _traced(operation)))
    if asked is True:
        count = min(elements(shape), _FIRST, max(1, _MOST_NUMBERS // each))
        positions = [tuple(map(int, np.unravel_index(number, shape))) for number in range(count)]
    else:
        positions = [_within(shape, position, number) for number, position in enumerate(asked)]
    if each * len(positions) > _MOST_NUMBERS:
        detail = f"the arithmetic of {len(positions)} numbers has some {each * len(positions):,} numbers"
        hint = (
            f"ask for fewer positions, smaller windows or fewer layers: {_MOST_NUMBERS:,} are shown at most"
        )
        raise TooLarge.at("trace", detail, hint)
    return tuple(positions)


def trace(
    operation: Operation, xs: Sequence[Array], weights: Weights, positions: Sequence[Position]
) -> tuple[NodeTrace, ...]:
    """Return how the numbers at these positions of the output come about."""
    if not positions:
        return ()
    found = trace_node(
        operation.network,
        operation.full(weights),
        operation.picture(xs),
        operation.name,
        positions,
        on_the_way=isinstance(operation.layer, Block),
    )
    return tuple(_renamed(each, f"{operation.name}/") for each in found)


def _traced(operation: Operation) -> list[Node]:
    nodes = operation.network.nodes
    return [node for node in nodes if node.name == operation.node or isinstance(operation.layer, Block)]


def _window(node: Node) -> int:
    """Return about how many numbers one number of a node is made of, and rather more than there are."""
    cost, reach = node.layer.cost(*node.input_shapes), node.layer.reach(*node.input_shapes)
    outputs, inputs = elements(node.output_shape), elements(node.input_shapes[0])
    seen = inputs if reach is None else min(inputs, elements(reach.size) * node.input_shapes[0][-1])
    return max(cost.multiply_adds // outputs, cost.element_operations // (outputs + PASS), seen, _FIELDS)


def _within(shape: Shape, position: Sequence[int], number: int) -> Position:
    whole = (*position, 0) if len(position) == 2 and len(shape) == 3 and shape[2] == 1 else tuple(position)
    try:
        require_position(shape, whole)
    except ShapeError as error:
        raise error.within("trace", "positions", number) from None
    return whole


def _renamed(found: NodeTrace, prefix: str) -> NodeTrace:
    """Name nodes as the weights of the operation are named: without the operation's own name in front."""
    return replace(
        found,
        node=found.node.removeprefix(prefix),
        inputs_from=tuple(name.removeprefix(prefix) for name in found.inputs_from),
        through=None if found.through is None else _renamed(found.through, prefix),
        on_the_way=tuple(_renamed(each, prefix) for each in found.on_the_way),
    )
