"""Padding as an operation of its own: with a number, or by copies of what the map holds."""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.arrays import Array
from engine.ops.windows import Pair
from engine.workspace import FRESH, Buffers

Mode = Literal["constant", "reflect", "replicate", "wrap"]
Sides = tuple[Pair, Pair]
"""((top, bottom), (left, right))"""


def pad(x: Array, sides: Sides, mode: Mode, value: float = 0.0, buffers: Buffers = FRESH) -> Array:
    """Surround each map of a batch.

    Args:
        x: maps (N, H, W, C).
        sides: pixels to add.
        mode: `constant`, the value; `reflect`, mirrored at the outermost pixel, which is not repeated; `replicate`,
            the outermost pixel repeated; `wrap`, the map repeated.
        value: what pixels hold that are no copies.
        buffers: where results live.

    Returns:
        The maps (N, top + H + bottom, left + W + right, C).
    """
    n, height, width, channels = x.shape
    (top, bottom), (left, right) = sides
    y = buffers.buffer("y", (n, top + height + bottom, left + width + right, channels), x.dtype)
    if mode == "constant":
        y[...] = value
    inside = y[:, top : top + height, left : left + width]
    inside[...] = x
    if mode != "constant":
        middle = y[:, top : top + height]
        for target, source in _copies(width, left, right, mode):
            middle[:, :, target] = middle[:, :, source]
        for target, source in _copies(height, top, bottom, mode):
            y[:, target] = y[:, source]
    return y


def pad_backward(dy: Array, sides: Sides, mode: Mode, buffers: Buffers = FRESH) -> Array:
    """Pass gradients through `pad`: each pixel gets its own and those of its copies, (N, H, W, C)."""
    n, height, width, channels = dy.shape
    (top, bottom), (left, right) = sides
    height, width = height - top - bottom, width - left - right
    dx = buffers.buffer("dx", (n, height, width, channels), dy.dtype)
    if mode == "constant":
        dx[...] = dy[:, top : top + height, left : left + width]
        return dx
    tall = buffers.scratch("tall", (n, height, dy.shape[2], channels), dy.dtype)
    tall[...] = dy[:, top : top + height]
    for target, source in _copies(height, top, bottom, mode):
        tall[:, source - top] += dy[:, target]
    dx[...] = tall[:, :, left : left + width]
    for target, source in _copies(width, left, right, mode):
        dx[:, :, source - left] += tall[:, :, target]
    return dx


def sources(size: int, sides: Pair, mode: Mode) -> Array:
    """Return which pixel of a line of `size` each of the padded line holds; -1 for none."""
    pixels = np.arange(size)
    if mode == "constant":
        return np.pad(pixels, sides, constant_values=-1)
    return np.pad(pixels, sides, "edge" if mode == "replicate" else mode)


def _copies(size: int, before: int, after: int, mode: Mode) -> list[tuple[int, int]]:
    """Pair each padded line with the line it copies, both counted from the padded edge."""
    held = before + sources(size, (before, after), mode)
    return [(at, int(held[at])) for at in (*range(before), *range(before + size, len(held)))]
