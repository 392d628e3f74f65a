"""Hints about weights that do nothing, or are too many in one place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from engine.arrays import elements
from engine.hints.graph import KEEPS_PLACE, Finding, Graph, size
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.dense import Dense
from engine.layers.normalization import BatchNorm, InstanceNorm
from engine.layers.reshape import Flatten

_MOST = 0.5
"""Share of all parameters above which a layer holds most of them."""


def weights_never_used(graph: Graph) -> Iterator[Finding]:
    """Find convolutions so wide for their map that some cells of the filter only ever meet padding."""
    for node in graph.nodes:
        window = graph.windows.get(node.name)
        if window is None or not isinstance(node.layer, Conv2D | DepthwiseConv2D):
            continue
        used = window.height.cells_used, window.width.cells_used
        cells, all_cells = used[0] * used[1], window.height.kernel * window.width.kernel
        if cells == all_cells:
            continue
        idle = elements(node.weights["weight"].shape) // all_cells * (all_cells - cells)
        yield Finding(
            node,
            f"of the {size(window.kernel)} cells of each filter {cells} ever meet the {size(node.input_shapes[0][:2])} "
            f"map, the others only padding: {idle:,} weights are never used",
            f"use a kernel of at most {size(used)}, or less stride and pooling before it",
        )


def dense_majority(graph: Graph) -> Iterator[Finding]:
    """Find a dense layer on a flattened map that holds most of the parameters.

    Lin, Chen & Yan 2013, "Network in network", section 3.2: such layers are what overfits; the average of each map
    has no parameters at all.
    """
    total = graph.network.parameters
    for node in graph.nodes:
        flat = graph.chain_back(node, KEEPS_PLACE)
        if not isinstance(node.layer, Dense) or flat is None or not isinstance(flat.layer, Flatten):
            continue
        shape = flat.input_shapes[0]
        if (
            node.parameters <= _MOST * total
            or len(shape) != 3
            or shape[:2] == (1, 1)
            or graph.before(flat) is None
        ):
            continue
        units = node.output_shape[0]
        yield Finding(
            node,
            f"it holds {node.parameters:,} of {total:,} parameters ({100 * node.parameters / total:.0f} %): each of "
            f"the {size(shape)} = {elements(shape):,} numbers is connected to each of {units:,} units",
            f"replace the flatten before it by global_average_pool2d, which leaves {shape[2] * units:,} weights "
            f"here, or shrink the map first",
        )


def bias_before_normalization(graph: Graph) -> Iterator[Finding]:
    """Find biases that a normalisation takes away again: it subtracts the mean, and has a shift of its own.

    Ioffe & Szegedy 2015, "Batch normalization", section 3.2.
    """
    for node in graph.nodes:
        if not isinstance(node.layer, BatchNorm | InstanceNorm):
            continue
        source = graph.before(node)
        if source is None or "bias" not in source.weights or len(graph.readers[source.name]) > 1:
            continue
        count = elements(source.weights["bias"].shape)
        yield Finding(
            source,
            f"{node.name} subtracts the mean of each channel, and with it the {count:,} biases of this layer: they "
            "change nothing",
            'set "bias": false',
        )


def channels_shrink_early(graph: Graph) -> Iterator[Finding]:
    """Find windows in the first half of a network that give fewer channels than they get, with more again later.

    Szegedy et al. 2015, "Rethinking the Inception architecture for computer vision", section 2: avoid representational
    bottlenecks, especially early. A 1x1 reduction, or one in a block, is on purpose.
    """
    convolutions = [node for node in graph.nodes if isinstance(node.layer, Conv2D)]
    widest = list(accumulate((node.output_shape[2] for node in reversed(convolutions)), max))[::-1]
    for place, node in enumerate(convolutions[: len(convolutions) // 2]):
        before, after = node.input_shapes[0], node.output_shape
        window = graph.windows.get(node.name)
        if node.blocks or window is None or window.kernel == (1, 1) or after[2] >= before[2]:
            continue
        if elements(after) >= elements(before) or widest[place + 1] <= after[2] or graph.before(node) is None:
            continue
        yield Finding(
            node,
            f"{before[2]} channels become {after[2]}, and later {widest[place + 1]} again: what does not go through "
            f"{size(after)} here is lost to all layers after it",
            f"use at least {before[2]} filters, or a 1x1 reduction in a block with a path around it",
        )
