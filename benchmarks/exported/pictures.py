"""The pictures that exported networks are asked about, from a formula: nothing has to be kept to have them again."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array


def pictures(number: int, height: int, width: int, first: int = 0) -> Array:
    """Return float32 pictures (N, 3, H, W): waves that differ in direction and length by picture and channel."""
    n = np.arange(first, first + number).reshape(-1, 1, 1, 1)
    channel = np.arange(3).reshape(1, -1, 1, 1)
    row = np.arange(height).reshape(1, 1, -1, 1)
    column = np.arange(width).reshape(1, 1, 1, -1)
    across = np.sin(row * (0.11 + 0.13 * n) + channel)
    along = np.cos(column * (0.05 + 0.07 * channel) * (1 + n))
    return (across + along + np.sin(row * column * 0.01 * (1 + n))).astype(np.float32)
