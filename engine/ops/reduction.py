"""Sums over everything but the channels, and over everything."""

from __future__ import annotations

import math

import numpy as np

from engine.arrays import Array, Shape
from engine.workspace import FRESH, Buffers

_CHUNK = 1 << 15


def channel_sum(x: Array) -> Array:
    """Return the sum over all leading axes: (..., C) to (C,).

    First within each image, then over images: blocked summation keeps float32's rounding error at
    the square root of what one long running sum collects (Higham 1993, section 3).
    """
    each: Array = x.reshape(x.shape[0], -1, x.shape[-1]).sum(axis=1)  # (N, C)
    total: Array = each.sum(axis=0)
    return total


def sum_to(x: Array, shape: Shape) -> Array:
    """Return the sum over all for which numbers of `shape` were stretched over x (N, ..., C).

    The shape is (C,) or (1,), or that of one picture, (H, W, C) or (H, W, 1).
    """
    total: Array = channel_sum(x) if len(shape) == 1 else x.sum(axis=0)
    if shape[-1] != x.shape[-1]:
        total = total.sum(axis=-1, keepdims=True)
    return total


def length(x: Array, buffers: Buffers = FRESH) -> float:
    """Return the length of all numbers of x, of any shape, seen as one vector; summed in float64."""
    numbers = x.reshape(-1)
    wide = buffers.scratch("wide", (_CHUNK,), np.float64)
    total = 0.0
    for first in range(0, len(numbers), _CHUNK):
        piece = wide[: min(_CHUNK, len(numbers) - first)]
        np.copyto(piece, numbers[first : first + _CHUNK])
        total += float(piece @ piece)
    return math.sqrt(total)
