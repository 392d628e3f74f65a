"""Padding as an operation of its own: zeros, the map mirrored at its edge, or its edge repeated."""

from __future__ import annotations

from typing import Literal

from engine.arrays import Array
from engine.ops.windows import Pair
from engine.workspace import FRESH, Buffers

Mode = Literal["zero", "reflect", "replicate"]
Sides = tuple[Pair, Pair]
"""((top, bottom), (left, right))"""


def pad(x: Array, sides: Sides, mode: Mode, buffers: Buffers = FRESH) -> Array:
    """Surround each map of a batch.

    Args:
        x: maps (N, H, W, C).
        sides: pixels to add.
        mode: `zero`; `reflect`, mirrored at the outermost pixel, which is not repeated; `replicate`, the
            outermost pixel repeated.
        buffers: where results live.

    Returns:
        The maps (N, top + H + bottom, left + W + right, C).
    """
    n, height, width, channels = x.shape
    (top, bottom), (left, right) = sides
    y = buffers.buffer("y", (n, top + height + bottom, left + width + right, channels), x.dtype)
    if mode == "zero":
        y[...] = 0
    inside = y[:, top : top + height, left : left + width]
    inside[...] = x
    if mode != "zero":
        middle = y[:, top : top + height]
        for target, source in _sources(width, left, right, mode):
            middle[:, :, target] = middle[:, :, source]
        for target, source in _sources(height, top, bottom, mode):
            y[:, target] = y[:, source]
    return y


def pad_backward(dy: Array, sides: Sides, mode: Mode, buffers: Buffers = FRESH) -> Array:
    """Pass gradients through `pad`: each pixel gets its own and those of its copies, (N, H, W, C)."""
    n, height, width, channels = dy.shape
    (top, bottom), (left, right) = sides
    height, width = height - top - bottom, width - left - right
    dx = buffers.buffer("dx", (n, height, width, channels), dy.dtype)
    if mode == "zero":
        dx[...] = dy[:, top : top + height, left : left + width]
        return dx
    tall = buffers.scratch("tall", (n, height, dy.shape[2], channels), dy.dtype)
    tall[...] = dy[:, top : top + height]
    for target, source in _sources(height, top, bottom, mode):
        tall[:, source - top] += dy[:, target]
    dx[...] = tall[:, :, left : left + width]
    for target, source in _sources(width, left, right, mode):
        dx[:, :, source - left] += tall[:, :, target]
    return dx


def _sources(size: int, before: int, after: int, mode: Mode) -> list[tuple[int, int]]:
    """Pair each padded line with the line it copies, both counted from the padded edge."""
    step = 1 if mode == "reflect" else 0
    last = before + size - 1
    ahead = [(before - distance, before + step * distance) for distance in range(1, before + 1)]
    behind = [(last + distance, last - step * distance) for distance in range(1, after + 1)]
    return ahead + behind
