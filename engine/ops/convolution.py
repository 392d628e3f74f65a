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
from engine.ops import windows
from engine.ops.reduction import channel_sum
from engine.ops.windows import Window
from engine.workspace import FRESH, Buffers

_TILE_BYTES = 1 << 21  # columns of one tile; about the second-level cache of one core


def convolve(
    x: Array, weight: Array, bias: Array | None, window: Window, buffers: Buffers = FRESH
) -> tuple[Array, Array]:
    """Convolve a batch.

    Args:
        x: images (N, H, W, C).
        weight: filters (KH, KW, C, F).
        bias: (F,) or None.
        window: the arithmetic of the sliding window, from `windows.slide`.
        buffers: where results live.

    Returns:
        The maps (N, OH, OW, F), and the padded input, which `convolve_backward` takes.
    """
    padded = windows.pad(x, window, buffers=buffers)
    filters = weight.shape[3]
    y = buffers.buffer("y", (x.shape[0], *window.output, filters), x.dtype)
    matrix = weight.reshape(-1, filters)  # (KH*KW*C, F)
    for images, columns in _tiles(padded, window, buffers):
        np.matmul(columns, matrix, out=y[images].reshape(-1, filters))
    if bias is not None:
        np.add(y, bias, out=y)
    return y, padded


def convolve_backward(
    padded: Array,
    weight: Array,
    dy: Array,
    window: Window,
    *,
    with_bias: bool,
    with_input: bool,
    buffers: Buffers = FRESH,
) -> tuple[Array | None, Array, Array | None]:
    """Pass gradients through `convolve`.

    Args:
        padded: what `convolve` returned beside its result.
        weight: filters (KH, KW, C, F).
        dy: gradient of the maps (N, OH, OW, F).
        window: as in `convolve`.
        with_bias: whether the gradient of a bias is wanted.
        with_input: whether the gradient of the images is wanted; the first layer has no use for it.
        buffers: where results live.

    Returns:
        dx (N, H, W, C) or None, dweight (KH, KW, C, F), dbias (F,) or None.
    """
    kernel_height, kernel_width, channels, filters = weight.shape
    matrix = weight.reshape(-1, filters)  # (KH*KW*C, F)
    dweight = buffers.buffer("dweight", matrix.shape, dy.dtype)
    part = buffers.scratch("dweight part", matrix.shape, dy.dtype)
    dweight[...] = 0
    dpadded = None
    if with_input:
        dpadded = buffers.buffer("dpadded", padded.shape, dy.dtype)
        dpadded[...] = 0
    for images, columns in _tiles(padded, window, buffers):
        dy_rows = dy[images].reshape(-1, filters)  # (n*OH*OW, F)
        np.matmul(columns.T, dy_rows, out=part)
        dweight += part
        if dpadded is not None:
            dcolumns = buffers.scratch("dcolumns", columns.shape, dy.dtype)
            np.matmul(dy_rows, matrix.T, out=dcolumns)
            taps = dcolumns.reshape(-1, *window.output, kernel_height, kernel_width, channels)
            for row in range(kernel_height):
                for column in range(kernel_width):
                    target = windows.tap(dpadded[images], window, row, column)
                    target += taps[:, :, :, row, column]
    dx = None if dpadded is None else windows.unpad(dpadded, window)
    dbias = channel_sum(dy) if with_bias else None
    return dx, dweight.reshape(weight.shape), dbias


def _tiles(padded: Array, window: Window, buffers: Buffers) -> Iterator[tuple[slice, Array]]:
    """Yield slices of the batch, each with its windows as a matrix (n*OH*OW, KH*KW*C)."""
    view = windows.view(padded, window)
    depth = view.shape[3] * view.shape[4] * view.shape[5]
    pixels = view.shape[1] * view.shape[2]
    step = max(1, _TILE_BYTES // (pixels * depth * padded.itemsize))
    for start in range(0, len(view), step):
        tile = view[start : start + step]  # (n, OH, OW, KH, KW, C)
        if not tile.flags.c_contiguous:  # a 1x1 window at stride 1 already is its matrix
            columns = buffers.scratch("columns", tile.shape, padded.dtype)
            np.copyto(columns, tile)
            tile = columns
        yield slice(start, start + len(tile)), tile.reshape(len(tile) * pixels, depth)
