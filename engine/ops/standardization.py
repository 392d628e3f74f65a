"""Numbers of one picture brought to mean 0 and variance 1: what layer, group and instance normalisation share.

normalized = (x - mean) / sqrt(variance + epsilon), mean and variance over some axes of each picture
Ba, Kiros & Hinton 2016, "Layer normalization", section 3; Wu & He 2018, "Group normalization", section 3.1.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.workspace import FRESH, Buffers

Axes = tuple[int, ...]


def standardize(x: Array, axes: Axes, epsilon: float, buffers: Buffers = FRESH) -> tuple[Array, Array]:
    """Bring `x` to mean 0 and variance 1 over `axes`.

    The variance is taken in a second pass over centred values: exact even where the mean is large.

    Args:
        x: numbers of any shape.
        axes: what mean and variance are taken over.
        epsilon: added to the variance.
        buffers: where results live.

    Returns:
        The normalised x, and 1 / sqrt(variance + epsilon), of length 1 in `axes`.
    """
    normalized = buffers.buffer("normalized", x.shape, x.dtype)
    np.subtract(x, x.mean(axis=axes, keepdims=True), out=normalized)
    squares = buffers.scratch("squares", x.shape, x.dtype)
    np.square(normalized, out=squares)
    inverse: Array = 1 / np.sqrt(squares.mean(axis=axes, keepdims=True) + x.dtype.type(epsilon))
    normalized *= inverse
    return normalized, inverse


def standardize_backward(
    normalized: Array, inverse: Array, dnormalized: Array, axes: Axes, buffers: Buffers = FRESH
) -> Array:
    """Pass gradients through `standardize`, through mean and variance too.

    dx = inverse * (d - mean(d) - normalized * mean(d * normalized)), d the gradient of the normalised x
    """
    dx = buffers.buffer("dx", dnormalized.shape, dnormalized.dtype)
    np.multiply(dnormalized, normalized, out=dx)
    slant = dx.mean(axis=axes, keepdims=True)
    np.multiply(normalized, -slant, out=dx)
    dx += dnormalized
    dx -= dnormalized.mean(axis=axes, keepdims=True)
    dx *= inverse
    return dx
