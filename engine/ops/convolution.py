"""Convolution of a batch of images with a bank of filters (cross-correlation, as in every CNN).

conv(a, K)[x, y, k] = sum over i, j, c of K[i, j, c, k] * a[s*x + i - p, s*y + j - p, c] + b[k]

The windows are gathered as the rows of a matrix (im2col: Chellapilla et al. 2006, "High performance
convolutional neural networks for document processing", section 3), so that a matrix product does
the work. They are gathered for a few images at a time, which bounds memory and stays in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.arrays import Array
from engine.ops import depthwise, windows
from engine.ops.reduction import channel_sum
from engine.ops.windows import Window
from engine.workspace import FRESH, Buffers

_TILE_BYTES = 1 << 21  # columns of one tile; about the second-level cache of one core


def convolve(
    x: Array, weight: Array, bias: Array | None, window: Window, buffers: Buffers = FRESH
) -> tuple[Array, Array]:
    """Convolve a batch.

    Filters that are g times thinner than the images make a grouped convolution: the channels fall into
    g groups in their order, and the filters too; each filter sees its group alone.

    Args:
        x: images (N, H, W, C).
        weight: filters (KH, KW, C / g, F).
        bias: (F,) or None.
        window: the arithmetic of the sliding window, from `windows.slide`.
        buffers: where results live.

    Returns:
        The maps (N, OH, OW, F), and the padded input, which `convolve_backward` takes.
    """
    padded = windows.pad(x, window, buffers=buffers)
    filters = weight.shape[3]
    y = buffers.buffer("y", (x.shape[0], *window.output, filters), x.dtype)
    if depthwise.applies(x.shape[3], weight):
        depthwise.convolve(padded, weight, window, y, buffers)
    else:
        groups = x.shape[3] // weight.shape[2]
        matrices = by_group(weight, groups)  # (g, KH*KW*C/g, F/g)
        for images, columns in tiles(padded, window, groups, buffers):
            np.matmul(columns, matrices, out=by_group(y[images], groups))
    if bias is not None:
        np.add(y, bias, out=y)
    return y, padded


def convolve_backward(
    padded: Array,
    weight: Array,
    dy: Array,
    window: Window,
    *,
    with_weight: bool,
    with_bias: bool,
    with_input: bool,
    buffers: Buffers = FRESH,
) -> tuple[Array | None, Array | None, Array | None]:
    """Pass gradients through `convolve`.

    Args:
        padded: what `convolve` returned beside its result.
        weight: filters (KH, KW, C / g, F).
        dy: gradient of the maps (N, OH, OW, F).
        window: as in `convolve`.
        with_weight: whether the gradient of the filters is wanted.
        with_bias: whether the gradient of a bias is wanted.
        with_input: whether the gradient of the images is wanted.
        buffers: where results live.

    Returns:
        dx (N, H, W, C), dweight (KH, KW, C / g, F) and dbias (F,); None for what is not wanted.
    """
    dweight = _zeros("dweight", weight, dy, buffers) if with_weight else None
    dpadded = _zeros("dpadded", padded, dy, buffers) if with_input else None
    if depthwise.applies(padded.shape[3], weight):
        depthwise.convolve_backward(padded, weight, dy, window, dweight, dpadded, buffers)
    else:
        _backward(padded, weight, dy, window, dweight, dpadded, buffers)
    dx = None if dpadded is None else windows.unpad(dpadded, window)
    return dx, dweight, channel_sum(dy) if with_bias else None


def _zeros(role: str, like: Array, dy: Array, buffers: Buffers) -> Array:
    array = buffers.buffer(role, like.shape, dy.dtype)
    array[...] = 0
    return array


def _backward(
    padded: Array,
    weight: Array,
    dy: Array,
    window: Window,
    dweight: Array | None,
    dpadded: Array | None,
    buffers: Buffers,
) -> None:
    """Add the gradients to `dweight` and to `dpadded`, where they are given."""
    groups = padded.shape[3] // weight.shape[2]
    matrices = by_group(weight, groups)  # (g, KH*KW*C/g, F/g)
    if dweight is not None:
        dmatrices = by_group(dweight, groups)
        part = buffers.scratch("dweight part", dmatrices.shape, dy.dtype)
        for images, columns in tiles(padded, window, groups, buffers):
            np.matmul(columns.transpose(0, 2, 1), by_group(dy[images], groups), out=part)
            dmatrices += part
    if dpadded is not None:
        step = images_per_tile(window, matrices.shape[0] * matrices.shape[1], dy.itemsize)
        for start in range(0, len(dy), step):
            dy_rows = by_group(dy[start : start + step], groups)  # (g, n*OH*OW, F/g)
            shape = (groups, dy_rows.shape[1], matrices.shape[1])
            dcolumns = buffers.scratch("dcolumns", shape, dy.dtype)
            np.matmul(dy_rows, matrices.transpose(0, 2, 1), out=dcolumns)
            scatter(dcolumns, dpadded[start : start + step], window, groups)


def tiles(padded: Array, window: Window, groups: int, buffers: Buffers) -> Iterator[tuple[slice, Array]]:
    """Yield slices of the batch, each with the windows of each group as a matrix (g, n*OH*OW, KH*KW*C/g)."""
    view = windows.view(padded, window)
    channels = padded.shape[3] // groups
    depth = view.shape[3] * view.shape[4] * channels
    pixels = view.shape[1] * view.shape[2]
    step = images_per_tile(window, depth * groups, padded.itemsize)
    for start in range(0, len(view), step):
        tile = view[start : start + step]  # (n, OH, OW, KH, KW, C)
        if groups == 1 and tile.flags.c_contiguous:  # a 1x1 window at stride 1 already is its matrix
            yield slice(start, start + len(tile)), tile.reshape(1, len(tile) * pixels, depth)
            continue
        grouped = tile.reshape(*tile.shape[:5], groups, channels).transpose(5, 0, 1, 2, 3, 4, 6)
        columns = buffers.scratch("columns", grouped.shape, padded.dtype)  # (g, n, OH, OW, KH, KW, C/g)
        np.copyto(columns, grouped)
        yield slice(start, start + len(tile)), columns.reshape(groups, len(tile) * pixels, depth)


def images_per_tile(window: Window, depth: int, itemsize: int) -> int:
    """Return for how many images windows of `depth` numbers are gathered at a time."""
    return max(1, _TILE_BYTES // (window.height.output * window.width.output * depth * itemsize))


def scatter(columns: Array, padded: Array, window: Window, groups: int) -> None:
    """Add windows (g, n*OH*OW, KH*KW*C/g) to the pixels (n, H, W, C) that they were gathered from."""
    n, channels = padded.shape[0], padded.shape[3] // groups
    kernel_height, kernel_width = window.kernel
    taps = columns.reshape(groups, n, *window.output, kernel_height, kernel_width, channels)
    for row in range(kernel_height):
        for column in range(kernel_width):
            target = windows.tap(padded, window, row, column)  # (n, OH, OW, C)
            grouped = target.reshape(*target.shape[:3], groups, channels).transpose(3, 0, 1, 2, 4)
            grouped += taps[:, :, :, :, row, column]


def by_group(array: Array, groups: int) -> Array:
    """See (..., C) as one matrix for each group of channels, (g, rows, C / g); a view, nothing is copied."""
    return array.reshape(-1, groups, array.shape[-1] // groups).transpose(1, 0, 2)
