"""Starting from what another network has learnt: its weights, some kept as they are, some changed less."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
        _matches(pattern, weighted, ("freeze", number))
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


def factors(network: Network, by_pattern: Mapping[str, float]) -> dict[str, float]:
    """Return what the learning rate is multiplied by, for each weight whose node fits a pattern.

    Args:
        network: frozen as it is trained.
        by_pattern: factors by the names of nodes, or by patterns as in `freeze`; a name in full comes first.

    Raises:
        GraphError: a pattern fits no node that has weights, or frozen ones alone; or two fit the same node.
    """
    weighted = [node.name for node in network.nodes if node.weights]
    learning = {node.name: node for node in network.nodes if node.trainable_parameters}
    fitting: dict[str, str] = {}
    for pattern in sorted(by_pattern, key=lambda pattern: pattern not in learning):
        path = ("learning_rate_factors", pattern)
        matched = [name for name in _matches(pattern, weighted, path) if name in learning]
        if not matched:
            raise GraphError(
                f"what has a name like {pattern!r} is frozen",
                path=path,
                hint="leave its factor out, or do not freeze it",
            )
        for name in matched:
            other = fitting.setdefault(name, pattern)
            if other not in (name, pattern):
                raise GraphError(
                    f"{name!r} has a name like {other!r} and like {pattern!r}",
                    path=path,
                    hint=f"give {name!r} a factor by its full name, or change one of the patterns",
                )
    return {
        f"{name}/{weight}": by_pattern[pattern]
        for name, pattern in fitting.items()
        for weight, spec in learning[name].weights.items()
        if spec.trainable
    }


def take(weights: dict[str, Array], given: Mapping[str, Array], but: Collection[str] = ()) -> tuple[str, ...]:
    """Copy every array whose name and shape agree into `weights`, and return the names of those.

    Args:
        weights: by full name; changed in place.
        given: the other network's.
        but: names of nodes whose weights are not taken, whatever agrees.

    Raises:
        ShapeError: none does.
    """
    taken = tuple(
        name
        for name, weight in weights.items()
        if name in given and given[name].shape == weight.shape and name.rpartition("/")[0] not in but
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


def _matches(pattern: str, names: Sequence[str], path: tuple[str | int, ...]) -> list[str]:
    """Return the names that fit a pattern; raises GraphError if there is none."""
    matched = [name for name in names if fnmatchcase(name, pattern)]
    if not matched:
        raise GraphError(
            f"no layer with weights has a name like {pattern!r}",
            path=path,
            hint=f"the names are {_few(names)}",
        )
    return matched


def _frozen(node: Node) -> Node:
    layer = node.layer.model_copy(update={"trainable": False})
    return replace(node, layer=layer, weights=layer.weights(*node.input_shapes))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
