"""Transposed convolution: each number of the input stamps a filter's worth of numbers on a larger map.

y[s*x + i - p, s*y + j - p, k] += K[i, j, c, k] * a[x, y, c], for all x, y, i, j, c

It is what `convolve` does to gradients: forward and backward change places. So its window is that of the
convolution that would lead back, from the large map to the small one.
Zeiler et al. 2010, "Deconvolutional networks"; Dumoulin & Visin 2016, "A guide to convolution arithmetic", chapter 4.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.ops import windows
from engine.ops.convolution import images_per_tile, scatter, tiles
from engine.ops.reduction import channel_sum
from engine.ops.windows import Axis, PaddingSpec, Pair, Window
from engine.workspace import FRESH, Buffers


def spread(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: PaddingSpec, extra: Pair, dilation: Pair
) -> Window:
    """Return the window that leads back from the large map to the one of `shape` (H, W, C).

    The large map has (n - 1) * s - 2p + d * (f - 1) + 1 rows, and `extra` ones at the bottom and right that
    no filter need reach; with padding `same` it has n * s.
    Too much padding leaves no rows: an axis whose size is below 1.
    """
    axes = []
    for axis, (n, f, s, d) in enumerate(zip(shape[:2], kernel, stride, dilation, strict=True)):
        if padding == "same":
            axes.append(Axis(n * s, f, s, *windows.same_padding(n * s, f, s, d), d))
        else:
            before, after = (0, 0) if padding == "valid" else padding[axis]
            size = (n - 1) * s - before - after + d * (f - 1) + 1 + extra[axis]
            axes.append(Axis(size, f, s, before, after, d))
    return Window(*axes)


def convolve_transposed(
    x: Array, weight: Array, bias: Array | None, window: Window, buffers: Buffers = FRESH
) -> Array:
    """Stamp the filters on larger maps.

    Args:
        x: maps (N, H, W, C).
        weight: filters (KH, KW, C, F).
        bias: (F,) or None.
        window: from `spread`; its size is that of the result.
        buffers: where results live.

    Returns:
        The maps (N, OH, OW, F).
    """
    n, _, _, channels = x.shape
    matrix = _matrix(weight, buffers)  # (KH*KW*F, C)
    rows, columns = window
    padded = buffers.buffer("y", (n, rows.padded, columns.padded, weight.shape[3]), x.dtype)
    padded[...] = 0
    step = images_per_tile(window, len(matrix), x.itemsize)
    for first in range(0, n, step):
        images = slice(first, first + step)
        pixels = x[images].reshape(-1, channels)
        stamps = buffers.scratch("stamps", (1, len(pixels), len(matrix)), x.dtype)
        np.matmul(pixels, matrix.T, out=stamps[0])
        scatter(stamps, padded[images], window, groups=1)
    y = windows.unpad(padded, window)
    if bias is not None:
        y += bias
    return y


def convolve_transposed_backward(
    x: Array,
    weight: Array,
    dy: Array,
    window: Window,
    *,
    with_weight: bool,
    with_bias: bool,
    with_input: bool,
    buffers: Buffers = FRESH,
) -> tuple[Array | None, Array | None, Array | None]:
    """Pass gradients through `convolve_transposed`.

    Args:
        x: maps (N, H, W, C).
        weight: filters (KH, KW, C, F).
        dy: gradient of the result (N, OH, OW, F).
        window: as in `convolve_transposed`.
        with_weight: whether the gradient of the filters is wanted.
        with_bias: whether the gradient of a bias is wanted.
        with_input: whether the gradient of the maps is wanted.
        buffers: where results live.

    Returns:
        dx (N, H, W, C), dweight (KH, KW, C, F) and dbias (F,); None for what is not wanted.
    """
    channels = x.shape[3]
    matrix = _matrix(weight, buffers)  # (KH*KW*F, C)
    padded = windows.pad(dy, window, buffers=buffers)
    dmatrix = buffers.scratch("dmatrix", matrix.shape, dy.dtype)
    part = buffers.scratch("dmatrix part", matrix.shape, dy.dtype)
    dmatrix[...] = 0
    dx = buffers.buffer("dx", x.shape, dy.dtype) if with_input else None
    for images, stamps in tiles(padded, window, 1, buffers):
        if with_weight:
            np.matmul(stamps[0].T, x[images].reshape(-1, channels), out=part)
            dmatrix += part
        if dx is not None:
            np.matmul(stamps[0], matrix, out=dx[images].reshape(-1, channels))
    dweight = None
    if with_weight:
        dweight = buffers.buffer("dweight", weight.shape, dy.dtype)
        kernel_height, kernel_width, _, filters = weight.shape
        by_cell = dmatrix.reshape(kernel_height, kernel_width, filters, channels)
        np.copyto(dweight, by_cell.transpose(0, 1, 3, 2))
    return dx, dweight, channel_sum(dy) if with_bias else None


def _matrix(weight: Array, buffers: Buffers) -> Array:
    """Return the filters (KH, KW, C, F) as a matrix (KH*KW*F, C): as those of the convolution back."""
    kernel_height, kernel_width, channels, filters = weight.shape
    turned = buffers.scratch("turned", (kernel_height, kernel_width, filters, channels), weight.dtype)
    np.copyto(turned, weight.transpose(0, 1, 3, 2))
    return turned.reshape(-1, channels)
