"""Starting from what another network has learnt: its weights, some of them kept as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from engine.arrays import Array
from engine.errors import GraphError, ShapeError
from engine.graph.network import Network, Node


def freeze(network: Network, patterns: Sequence[str]) -> Network:
    """Return the network with the nodes whose names fit a pattern kept from learning.

    `*` stands for any characters, slashes too, `?` for one and `[ab]` for one of some.

    Raises:
        GraphError: a pattern fits no node that has weights, or nothing is left to train.
    """
    if not patterns:
        return network
    weighted = [node.name for node in network.nodes if node.weights]
    for number, pattern in enumerate(patterns):
        if not any(fnmatchcase(name, pattern) for name in weighted):
            raise GraphError(
                f"no layer with weights has a name like {pattern!r}",
                path=("freeze", number),
                hint=f"the names are {_few(weighted)}",
            )
    frozen = replace(
        network,
        nodes=tuple(
            _frozen(node) if any(fnmatchcase(node.name, pattern) for pattern in patterns) else node
            for node in network.nodes
        ),
    )
    if not any(node.trainable_parameters for node in frozen.nodes):
        raise GraphError(
            "every layer with weights is frozen: nothing is left to train",
            path=("freeze",),
            hint=f"leave out the last one, {weighted[-1]!r}",
        )
    return frozen


def take(weights: dict[str, Array], given: Mapping[str, Array]) -> tuple[str, ...]:
    """Copy every array whose name and shape agree into `weights`, and return the names of those.

    Raises:
        ShapeError: none does.
    """
    taken = tuple(
        name for name, weight in weights.items() if name in given and given[name].shape == weight.shape
    )
    if not taken:
        raise ShapeError(
            "none of the model's weights has the name and shape of one of this network's",
            path=("initial_weights",),
            hint=f"this network's are {_few(list(weights))}; the model's are {_few(list(given))}",
        )
    for name in taken:
        weights[name][...] = given[name]
    return taken


def _frozen(node: Node) -> Node:
    layer = node.layer.model_copy(update={"trainable": False})
    return replace(node, layer=layer, weights=layer.weights(*node.input_shapes))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
