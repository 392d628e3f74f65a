"""Folds batch norm into the convolution before it: in inference both are one linear map.

    scale * (conv(a, K) + b - mean) / deviation + shift  =  conv(a, K * f) + (b - mean) * f + shift
    with f = scale / deviation, one factor for each filter

Jacob et al. 2017, "Quantization and training of neural networks", section 3.2.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from engine.arrays import Array, Weights
from engine.graph.network import Network, Node
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.normalization import BatchNorm


def fold(network: Network, weights: Weights) -> tuple[Network, dict[str, Array]]:
    """Return a network without the batch norms that follow a convolution, and its weights."""
    readers = Counter(name for node in network.nodes for name in node.inputs)
    folded: dict[str, Array] = dict(weights)
    nodes: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in network.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        before = nodes.get(inputs[0])
        if (
            isinstance(node.layer, BatchNorm)
            and before is not None
            and isinstance(before.layer, Conv2D | DepthwiseConv2D)
            and readers[node.inputs[0]] == 1
        ):
            nodes[before.name] = _into(before, node, node.layer.epsilon, folded)
            renamed[node.name] = before.name
            readers[before.name] = readers[node.name]
        else:
            nodes[node.name] = replace(node, inputs=inputs)
    return replace(network, nodes=tuple(nodes.values())), folded


def _into(convolution: Node, norm: Node, epsilon: float, weights: dict[str, Array]) -> Node:
    """Change the convolution's weights in `weights`, and return its node with a bias."""
    scale, shift, mean, variance = (
        weights.pop(f"{norm.name}/{name}").astype(np.float64)
        for name in ("scale", "shift", "running_mean", "running_variance")
    )
    factor = scale / np.sqrt(variance + epsilon)
    kernel, name = weights[f"{convolution.name}/weight"], f"{convolution.name}/bias"
    bias = weights.get(name, np.zeros(kernel.shape[3]))
    weights[f"{convolution.name}/weight"] = (kernel * factor).astype(np.float32)
    weights[name] = ((bias - mean) * factor + shift).astype(np.float32)
    layer = convolution.layer.model_copy(update={"bias": True})
    return replace(convolution, layer=layer, weights=layer.weights(*convolution.input_shapes))
