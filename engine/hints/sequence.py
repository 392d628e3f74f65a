"""Hints about layers that follow one another."""

from __future__ import annotations

from collections.abc import Iterator

from engine.graph.network import Node
from engine.hints.graph import KEEPS_LINEAR, Finding, Graph
from engine.layers.convolution import Conv2D
from engine.layers.dense import Dense
from engine.layers.dropout import Dropout, SpatialDropout2D
from engine.layers.normalization import BatchNorm


def no_nonlinearity_between(graph: Graph) -> Iterator[Finding]:
    """Find two linear layers, one after the other, that are together no more than one.

    Goodfellow, Bengio & Courville 2016, "Deep learning", section 6.1. One whose middle is narrower than both its ends
    is a factorisation with fewer weights, and on purpose: the linear bottlenecks of MobileNetV2 (Sandler et al. 2018).
    So are filters of 1xn and nx1, and of groups.
    """
    for node in graph.nodes:
        if not isinstance(node.layer, Conv2D | Dense):
            continue
        source = graph.chain_back(node, KEEPS_LINEAR)
        if (
            source is None
            or type(source.layer) is not type(node.layer)
            or len(graph.readers[source.name]) > 1
        ):
            continue
        middle = source.output_shape[-1]
        if middle < min(source.input_shapes[0][-1], node.output_shape[-1]) or _factorised(source, node):
            continue
        yield Finding(
            node,
            f"between {source.name} and this layer is no nonlinearity: the two with their {_weights(source, node):,} "
            f"weights are one linear map, which a single {node.layer.type} could be",
            f'add an activation to {source.name}, such as "activation": "relu", or leave one of the two out',
        )


def _factorised(*nodes: Node) -> bool:
    """Return whether two layers are the parts of a larger one, which has more weights."""
    kernels = [node.layer.kernel_size for node in nodes if isinstance(node.layer, Conv2D)]
    grouped = any(isinstance(node.layer, Conv2D) and node.layer.groups > 1 for node in nodes)
    return grouped or any(height != width for height, width in kernels)


def _weights(*nodes: Node) -> int:
    return sum(node.parameters for node in nodes)


def dropout_before_normalization(graph: Graph) -> Iterator[Finding]:
    """Find dropout before batch normalisation: the variance that is gathered in training is not that of inference.

    Li et al. 2018, "Understanding the disharmony between dropout and batch normalization by variance shift".
    """
    after: dict[str, str] = {}
    for node in reversed(graph.nodes):
        found = (
            node.name if isinstance(node.layer, BatchNorm) and node.layer.trainable else after.get(node.name)
        )
        if found is not None:
            after |= dict.fromkeys(node.inputs, found)
    for node in graph.nodes:
        if (
            not isinstance(node.layer, Dropout | SpatialDropout2D)
            or not node.layer.rate
            or node.name not in after
        ):
            continue
        rate = node.layer.rate
        yield Finding(
            node,
            f"dropout multiplies what is kept by {1 / (1 - rate):.3g} in training alone; {after[node.name]} after it "
            "gathers a variance that inference does not have",
            "place dropout after the last batch_norm",
        )
