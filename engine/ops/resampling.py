"""Maps brought to another size: adaptive averaging, and interpolation as `interpolation.py` has it.

Each is linear and treats rows and columns alike, so it is one small matrix for either direction.
"""

from __future__ import annotations

import math

import numpy as np

from engine.arrays import Array
from engine.ops.interpolation import Method, taps
from engine.workspace import FRESH, Buffers


def averaging(size: int, bins: int) -> Array:
    """Return the matrix (bins, size) that averages each of `bins` stretches of a line, float64.

    Stretch i goes from floor(i * size / bins) up to ceil((i + 1) * size / bins), as in PyTorch; neighbours
    overlap where the size cannot be divided. He et al. 2014, "Spatial pyramid pooling", section 2.2.
    """
    matrix = np.zeros((bins, size))
    for number in range(bins):
        first, end = stretch(size, bins, number)
        matrix[number, first:end] = 1 / (end - first)
    return matrix


def stretch(size: int, bins: int, number: int) -> tuple[int, int]:
    """Return first and end of stretch `number` of `bins` on a line of `size` pixels."""
    return number * size // bins, -(-(number + 1) * size // bins)


def longest_stretch(size: int, bins: int) -> int:
    """Return how many pixels the longest of `bins` stretches has.

    Stretch i begins (i * size mod bins) / bins behind the pixel's edge: at most 1 - gcd / bins.
    """
    return -(-(size + bins - math.gcd(size, bins)) // bins)


def stretched(size: int, bins: int) -> int:
    """Return how many pixels all stretches have together: one more for each pixel that two of them share."""
    return size + bins - math.gcd(size, bins)


def interpolating(size: int, count: int) -> Array:
    """Return the matrix (count, size) that interpolates linearly between pixel centres, float64.

    The centre of new pixel i lies at (i + 1/2) * size / count - 1/2 of the old ones; outside them the outermost
    pixel is repeated.
    """
    return taps(size, count, count / size, Method()).matrix(size)


def resample(x: Array, rows: Array, columns: Array, buffers: Buffers = FRESH) -> Array:
    """Apply `rows` (OH, H) and `columns` (OW, W) to each map: y = rows x columns^T.

    Args:
        x: maps (N, H, W, C).
        rows: what each row of the result is made of.
        columns: what each column of the result is made of.
        buffers: where results live.

    Returns:
        The maps (N, OH, OW, C).
    """
    y = buffers.buffer("y", (len(x), len(rows), len(columns), x.shape[3]), x.dtype)
    return _apply(x, rows, columns, y, buffers)


def resample_backward(dy: Array, rows: Array, columns: Array, buffers: Buffers = FRESH) -> Array:
    """Pass gradients (N, OH, OW, C) through `resample`: dx = rows^T dy columns, (N, H, W, C)."""
    dx = buffers.buffer("dx", (len(dy), rows.shape[1], columns.shape[1], dy.shape[3]), dy.dtype)
    return _apply(dy, rows.T, columns.T, dx, buffers)


def repeat(x: Array, factors: tuple[int, int], buffers: Buffers = FRESH) -> Array:
    """Make a block of equal pixels of each pixel: (N, H, W, C) to (N, H * factor, W * factor, C)."""
    n, height, width, channels = x.shape
    down, right = factors
    y = buffers.buffer("y", (n, height * down, width * right, channels), x.dtype)
    y.reshape(n, height, down, width, right, channels)[...] = x[:, :, None, :, None, :]
    return y


def repeat_backward(dy: Array, factors: tuple[int, int], buffers: Buffers = FRESH) -> Array:
    """Sum the gradients of each block: (N, H * factor, W * factor, C) to (N, H, W, C)."""
    n, height, width, channels = dy.shape
    down, right = factors
    dx = buffers.buffer("dx", (n, height // down, width // right, channels), dy.dtype)
    blocks = dy.reshape(n, height // down, down, width // right, right, channels)
    return np.sum(blocks, axis=(2, 4), out=dx)


def _apply(x: Array, rows: Array, columns: Array, y: Array, buffers: Buffers) -> Array:
    n, height, width, channels = x.shape
    tall = buffers.scratch("tall", (n, len(rows), width * channels), x.dtype)
    np.matmul(rows.astype(x.dtype), x.reshape(n, height, width * channels), out=tall)
    lines = tall.reshape(n, len(rows), width, channels)
    return np.matmul(columns.astype(x.dtype), lines, out=y)
