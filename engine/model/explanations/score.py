"""The score that is explained: one output of a network as a function of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from engine.arrays import Array, Weights, elements
from engine.graph.network import INPUT, Network
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context

_MOST_BYTES = 128 * 2**20
"""What the outputs that are kept for the way back may take, where one picture alone does not take more."""
_MOST_PICTURES = 32


class Slope(NamedTuple):
    """Scores of pictures, and their gradients."""

    scores: Array
    """(n,)"""
    gradients: Array
    """(n, H, W, C) of the pictures, or of the node's output."""
    outputs: Array
    """What the gradient is taken of: the pictures, or the node's output."""


class Score:
    """One output of a network in inference, by the plain executor; it counts the passes.

    Gradients are those of what inference computes: running statistics, nothing dropped, and the derivative of each
    activation as it is, never a "guided" one.

    Args:
        network: without its final softmax or sigmoid.
        weights: of the network.
        preprocessing: says what black and white are to the network.
        index: which output.
        relative: whether the mean of all outputs is taken off it. Softmax does not see what they have in common, so
            that of classes the difference is what decides.
    """

    def __init__(
        self,
        network: Network,
        weights: Weights,
        preprocessing: Preprocessing,
        index: int,
        *,
        relative: bool = False,
    ) -> None:
        self.network = network
        self.weights = weights
        self.index = index
        self.relative = relative
        self.forward_passes = 0
        """How many pictures went through the network."""
        self.backward_passes = 0
        """How many went back, be it a part of the way."""
        self._preprocessing = preprocessing
        self._batch = batch_size(network)

    def outputs(self, x: Array) -> Array:
        """Return all outputs (n, K) of pictures (n, H, W, C)."""
        self.forward_passes += len(x)
        return self.network.forward(self.weights, x, Context(wanted=frozenset())).output

    def of(self, x: Array) -> Array:
        """Return the scores (n,) of pictures (n, H, W, C)."""
        return self.among(self.outputs(x))

    def among(self, outputs: Array) -> Array:
        """Return the scores (n,) among outputs (n, K); of anything linear in them, such as weights (C, K), its part."""
        found: Array = outputs[:, self.index]
        return found - outputs.mean(axis=1) if self.relative else found

    def slope(self, x: Array, node: str = INPUT) -> Slope:
        """Return the scores of pictures (n, H, W, C) and their gradients with respect to them, or to a node's output.

        Raises:
            GraphError: there is no such node.
        """
        context = Context(records=True, wanted=frozenset({node}))
        tape = self.network.forward(self.weights, x, context)
        dy = np.zeros_like(tape.output)
        if self.relative:
            dy -= 1 / dy.shape[1]
        dy[:, self.index] += 1
        gradients = self.network.backward(tape, dy)
        self.forward_passes += len(x)
        self.backward_passes += len(x)
        outputs = x if node == INPUT else tape.outputs[node]
        found = gradients.get(node)
        return Slope(self.among(tape.output), np.zeros_like(outputs) if found is None else found, outputs)

    def batches(self, count: int) -> Iterator[slice]:
        """Yield 0..count in parts that fit memory."""
        for first in range(0, count, self._batch):
            yield slice(first, min(count, first + self._batch))

    def plain(self, baseline: str) -> Array:
        """Return a pixel (C,) of a picture without content, float64, as the network receives it; see `Baseline`."""
        mean, deviation = np.array(self._preprocessing.mean), np.array(self._preprocessing.deviation)
        level = {"mean": mean, "black": np.zeros_like(mean), "white": np.ones_like(mean)}[baseline]
        pixel: Array = (level - mean) / deviation
        return pixel


def kept_bytes(network: Network) -> int:
    """Return about how many bytes one picture takes between a pass forward and the one back, float32."""
    nodes = network.nodes
    saved = sum(node.layer.cost(*node.input_shapes).saved_bytes for node in nodes)
    return 8 * (elements(network.input_shape) + sum(elements(node.output_shape) for node in nodes)) + saved


def step_bytes(network: Network) -> int:
    """Return about how many bytes a batch of passes takes at most, float32."""
    scratch = max((node.layer.cost(*node.input_shapes).scratch_bytes for node in network.nodes), default=0)
    return batch_size(network) * (kept_bytes(network) + scratch)


def batch_size(network: Network) -> int:
    """Return how many pictures go through a network at a time: one, where it takes much memory."""
    return max(1, min(_MOST_PICTURES, _MOST_BYTES // kept_bytes(network)))
