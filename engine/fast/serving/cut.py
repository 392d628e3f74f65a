"""Where a network can be cut for two processes that compute the upper and the lower rows of its maps.

Up to the cut every map is half a picture high: that is the same network for pictures of half the height, but for
the few rows beyond the middle that a window sees (`Step.halo`), which the other process has. Behind the cut are the
layers that want it all, such as dense ones: they are left to one of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from engine.arrays import Shape
from engine.errors import ShapeError
from engine.fast.layout.gemm import Tuning
from engine.fast.steps.claims import steps_of
from engine.graph.network import INPUT, Network, Node


@dataclass(frozen=True)
class Cut:
    """A network in two: `half` reads half of the rows of the input, `head` the whole map behind the cut."""

    half: Network
    head: Network

    @cached_property
    def halos(self) -> dict[str, tuple[Shape, tuple[int, int]]]:
        """The rows that steps read of the other half, above and below: (rows, W, C) by the step's output."""
        found = {}
        for step in steps_of(self.half, 1, Tuning(), training=False):
            if step.halo is not None and any(step.halo):
                found[step.output] = step.nodes[0].input_shapes[0], step.halo
        return found


def cut(network: Network) -> Cut | None:
    """Return where to cut a network as late as it can be, or None where it cannot be cut."""
    half = Network((network.input_shape[0] // 2, *network.input_shape[1:]), tuple(_halved(network)))
    half = replace(half, nodes=half.nodes[: _divisible(half)])
    for count in range(len(half.nodes), 0, -1):
        above = {INPUT, *(node.name for node in half.nodes[:count])}
        last, behind = network.nodes[count - 1], network.nodes[count:]
        if not behind or {name for node in behind for name in node.inputs} & above != {last.name}:
            continue
        # other nodes are computed together when fewer read them
        upto = replace(half, nodes=half.nodes[:count])
        if _divisible(upto) == count:
            renamed = tuple(
                replace(node, inputs=tuple(INPUT if name == last.name else name for name in node.inputs))
                for node in behind
            )
            return Cut(upto, Network(last.output_shape, renamed))
    return None


def _halved(network: Network) -> Iterator[Node]:
    """Yield nodes for pictures of half the height, as long as that gives maps of half the height."""
    if len(network.input_shape) != 3 or network.input_shape[0] % 2:
        return
    above = {INPUT}
    for node in network.nodes:
        if not above.issuperset(node.inputs) or any(len(shape) != 3 for shape in node.input_shapes):
            return
        shapes = tuple((height // 2, *rest) for height, *rest in node.input_shapes)
        try:
            shape, weights = node.layer.output_shape(*shapes), node.layer.weights(*shapes)
        except ShapeError:
            return
        if (2 * shape[0], *shape[1:]) != node.output_shape or weights != node.weights:
            return
        above.add(node.name)
        yield replace(node, input_shapes=shapes, output_shape=shape)


def _divisible(half: Network) -> int:
    """Return of how many of the first nodes rows can be computed, with what the other half has within reach."""
    count = 0
    for step in steps_of(half, 1, Tuning(), training=False):
        if step.halo is None or max(step.halo) > step.nodes[0].input_shapes[0][0]:
            break
        count += len(step.nodes)
    return count
