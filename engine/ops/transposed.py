"""Transposed convolution: each number of the input stamps a filter's worth of numbers on a larger map.

y[s*x + i - p, s*y + j - p, k] += K[i, j, c, k] * a[x, y, c], for all x, y, i, j, c

The channels of input and output may fall into g groups, each of which stamps its own: filters (KH, KW, C / g, F).

It is what `convolve` does to gradients: forward and backward change places. So its window is that of the
convolution that would lead back, from the large map to the small one.
Zeiler et al. 2010, "Deconvolutional networks"; Dumoulin & Visin 2016, "A guide to convolution arithmetic", chapter 4.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.ops import windows
from engine.ops.convolution import by_group, images_per_tile, scatter, tiles
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
    x: Array, weight: Array, bias: Array | None, window: Window, groups: int, buffers: Buffers = FRESH
) -> Array:
    """Stamp the filters on larger maps.

    Args:
        x: maps (N, H, W, C).
        weight: filters (KH, KW, C / g, F).
        bias: (F,) or None.
        window: from `spread`; its size is that of the result.
        groups: g.
        buffers: where results live.

    Returns:
        The maps (N, OH, OW, F).
    """
    matrices = _matrices(weight, groups, buffers)  # (g, KH*KW*F/g, C/g)
    rows, columns = window
    padded = buffers.buffer("y", (len(x), rows.padded, columns.padded, weight.shape[3]), x.dtype)
    padded[...] = 0
    step = images_per_tile(window, groups * matrices.shape[1], x.itemsize)
    for first in range(0, len(x), step):
        images = slice(first, first + step)
        pixels = by_group(x[images], groups)  # (g, n*H*W, C/g)
        stamps = buffers.scratch("stamps", (groups, pixels.shape[1], matrices.shape[1]), x.dtype)
        np.matmul(pixels, matrices.transpose(0, 2, 1), out=stamps)
        scatter(stamps, padded[images], window, groups)
    y = windows.unpad(padded, window)
    if bias is not None:
        y += bias
    return y


def convolve_transposed_backward(
    x: Array,
    weight: Array,
    dy: Array,
    window: Window,
    groups: int,
    *,
    with_weight: bool,
    with_bias: bool,
    with_input: bool,
    buffers: Buffers = FRESH,
) -> tuple[Array | None, Array | None, Array | None]:
    """Pass gradients through `convolve_transposed`.

    Args:
        x: maps (N, H, W, C).
        weight: filters (KH, KW, C / g, F).
        dy: gradient of the result (N, OH, OW, F).
        window: as in `convolve_transposed`.
        groups: g.
        with_weight: whether the gradient of the filters is wanted.
        with_bias: whether the gradient of a bias is wanted.
        with_input: whether the gradient of the maps is wanted.
        buffers: where results live.

    Returns:
        dx (N, H, W, C), dweight (KH, KW, C / g, F) and dbias (F,); None for what is not wanted.
    """
    matrices = _matrices(weight, groups, buffers)  # (g, KH*KW*F/g, C/g)
    padded = windows.pad(dy, window, buffers=buffers)
    dmatrices = buffers.scratch("dmatrices", matrices.shape, dy.dtype)
    part = buffers.scratch("dmatrices part", matrices.shape, dy.dtype)
    dmatrices[...] = 0
    dx = buffers.buffer("dx", x.shape, dy.dtype) if with_input else None
    for images, stamps in tiles(padded, window, groups, buffers):
        if with_weight:
            np.matmul(stamps.transpose(0, 2, 1), by_group(x[images], groups), out=part)
            dmatrices += part
        if dx is not None:
            np.matmul(stamps, matrices, out=by_group(dx[images], groups))
    dweight = None
    if with_weight:
        dweight = buffers.buffer("dweight", weight.shape, dy.dtype)
        np.copyto(_by_cell(dweight, groups), dmatrices.reshape(_by_cell(dweight, groups).shape))
    return dx, dweight, channel_sum(dy) if with_bias else None


def _matrices(weight: Array, groups: int, buffers: Buffers) -> Array:
    """Return the filters (KH, KW, C/g, F) as matrices (g, KH*KW*F/g, C/g): as those of the convolution back."""
    cells = _by_cell(weight, groups)
    turned = buffers.scratch("turned", cells.shape, weight.dtype)
    np.copyto(turned, cells)
    return turned.reshape(groups, -1, cells.shape[-1])


def _by_cell(weight: Array, groups: int) -> Array:
    """View filters (KH, KW, C/g, F) as (g, KH, KW, F/g, C/g)."""
    grouped = weight.reshape(*weight.shape[:3], groups, weight.shape[3] // groups)
    return grouped.transpose(3, 0, 1, 4, 2)
