"""What a number at the end of a network comes to in all its nodes: the gradients of a score or of the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.arrays import Array, Weights
from engine.graph.network import Network
from engine.graph.node import INPUT
from engine.layers import Context
from engine.model.activations import Activation
from engine.recipe.losses import Loss

Of = Literal["score", "loss"]


@dataclass(frozen=True, slots=True)
class Gradients:
    """The gradients of one number in all nodes of a network, for one picture."""

    of: Of
    index: int
    """Which output's score it is, or which class the loss takes for the right one."""
    value: float
    """The score or the loss itself."""
    nodes: tuple[Activation, ...]
    """The gradient in place of the output of each node that was wanted, the input first."""


def gradients(
    network: Network,
    weights: Weights,
    x: Array,
    loss: Loss,
    of: Of,
    index: int | None = None,
    names: frozenset[str] | None = None,
) -> Gradients:
    """Return the gradients of a score, or of the loss, with respect to what each node puts out for a picture.

    They are those of what inference computes, one pass forward and one back: of a node that is read more than once,
    the sum over its readers.

    Args:
        network: without its final softmax or sigmoid.
        weights: of the network.
        x: the picture (1, H, W, C) as the network receives it.
        loss: of the model; it is asked only for its own gradient.
        of: the score of an output, or the loss of the picture were this its class.
        index: which output; by default the one with the largest score.
        names: the nodes, or `input`, that gradients are wanted of; by default all.
    """
    if names is None:
        names = frozenset({INPUT, *(node.name for node in network.nodes)})
    tape = network.forward(weights, x, Context(records=True, wanted=names))
    scores = tape.output
    chosen = int(np.argmax(scores[0])) if index is None else index
    one = np.zeros_like(scores)
    one[:, chosen] = 1
    if of == "loss":
        losses, saved = loss.forward(scores, one)
        value, dy = float(losses[0]), loss.backward(saved, 1).astype(scores.dtype, copy=False)
    else:
        value, dy = float(scores[0, chosen]), one
    found = network.backward(tape, dy)

    def shown() -> Iterator[Activation]:
        if INPUT in names:
            yield Activation(INPUT, INPUT, found.get(INPUT, np.zeros_like(x)))
        for node in network.nodes:
            if node.name not in names:
                continue
            nothing = (len(x), *node.output_shape)
            gradient = found[node.name] if node.name in found else np.zeros(nothing, x.dtype)
            yield Activation(node.name, node.layer.type, gradient)

    return Gradients(of, chosen, value, tuple(shown()))
