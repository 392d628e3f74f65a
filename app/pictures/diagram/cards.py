"""What a diagram shows of each layer: boxes with their words, before they have a place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.arrays import Shape
from engine.graph.network import INPUT, Network
from engine.graph.node import BlockName, Node
from engine.layers import Layer, LayerRecord


@dataclass(frozen=True, slots=True)
class Card:
    """One box: a node, and the nodes after it that are folded into it."""

    name: str
    """The name of its first node, or `input`."""
    nodes: tuple[Node, ...]
    """None for the input."""
    sources: tuple[str, ...]
    """Names of the cards that it reads, in the order of the layer's inputs."""
    shape: Shape
    """Of the last node's output."""

    @property
    def blocks(self) -> tuple[BlockName, ...]:
        """The blocks that it is part of, outermost first."""
        return self.nodes[0].blocks if self.nodes else ()

    @property
    def title(self) -> str:
        """Its name inside of its block."""
        return inner_name(self.name, self.blocks)

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """What is written below the title: lines, each in pieces between which it may be broken."""
        if not self.nodes:
            return ()
        said = list(describe(self.nodes[0].layer))
        lines = [(*(f"{piece}," for piece in said[:-1]), said[-1])]
        if len(said) == 1 and said[0] in self.title:
            lines = []
        if len(self.nodes) > 1:
            lines.append(tuple(f"+ {_short_name(node)}" for node in self.nodes[1:]))
        parameters = sum(node.parameters for node in self.nodes)
        if parameters:
            lines.append((f"{parameters:,} parameters",))
        return tuple(lines)


def cards(network: Network, *, folded: bool = True) -> list[Card]:
    """Return the boxes of a network in order, that of the input first.

    Args:
        network: what to draw.
        folded: whether layers that change numbers but not the shape, such as activations and batch normalisation,
            stand in the box of the layer that they follow, where that is read by nothing else.
    """
    readers = Counter(source for node in network.nodes for source in node.inputs)
    groups: dict[str, list[Node]] = {}
    card_of = {INPUT: INPUT}
    for node in network.nodes:
        before = groups.get(card_of[node.inputs[0]])
        if folded and before and readers[node.inputs[0]] == 1 and _follows(node, before[-1]):
            before.append(node)
            card_of[node.name] = before[0].name
        else:
            groups[node.name] = [node]
            card_of[node.name] = node.name
    found = [Card(INPUT, (), (), network.input_shape)]
    for name, nodes in groups.items():
        sources = tuple(card_of[source] for source in nodes[0].inputs)
        found.append(Card(name, tuple(nodes), sources, nodes[-1].output_shape))
    return found


def _follows(node: Node, before: Node) -> bool:
    """Return whether a node only changes numbers of the one before it, in the same block."""
    return (
        len(node.inputs) == 1
        and node.blocks == before.blocks
        and node.output_shape == before.output_shape
        and node.layer.connections(*node.input_shapes) is None
    )


def describe(layer: LayerRecord) -> Iterator[str]:
    """Yield what a layer is in pieces: its type and what is required, sizes, and what is not as by default."""
    values = {
        name: value
        for name, value in layer
        if name not in Layer.model_fields and name != "activation" and not name.endswith("_initializer")
    }
    fields = type(layer).model_fields
    bare = [_written(value) for name, value in values.items() if fields[name].is_required()]
    sizes = [_written(value) for name, value in values.items() if _is_size(name, fields[name].is_required())]
    yield " ".join([layer.type, *bare])
    yield from sizes
    for name, value in values.items():
        field = fields[name]
        if field.is_required() or _is_size(name, required=False) or value == field.default:
            continue
        word = name.replace("_", " ")
        if isinstance(value, bool):
            yield word if value else f"no {word}"
        else:
            while isinstance(value, tuple) and len(set(value)) == 1:
                value = value[0]
            yield f"{word} {_written(value)}"


def _is_size(name: str, required: bool) -> bool:
    return name.endswith("_size") and not required


def _written(value: Any) -> str:
    """Write a hyperparameter: sizes as 3x2, two sides of a direction as 0+1."""
    if isinstance(value, tuple):
        return "x".join("+".join(map(str, side)) if isinstance(side, tuple) else str(side) for side in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _short_name(node: Node) -> str:
    last = node.name.rpartition("/")[2]
    return node.layer.type if last == "activation" else last


def inner_name(name: str, blocks: tuple[BlockName, ...]) -> str:
    """Return a name without that of the innermost block it is in."""
    return name.removeprefix(f"{blocks[-1].name}/") if blocks else name


def shape_words(shape: Shape) -> str:
    """Write a shape as it stands on an arrow."""
    return "x".join(map(str, shape))
