"""The head of a network, which is drawn anew for other classes, and the trunk below it, whose weights are kept.

The rule: the head is the last layer that connects numbers by weights, such as the dense layer behind global pooling or
the 1x1 convolution before it, with all that follows it. A link at the end (softmax, sigmoid) goes: the loss brings its
own. Where the head's scores are the output, its weights start from 0: no class is preferred before a picture was seen,
which with few pictures matters more than anything else (docs/training.md, Transfer).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from engine.arrays import Shape, elements
from engine.errors import GraphError, ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.trace import find_node
from engine.layers import LayerRecord
from engine.layers.initializers import Zeros
from engine.model.activations import head
from engine.recipe.losses import LOSSES

_LINKS = frozenset(loss.link for loss in LOSSES)
_WIDTHS = ("units", "filters")
"""What layers call the number of their outputs."""


def with_new_head(
    architecture: Architecture, outputs: int, input_shape: tuple[int, int, int]
) -> Architecture:
    """Return the architecture with a head for so many classes, labels or values, on pictures of this shape.

    Raises:
        GraphError: it has no head that could be replaced.
        ShapeError: its layers do not take pictures of this shape, or its weights would have other shapes.
    """
    network = Network.build(architecture)
    last = head(network)
    place = -1 if last is None or last.blocks else int(last.path[-1])
    record = architecture.layers[place]
    width = next((name for name in _WIDTHS if name in type(record).model_fields), None)
    if last is None or last.blocks or width is None:
        raise GraphError(
            "the network has no head that could be replaced: a dense layer or a convolution that is not in a block",
            hint="write an `architecture` with one; weights are taken wherever names and shapes agree",
        )
    changes: dict[str, Any] = {width: outputs, "trainable": True}
    if record.psi is not None and record.psi.type in _LINKS:
        changes["activation"] = None
    layers: list[LayerRecord] = list(architecture.layers)
    if len(layers) > place + 1 and layers[-1].type in _LINKS:
        layers.pop()
    if place == len(layers) - 1 and (record.psi is None or record.psi.type in _LINKS):
        changes["weight_initializer"] = Zeros()
    layers[place] = record.model_copy(update=changes)
    renewed = Architecture(input_shape=input_shape, layers=tuple(layers))
    _check_trunk(network, Network.build(renewed))
    return renewed


def head_nodes(network: Network) -> frozenset[str]:
    """Return the names of the head's nodes: the last layer that connects numbers, and what depends on it."""
    found: set[str] = set()
    last = head(network)
    for node in network.nodes:
        if last is not None and (node.name == last.name or not found.isdisjoint(node.inputs)):
            found.add(node.name)
    return frozenset(found)


def head_inputs(network: Network) -> int:
    """Return how many numbers each score of the head is a sum over."""
    last = head(network)
    if last is None:
        return 1
    weight = max(last.weights.values(), key=lambda spec: elements(spec.shape))
    return max(1, elements(weight.shape) // last.output_shape[-1])


def nodes_from(network: Network, name: str) -> frozenset[str]:
    """Return the names of a node, or of a block's nodes, and of all that come after it.

    Raises:
        GraphError: there is no node or block of this name.
    """
    find_node(network, name)
    names = [node.name for node in network.nodes]
    first = next(place for place, other in enumerate(names) if other == name or other.startswith(f"{name}/"))
    return frozenset(names[first:])


def all_but(network: Network, learning: Collection[str]) -> tuple[str, ...]:
    """Return patterns, as in `engine.training.transfer.freeze`, of all nodes with weights but these."""
    groups: dict[str, list[str]] = {}
    for node in network.nodes:
        if node.weights:
            groups.setdefault(node.name.partition("/")[0], []).append(node.name)
    patterns: list[str] = []
    for group, names in groups.items():
        kept = [name for name in names if name not in learning]
        if len(kept) == len(names) and kept != [group]:
            patterns += [name for name in kept if name == group] + [f"{group}/*"]
        else:
            patterns += kept
    return tuple(patterns)


def _check_trunk(network: Network, renewed: Network) -> None:
    """Raise ShapeError if a weight below the head would have another shape than the one that was trained."""
    trained = network.weight_specs
    anew = head_nodes(renewed)
    for node in renewed.nodes:
        for name, spec in zip(node.weight_names, node.weights.values(), strict=True):
            if node.name not in anew and trained[name].shape != spec.shape:
                wanted, given = (_size(shape) for shape in (trained[name].shape, spec.shape))
                raise ShapeError(f"the weights {name} are {wanted}, and would have to be {given}")


def _size(shape: Shape) -> str:
    return "x".join(map(str, shape))
