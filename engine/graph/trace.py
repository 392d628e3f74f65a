"""The arithmetic of chosen numbers of one node, or of a block's output, for one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.arrays import Array, Weights
from engine.errors import GraphError, ShapeError
from engine.graph.network import Network
from engine.graph.node import Node
from engine.layers import Context
from engine.layers.trace import Position, Trace, require_position


@dataclass(frozen=True)
class NodeTrace:
    """How one number of a node's output came about."""

    node: str
    type: str
    """The type of the node's layer."""
    trace: Trace
    inputs_from: tuple[str, ...]
    """The nodes that the layer's inputs come from, in their order; `input` is the picture."""
    through: NodeTrace | None = None
    """The same number after the activation that was asked for with the layer: a = psi(z)."""
    on_the_way: tuple[NodeTrace, ...] = ()
    """The numbers before it that it is made of one by one, as far back as nodes of the same block gave them."""


def find_node(network: Network, name: str) -> Node:
    """Return the node of this name, or the last node of the block of this name: the one that gives its output.

    Raises:
        GraphError: there is neither.
    """
    inside = [node for node in network.nodes if node.name == name or node.name.startswith(f"{name}/")]
    for node in inside:
        if node.name == name:
            return node
    if not inside:
        names = dict.fromkeys(node.name.split("/")[0] for node in network.nodes)
        raise GraphError(
            f"there is no layer or block {name!r} in this network",
            hint=f"it has {', '.join(names)}, and what is inside them: the summary lists all nodes",
        )
    return inside[-1]


def trace_node(
    network: Network,
    weights: Weights,
    image: Array,
    node: str,
    positions: Sequence[Position],
    *,
    on_the_way: bool = False,
) -> list[NodeTrace]:
    """Return how numbers of a node's output came about for one picture.

    The network runs once, as in inference and in the precision of the picture and the weights, and no further than
    needed; the arithmetic that is shown is done again in float64.

    Args:
        network: the network.
        weights: all its weights, by full name.
        image: one picture as the network sees it, (H, W, C).
        node: name of a node, or of a block, which stands for its last node.
        positions: (row, column, channel) or (index,) in the node's output.
        on_the_way: whether single numbers are followed back through the nodes of the same block: for a residual
            the sum, and its two terms where they are made.

    Raises:
        GraphError: there is no such node.
        ShapeError: a position outside the output, or a picture of another shape.
    """
    target = find_node(network, node)
    for number, position in enumerate(positions):
        try:
            require_position(target.output_shape, position)
        except ShapeError as error:
            raise error.within(number) from None
    if image.shape != network.input_shape:
        given, wanted = ("x".join(map(str, shape)) for shape in (image.shape, network.input_shape))
        raise ShapeError(f"a picture of {given} for a network that takes {wanted}")
    psi = next((each for each in network.nodes if _is_psi(each, target)), None)
    block = _block(network, node, target) if on_the_way else {}
    needed = {target.name: target, **block} | ({psi.name: psi} if psi else {})
    inputs = inputs_of(network, weights, image, set(needed))
    tracer = _Tracer(needed, weights, inputs)
    return [tracer.answer(target, position, psi, block) for position in positions]


def _is_psi(node: Node, of: Node) -> bool:
    return node.name == f"{of.name}/activation" and node.inputs == (of.name,)


def _block(network: Network, name: str, target: Node) -> dict[str, Node]:
    """Return the nodes of the block that was named or, of a single node, of the block that it is in.

    A layer and the activation that was asked for with it are a block in this sense.
    """
    block = name if name != target.name else target.name.rpartition("/")[0]
    inside = [node for node in network.nodes if node.name == block or node.name.startswith(f"{block}/")]
    return {node.name: node for node in inside}


def inputs_of(
    network: Network, weights: Weights, image: Array, names: set[str]
) -> dict[str, tuple[Array, ...]]:
    """Return what the nodes of these names read, for one picture, without a batch axis."""
    found: dict[str, tuple[Array, ...]] = {}
    for node, inputs, _, _ in network.run(weights, image[None], Context()):
        if node.name in names:
            found[node.name] = tuple(x[0] for x in inputs)
            if len(found) == len(names):
                break
    return found


class _Tracer:
    """Traces of nodes whose inputs were kept."""

    def __init__(
        self, nodes: dict[str, Node], weights: Weights, inputs: dict[str, tuple[Array, ...]]
    ) -> None:
        self._nodes = nodes
        self._weights = weights
        self._inputs = inputs

    def answer(self, node: Node, position: Position, psi: Node | None, block: dict[str, Node]) -> NodeTrace:
        """Return the trace of one number, with its activation's and those on the way."""
        trace = self._trace(node, position)
        return NodeTrace(
            node.name,
            node.layer.type,
            trace,
            node.inputs,
            through=self._plain(psi, position) if psi is not None else None,
            on_the_way=self._followed(node, trace, block),
        )

    def _trace(self, node: Node, position: Position) -> Trace:
        return node.layer.trace(node.local(self._weights), self._inputs[node.name], position)

    def _plain(self, node: Node, position: Position) -> NodeTrace:
        return NodeTrace(node.name, node.layer.type, self._trace(node, position), node.inputs)

    def _followed(self, node: Node, trace: Trace, block: dict[str, Node]) -> tuple[NodeTrace, ...]:
        """Follow single numbers back, each number of each node once."""
        found: dict[tuple[str, Position], NodeTrace] = {}
        pending = _read(node, trace)
        while pending:
            name, position = pending.pop(0)
            if name in block and (name, position) not in found:
                before = self._plain(block[name], position)
                found[name, position] = before
                pending += _read(block[name], before.trace)
        return tuple(found.values())


def _read(node: Node, trace: Trace) -> list[tuple[str, Position]]:
    """Return which numbers of which nodes a number was made of, where they are few."""
    read = [(node.inputs[source.input], source.position) for source in trace.sources]
    return read if trace.winner is None else [*read, (node.inputs[0], trace.winner)]
