"""Explanations by the maps of an inner node."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from engine.arrays import Array
from engine.errors import EngineError
from engine.graph.network import Network
from engine.graph.node import Node
from engine.model.explanations.base import Explained, Explanation, Passes, Steps
from engine.model.explanations.score import Score
from engine.ops import resampling

_NOTHING_IN_INFERENCE = ("dropout", "spatial_dropout2d")


class GradCam(Explanation):
    """Where in the picture an inner node finds what speaks for the score.

    Each map of the node is weighted by the mean of the score's gradient over its cells; the sum of the maps, where it
    is positive, is enlarged to the picture bilinearly. It is as coarse as the node's maps are, and shows nothing of
    what speaks against the score. Before global average pooling and one dense layer it equals the positive part of the
    class activation map (Zhou et al. 2016) divided by its number of cells.
    """

    type: Literal["grad_cam"] = "grad_cam"
    node: str | None = None
    """The node whose maps are weighted; by default the last whose output is a map of more than one cell."""

    examples: ClassVar = ({"type": "grad_cam"},)
    formula: ClassVar = "M = enlarge(max(0, sum_k w_k A_k)), w_k = 1/Z sum_ij dS/dA_ijk"
    source: ClassVar = (
        "Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra 2017, Grad-CAM: visual explanations from deep networks via "
        "gradient-based localization, section 3, equations 1 and 2"
    )
    signed: ClassVar = False
    per_channel: ClassVar = False

    def check(self, network: Network) -> None:
        self.target(network)

    def target(self, network: Network) -> Node:
        """Return the node whose maps are weighted.

        Raises:
            EngineError: there is no node of that name, or its output is no map; or the network has no convolution.
        """
        maps = [node for node in network.nodes if len(node.output_shape) == 3]
        if not any(node.layer.cost(*node.input_shapes).multiply_adds for node in maps):
            raise EngineError(
                "the model has no convolution, and grad_cam weighs the maps that convolutions make",
                path=("method",),
                hint="use gradient, integrated_gradients or occlusion",
            )
        if self.node is None:
            return next((node for node in reversed(maps) if max(node.output_shape[:2]) > 1), maps[-1])
        found = next((node for node in network.nodes if node.name == self.node), None)
        if found is None or found not in maps:
            listed = ", ".join(node.name for node in maps[-5:])
            detail = "there is no such node" if found is None else f"the output of {self.node} is no map"
            raise EngineError(detail, path=("node",), hint=f"the last maps of this model are {listed}")
        return found

    def passes(self, network: Network) -> Passes:
        return Passes(1, 1)

    def explain(self, score: Score, x: Array) -> Steps:
        node = self.target(score.network)
        scores, gradients, outputs = score.slope(x[np.newaxis], node.name)
        coarse = weighted(outputs[0], gradients[0])
        rows, columns = (
            resampling.interpolating(cells, size)
            for cells, size in zip(coarse.shape, x.shape[:2], strict=True)
        )
        values = resampling.resample(coarse[np.newaxis, :, :, np.newaxis], rows, columns)[0]
        expected = class_activation(score, node, outputs[0])
        checks = (
            {}
            if expected is None
            else {"class_activation_difference": float(np.abs(coarse - expected).max())}
        )
        yield Explained(float(scores[0]), values, checks, node.name)


def class_activation(score: Score, node: Node, maps: Array) -> Array | None:
    """Return the positive part of the class activation map (H, W) divided by its number of cells.

    It is the sum of a node's maps (H, W, C), each weighted by the last layer's weight from its mean to the score. None
    unless global average pooling and one dense layer are all that comes after the node. Zhou et al. 2016, Learning deep
    features for discriminative localization, section 2.
    """
    after = score.network.nodes[score.network.nodes.index(node) + 1 :]
    kinds = [other.layer.type for other in after if other.layer.type not in _NOTHING_IN_INFERENCE]
    if kinds != ["global_average_pool2d", "dense"]:
        return None
    weight = score.among(after[-1].local(score.weights)["weight"])  # (C,)
    together: Array = np.maximum(maps @ weight, 0) / (maps.shape[0] * maps.shape[1])
    return together


def weighted(maps: Array, gradients: Array) -> Array:
    """Return the positive part of the sum of maps (H, W, C), each weighted by the mean of its gradients: (H, W)."""
    together: Array = np.maximum(maps @ gradients.mean(axis=(0, 1)), 0)
    return together
