"""Folds batch norm into the convolution before it: in inference both are one linear map.

    scale * (conv(a, K) + b - mean) / deviation + shift  =  conv(a, K * f) + (b - mean) * f + shift
    with f = scale / deviation, one factor for each filter

Jacob et al. 2017, "Quantization and training of neural networks", section 3.2.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from engine.arrays import Array, Weights
from engine.graph.network import Network, Node
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.normalization import BatchNorm


def fold(network: Network, weights: Weights) -> tuple[Network, dict[str, Array]]:
    """Return a network without the batch norms that follow a convolution, and its weights."""
    network, pairs = folded(network)
    found: dict[str, Array] = dict(weights)
    for convolution, norm in pairs:
        _take_in(convolution, norm, found)
    return network, found


def folded(network: Network) -> tuple[Network, list[tuple[str, Node]]]:
    """Return that network, and the names of the convolutions that take in a batch norm, with it."""
    readers = Counter(name for node in network.nodes for name in node.inputs)
    nodes: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    pairs: list[tuple[str, Node]] = []
    for node in network.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        before = nodes.get(inputs[0])
        if (
            isinstance(node.layer, BatchNorm)
            and before is not None
            and isinstance(before.layer, Conv2D | DepthwiseConv2D)
            and readers[node.inputs[0]] == 1
        ):
            layer = before.layer.model_copy(update={"bias": True})
            nodes[before.name] = replace(before, layer=layer, weights=layer.weights(*before.input_shapes))
            pairs.append((before.name, node))
            renamed[node.name] = before.name
            readers[before.name] = readers[node.name]
        else:
            nodes[node.name] = replace(node, inputs=inputs)
    return replace(network, nodes=tuple(nodes.values())), pairs


def _take_in(convolution: str, norm: Node, weights: dict[str, Array]) -> None:
    """Change a convolution's weights in `weights`, which then have a bias."""
    layer: Any = norm.layer
    scale, shift, mean, variance = (
        weights.pop(f"{norm.name}/{name}").astype(np.float64)
        for name in ("scale", "shift", "running_mean", "running_variance")
    )
    factor = scale / np.sqrt(variance + layer.epsilon)
    kernel, name = weights[f"{convolution}/weight"], f"{convolution}/bias"
    bias = weights.get(name, np.zeros(kernel.shape[3]))
    weights[f"{convolution}/weight"] = (kernel * factor).astype(np.float32)
    weights[name] = ((bias - mean) * factor + shift).astype(np.float32)
