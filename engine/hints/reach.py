"""Hints about receptive fields.

Computed as in Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", Distill,
"Computing receptive field size". Where branches meet, the largest field is what a cell can see, and the smallest is
what it sees at least.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

from engine.hints.graph import INPUT, Finding, Graph, size
from engine.layers.base import Reach
from engine.layers.pooling import GlobalAveragePool2D, GlobalMaxPool2D

_MUCH = 0.75
"""Share of the picture's side that a cell has to see at least: one that sees nearly all of it lacks little."""

_Field = tuple[tuple[float, float], tuple[float, float]]
"""Height and width of the field, and of the jump, in pixels."""


def receptive_field_small(graph: Graph) -> Iterator[Finding]:
    """Find global pools over maps whose cells do not see the whole picture.

    A pool counts what its cells have found, each alone, and never how the parts lie to one another (Brendel & Bethge
    2019, "Approximating CNNs with bag-of-local-features models works surprisingly well on ImageNet").
    """
    picture = graph.network.input_shape[:2]
    fields = _fields(graph, max)
    for node in graph.nodes:
        source = graph.before(node)
        if not isinstance(node.layer, GlobalAveragePool2D | GlobalMaxPool2D) or source is None:
            continue
        seen = fields[source.name][0]
        if source.blocks != node.blocks or node.blocks or not _smaller(seen, picture):
            continue
        yield Finding(
            node,
            f"each of the {size(source.output_shape[:2])} cells that {node.layer.type} joins sees "
            f"{_written(seen)} pixels of the {size(picture)} picture; how parts further apart lie to one another "
            "is lost",
            "add convolutions, stride or pooling before it, or smaller pictures; for textures, which need no "
            "more, leave it",
        )


def receptive_field_exceeded(graph: Graph) -> Iterator[Finding]:
    """Find convolutions with windows over maps whose every cell sees the whole picture already, by every path.

    They have nothing new to see and add little (Richter et al. 2021, "Should you go deeper? Optimizing convolutional
    neural network architectures without training by receptive field analysis").
    """
    picture = graph.network.input_shape[:2]
    fields = _fields(graph, min)
    beyond = []
    for node in graph.nodes:
        reach = graph.reaches[node.name]
        seen = fields[node.inputs[0]][0]
        if reach is None or min(reach.size) == 1 or not node.parameters or len(node.output_shape) != 3:
            continue
        if all(math.isfinite(side) and side >= whole for side, whole in zip(seen, picture, strict=True)):
            beyond.append(node)
    if not beyond:
        return
    first, total = beyond[0], graph.network.parameters
    held = sum(node.parameters for node in beyond)
    seen = fields[first.inputs[0]][0]
    more = f" and {len(beyond) - 1} more layers" if len(beyond) > 1 else ""
    yield Finding(
        first,
        f"every cell that {first.name} reads sees {_written(seen)} pixels, no less than the {size(picture)} "
        f"picture: its windows have nothing new to look at. It{more} hold {held:,} of {total:,} parameters "
        f"({100 * held / total:.0f} %)",
        "leave such layers out, remove stride or pooling before them, or use larger pictures",
    )


def _fields(graph: Graph, choose: Callable[..., float]) -> dict[str, _Field]:
    """Return receptive field and jump of each node; infinite after layers that see the whole map."""
    fields: dict[str, _Field] = {INPUT: ((1.0, 1.0), (1.0, 1.0))}
    for node in graph.nodes:
        fields[node.name] = _field(graph.reaches[node.name], [fields[name] for name in node.inputs], choose)
    return fields


def _field(reach: Reach | None, inputs: list[_Field], choose: Callable[..., float]) -> _Field:
    if reach is None:
        return (math.inf, math.inf), (math.inf, math.inf)
    seen, jumps = [], []
    for axis in (0, 1):
        field = choose(field[axis] for field, _ in inputs)
        jump = choose(jump[axis] for _, jump in inputs)
        step = Fraction(reach.step[axis])
        seen.append(field + (reach.size[axis] - 1) * jump if reach.size[axis] > 1 else field)
        jumps.append(jump * float(step))
    return (seen[0], seen[1]), (jumps[0], jumps[1])


def _smaller(seen: tuple[float, float], picture: tuple[int, ...]) -> bool:
    return any(side < _MUCH * whole for side, whole in zip(seen, picture, strict=True))


def _written(seen: tuple[float, float]) -> str:
    return size(math.ceil(side) for side in seen)
