"""What each node of a network puts out for a batch of pictures, and how those numbers are spread."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.arrays import Array, Weights, elements
from engine.graph.network import Network
from engine.graph.node import INPUT, Node
from engine.layers import Context

_BATCH = 64
_BATCH_NUMBERS = 1 << 22
_PIECE = 1 << 18
"""Numbers of which squares are summed at a time: no copy of a large array is made."""


class Activation(NamedTuple):
    """The output of one node for a batch."""

    name: str
    type: str
    """Of the layer; `input` for the pictures themselves."""
    output: Array
    """(N, H, W, C), or (N, C) of a vector."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How the numbers of an array are spread."""

    minimum: float
    mean: float
    maximum: float
    deviation: float
    """The standard deviation."""
    zeros: float
    """The share of them that is exactly zero."""


def activations(network: Network, weights: Weights, x: Array) -> Iterator[Activation]:
    """Yield what each node puts out for pictures x (N, H, W, C), the input first, as in inference.

    A node's output is dropped after its last use: whoever keeps none has the memory of a prediction.
    """
    yield Activation(INPUT, INPUT, x)
    for run in network.run(weights, x, Context(statistics="running")):
        yield Activation(run.node.name, run.node.layer.type, run.output)


def activation(network: Network, weights: Weights, x: Array, name: str) -> Array:
    """Return what one node puts out for pictures x (N, H, W, C); what comes after it is not computed.

    Raises:
        KeyError: there is no node of this name.
    """
    for found in activations(network, weights, x):
        if found.name == name:
            return found.output
    raise KeyError(name)


def pictures_at_once(network: Network) -> int:
    """Return how many pictures to run in a batch, so that the largest output of it stays below 16 MB of float32."""
    largest = max(elements(network.input_shape), *(elements(node.output_shape) for node in network.nodes), 1)
    return max(1, min(_BATCH, _BATCH_NUMBERS // largest))


def passing_bytes(network: Network) -> int:
    """Return about how many bytes one picture takes at most on its way through a network, float32.

    An output is held until its last use; beside them is what the greediest node needs, and two passing copies.
    """
    last_use = {name: node.name for node in network.nodes for name in node.inputs}
    sizes = {INPUT: 4 * elements(network.input_shape)}
    held = most = sizes[INPUT]
    for node in network.nodes:
        sizes[node.name] = 4 * elements(node.output_shape)
        held += sizes[node.name]
        largest = max(sizes[node.name], *(sizes[name] for name in node.inputs))
        most = max(most, held + node.layer.cost(*node.input_shapes).scratch_bytes + 2 * largest)
        held -= sum(sizes[name] for name in set(node.inputs) if last_use[name] == node.name)
    return most


def spread(array: Array) -> Spread:
    """Return how the numbers of an array, which has some, are spread."""
    numbers = array.reshape(-1)  # one axis: sums of it are pairwise, and float32 is exact enough
    with np.errstate(invalid="ignore", over="ignore"):
        mean = numbers.mean()
        pieces = (numbers[first : first + _PIECE] - mean for first in range(0, numbers.size, _PIECE))
        squares = sum(float(np.dot(piece, piece)) for piece in pieces)
        return Spread(
            minimum=float(numbers.min()),
            mean=float(mean),
            maximum=float(numbers.max()),
            deviation=math.sqrt(squares / array.size),
            zeros=1.0 - int(np.count_nonzero(array)) / array.size,
        )


def head(network: Network) -> Node | None:
    """Return the last layer with parameters that connects numbers, such as a dense one; None if there is none."""
    return next(
        (
            node
            for node in reversed(network.nodes)
            if node.parameters and node.layer.connections(*node.input_shapes) is not None
        ),
        None,
    )
