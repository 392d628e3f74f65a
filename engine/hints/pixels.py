"""Hints about pixels that no window sees, and about windows that lie askew."""

from __future__ import annotations

from collections.abc import Iterator

from engine.hints.graph import INPUT, KEEPS_PLACE, Finding, Graph, size
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.pooling import AveragePool2D, MaxPool2D
from engine.layers.resampling import AdaptiveAveragePool2D
from engine.ops.windows import Window

_SIDES = ("rows", "columns")


def pooling_first(graph: Graph) -> Iterator[Finding]:
    """Find pools over the picture itself, before any layer has looked at it.

    What they throw away no filter has seen; smaller pictures cost less and come to the same.
    """
    for node in graph.nodes:
        if not isinstance(node.layer, MaxPool2D | AveragePool2D | AdaptiveAveragePool2D):
            continue
        before, after = node.input_shapes[0][:2], node.output_shape[:2]
        first = graph.chain_back(node, KEEPS_PLACE) is None and len(graph.readers[INPUT]) == 1
        if not first or before == after:
            continue
        left = after[0] * after[1] / (before[0] * before[1])
        yield Finding(
            node,
            f"{node.layer.type} shrinks the picture from {size(before)} to {size(after)} before any filter has "
            f"seen it: {100 * (1 - left):.0f} % of its cells are gone",
            f"make the pictures {size(after)} in the data set, or place a convolution before the pool",
        )


def edge_dropped(graph: Graph) -> Iterator[Finding]:
    """Find windows whose last position ends before the last row or column, so that nothing ever sees those.

    Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", section 2.4.
    """
    for node in graph.nodes:
        window = graph.windows.get(node.name)
        if window is None or not all(
            _misses_edge(graph.windows.get(reader.name)) for reader in graph.readers[node.inputs[0]]
        ):
            continue
        missed = [
            f"the last {axis.unseen} of {axis.size} {side}"
            for axis, side in zip(window, _SIDES, strict=True)
            if axis.unseen
        ]
        yield Finding(
            node,
            f"no {size(window.kernel)} window reaches {' and '.join(missed)} of its input: the next step of "
            f"{size((window.height.stride, window.width.stride))} would lead beyond the edge",
            "use padding 'same' or one more pixel of padding, a pool with ceil_mode, or pictures of a size that the "
            "strides divide",
        )


def _misses_edge(window: Window | None) -> bool:
    """Return whether windows end before their input does; ones that step over pixels are another matter."""
    return window is not None and any(axis.unseen for axis in window) and not _steps_over(window)


def _steps_over(window: Window) -> bool:
    return any(axis.stride > axis.extent for axis in window)


def pixels_skipped(graph: Graph) -> Iterator[Finding]:
    """Find windows that step over pixels, where nothing else reads the same map.

    He et al. 2018, "Bag of tricks for image classification with convolutional neural networks", section 4: a 1x1
    convolution with stride 2 ignores three quarters of its input.
    """
    for node in graph.nodes:
        window = graph.windows.get(node.name)
        if window is None or len(graph.readers[node.inputs[0]]) > 1:
            continue
        if not _steps_over(window) or window.output == (1, 1):
            continue
        share = 1.0
        for axis in window:
            share *= min(1.0, axis.extent / axis.stride)
        yield Finding(
            node,
            f"a window of {size(window.kernel)} moves by {size((window.height.stride, window.width.stride))}: "
            f"{100 * (1 - share):.0f} % of its input is never looked at",
            "use a window at least as large as the stride, or an average pool of the stride before it",
        )


def even_kernel_same(graph: Graph) -> Iterator[Finding]:
    """Find convolutions of an even size with padding `same` and stride 1: their map is shifted by half a pixel.

    Wu et al. 2019, "Convolution with even-sized kernels and symmetric padding".
    """
    for node in graph.nodes:
        window = graph.windows.get(node.name)
        if (
            window is None
            or not isinstance(node.layer, Conv2D | DepthwiseConv2D)
            or node.layer.padding != "same"
        ):
            continue
        askew = [axis for axis in window if axis.stride == 1 and axis.before != axis.after]
        if not askew:
            continue
        yield Finding(
            node,
            f"a {size(window.kernel)} window with padding 'same' has {askew[0].before} pixels of padding before and "
            f"{askew[0].after} after: each such layer shifts the map by half a pixel",
            f"use an odd size, such as {size(kernel + 1 - kernel % 2 for kernel in window.kernel)}",
        )
