"""Pooling: one number for each window of each channel.

The loops run over the few cells of a window, never over pixels or images.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.ops import windows
from engine.ops.windows import Window
from engine.workspace import FRESH, Buffers


def max_pool(x: Array, window: Window, buffers: Buffers = FRESH) -> tuple[Array, Array]:
    """Return the largest value of each window; padding is -inf and so never wins.

    Args:
        x: maps (N, H, W, C).
        window: the arithmetic of the sliding window.
        buffers: where results live.

    Returns:
        The maps (N, OH, OW, C), and for each of their cells which cell of its window won
        (N, OH, OW, C), numbered row by row; on a tie the first.
    """
    padded = windows.pad(x, window, -np.inf, buffers)
    kernel_height, kernel_width = window.kernel
    shape = (x.shape[0], *window.output, x.shape[3])
    y = buffers.buffer("y", shape, x.dtype)
    winner_type = np.uint8 if kernel_height * kernel_width <= 256 else np.uint32
    winner = buffers.buffer("winner", shape, winner_type)
    larger = buffers.scratch("larger", shape, np.bool_)
    np.copyto(y, windows.tap(padded, window, 0, 0))
    winner[...] = 0
    for cell in range(1, kernel_height * kernel_width):
        candidate = windows.tap(padded, window, *divmod(cell, kernel_width))
        np.greater(candidate, y, out=larger)
        np.maximum(y, candidate, out=y)
        # cells are visited in rising order, so the largest number of a winner is the last winner's
        np.maximum(winner, np.multiply(larger, winner_type(cell), dtype=winner_type), out=winner)
    return y, winner


def max_pool_backward(winner: Array, dy: Array, window: Window, buffers: Buffers = FRESH) -> Array:
    """Send each gradient to the one cell that won; overlapping windows add up.

    Args:
        winner: what `max_pool` returned beside its result, (N, OH, OW, C).
        dy: gradient of the result (N, OH, OW, C).
        window: as in `max_pool`.
        buffers: where results live.

    Returns:
        dx (N, H, W, C).
    """
    dpadded = _zeros(dy, window, buffers)
    share = buffers.scratch("share", dy.shape, dy.dtype)
    won = buffers.scratch("won", dy.shape, np.bool_)
    kernel_height, kernel_width = window.kernel
    for cell in range(kernel_height * kernel_width):
        np.equal(winner, cell, out=won)
        np.multiply(dy, won, out=share)
        target = windows.tap(dpadded, window, *divmod(cell, kernel_width))
        target += share
    return windows.unpad(dpadded, window)


def average_pool(x: Array, window: Window, *, count_padding: bool, buffers: Buffers = FRESH) -> Array:
    """Return the mean of each window (N, OH, OW, C).

    Args:
        x: maps (N, H, W, C).
        window: the arithmetic of the sliding window.
        count_padding: whether padded zeros count as cells, or only real pixels are averaged.
        buffers: where results live.
    """
    padded = windows.pad(x, window, buffers=buffers)
    kernel_height, kernel_width = window.kernel
    y = buffers.buffer("y", (x.shape[0], *window.output, x.shape[3]), x.dtype)
    np.copyto(y, windows.tap(padded, window, 0, 0))
    for cell in range(1, kernel_height * kernel_width):
        y += windows.tap(padded, window, *divmod(cell, kernel_width))
    y *= shares(window, count_padding=count_padding).astype(x.dtype)
    return y


def average_pool_backward(
    dy: Array, window: Window, *, count_padding: bool, buffers: Buffers = FRESH
) -> Array:
    """Share each gradient among the cells of its window: dy (N, OH, OW, C) to dx (N, H, W, C)."""
    dpadded = _zeros(dy, window, buffers)
    share = buffers.scratch("share", dy.shape, dy.dtype)
    np.multiply(dy, shares(window, count_padding=count_padding).astype(dy.dtype), out=share)
    kernel_height, kernel_width = window.kernel
    for cell in range(kernel_height * kernel_width):
        target = windows.tap(dpadded, window, *divmod(cell, kernel_width))
        target += share
    return windows.unpad(dpadded, window)


def global_average_pool(x: Array) -> Array:
    """Return the mean of each whole map: (N, H, W, C) to (N, C). Lin et al. 2013, section 3.2."""
    mean: Array = x.mean(axis=(1, 2), dtype=x.dtype)
    return mean


def global_average_pool_backward(dy: Array, height: int, width: int, buffers: Buffers = FRESH) -> Array:
    """Spread each gradient evenly over its map: (N, C) to (N, H, W, C)."""
    n, c = dy.shape
    dx = buffers.buffer("dx", (n, height, width, c), dy.dtype)
    dx[...] = (dy / dy.dtype.type(height * width))[:, None, None, :]
    return dx


def global_max_pool(x: Array) -> tuple[Array, Array]:
    """Return the largest value of each whole map (N, C), and which pixel it was (N, C); on a tie the first."""
    pixels = x.reshape(x.shape[0], -1, x.shape[3])  # (N, H*W, C)
    winner = pixels.argmax(axis=1)
    return np.take_along_axis(pixels, winner[:, None, :], axis=1)[:, 0, :], winner


def global_max_pool_backward(
    winner: Array, dy: Array, height: int, width: int, buffers: Buffers = FRESH
) -> Array:
    """Send each gradient to the one pixel that won: (N, C) to (N, H, W, C)."""
    n, c = dy.shape
    dx = buffers.buffer("dx", (n, height, width, c), dy.dtype)
    dx[...] = 0
    np.put_along_axis(dx.reshape(n, -1, c), winner[:, None, :], dy[:, None, :], axis=1)
    return dx


def _zeros(dy: Array, window: Window, buffers: Buffers) -> Array:
    shape = (dy.shape[0], window.height.padded, window.width.padded, dy.shape[3])
    dpadded = buffers.buffer("dpadded", shape, dy.dtype)
    dpadded[...] = 0
    return dpadded


def shares(window: Window, *, count_padding: bool) -> Array:
    """Return 1 / (cells averaged) for each window, (OH, OW, 1), float64.

    What a rounded-up last window sees beyond the padding is never counted.
    """
    cells = []
    for axis in window:
        first, end = (0, axis.surrounded) if count_padding else (axis.before, axis.before + axis.size)
        taps = np.arange(axis.output)[:, None] * axis.stride + np.arange(axis.kernel) * axis.dilation
        cells.append(((taps >= first) & (taps < end)).sum(axis=1))
    weights: Array = 1.0 / np.multiply.outer(*cells)[:, :, None]
    return weights
