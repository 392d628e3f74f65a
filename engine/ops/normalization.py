"""Batch normalisation: each channel brought to mean 0 and variance 1, then scaled and shifted.

y = scale * (x - mean) / sqrt(variance + epsilon) + shift
Ioffe & Szegedy 2015, "Batch normalization", algorithm 1; gradients from section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from engine.arrays import Array
from engine.ops.reduction import channel_sum
from engine.workspace import FRESH, Buffers

Reduce = Callable[[Array], Array]
"""Sums an array over all the shares of a batch; the identity when there is one share."""


class Statistics(NamedTuple):
    """What a batch said about its channels."""

    mean: Array
    """(C,)"""
    variance: Array
    """(C,), biased: the mean of the squared distances"""
    values: int
    """values per channel, over all shares"""


def batch_norm(
    x: Array, scale: Array, shift: Array, epsilon: float, reduce: Reduce, buffers: Buffers = FRESH
) -> tuple[Array, Array, Array, Statistics]:
    """Normalise by the statistics of the batch itself, as in training.

    The variance is taken in a second pass over centred values: exact even where the mean is large.

    Args:
        x: (..., C), any number of leading axes.
        scale: (C,).
        shift: (C,).
        epsilon: added to the variance.
        reduce: sums over the shares of the batch.
        buffers: where results live.

    Returns:
        y (..., C); the normalised x (..., C) and 1 / sqrt(variance + epsilon) (C,), both of which
        `batch_norm_backward` takes; and the statistics.
    """
    local = np.append(channel_sum(x), x.dtype.type(x.size // x.shape[-1]))
    total = reduce(local)  # (C + 1,): sums of each channel, then how many values each has
    count = int(total[-1])
    mean = total[:-1] / total[-1]
    normalized = buffers.buffer("normalized", x.shape, x.dtype)
    np.subtract(x, mean, out=normalized)
    y = buffers.buffer("y", x.shape, x.dtype)
    np.square(normalized, out=y)
    variance = reduce(channel_sum(y)) / total[-1]
    inverse = 1 / np.sqrt(variance + x.dtype.type(epsilon))
    normalized *= inverse
    np.multiply(normalized, scale, out=y)
    y += shift
    return y, normalized, inverse, Statistics(mean, variance, count)


def batch_norm_backward(
    normalized: Array,
    inverse: Array,
    scale: Array,
    dy: Array,
    count: int,
    reduce: Reduce,
    buffers: Buffers = FRESH,
) -> tuple[Array, Array, Array]:
    """Pass gradients through `batch_norm`, through its statistics too.

    dx = scale * inverse * (dy - mean(dy) - normalized * mean(dy * normalized))

    Args:
        normalized: (..., C), from `batch_norm`.
        inverse: (C,), from `batch_norm`.
        scale: (C,).
        dy: gradient of the result (..., C).
        count: values per channel over all shares.
        reduce: sums over the shares of the batch.
        buffers: where results live.

    Returns:
        dx (..., C), and this share's dscale (C,) and dshift (C,).
    """
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.multiply(dy, normalized, out=dx)
    dscale, dshift = channel_sum(dx), channel_sum(dy)
    whole = reduce(np.concatenate([dshift, dscale])) / dy.dtype.type(count)
    mean_dy, mean_dy_normalized = np.split(whole, 2)
    np.multiply(normalized, -mean_dy_normalized, out=dx)
    dx += dy
    dx -= mean_dy
    dx *= scale * inverse
    return dx, dscale, dshift


def normalize(
    x: Array,
    mean: Array,
    variance: Array,
    scale: Array,
    shift: Array,
    epsilon: float,
    buffers: Buffers = FRESH,
) -> Array:
    """Normalise by statistics gathered before, as in inference: x (..., C), the rest (C,)."""
    factor = scale / np.sqrt(variance + x.dtype.type(epsilon))
    y = buffers.buffer("y", x.shape, x.dtype)
    np.multiply(x, factor, out=y)
    y += shift - mean * factor
    return y


def normalize_backward(
    x: Array,
    mean: Array,
    variance: Array,
    scale: Array,
    dy: Array,
    epsilon: float,
    *,
    with_weights: bool,
    buffers: Buffers = FRESH,
) -> tuple[Array, Array | None, Array | None]:
    """Pass gradients through `normalize`, whose statistics are constants: dx = scale * inverse * dy.

    Args:
        x: (..., C), the rest (C,), as in `normalize`.
        mean: gathered before.
        variance: gathered before.
        scale: as in `normalize`.
        dy: gradient of the result (..., C).
        epsilon: added to the variance.
        with_weights: whether the gradients of scale and shift are wanted.
        buffers: where results live.

    Returns:
        dx (..., C), dscale (C,) and dshift (C,); None for what is not wanted.
    """
    inverse = 1 / np.sqrt(variance + x.dtype.type(epsilon))
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    dscale = dshift = None
    if with_weights:
        np.subtract(x, mean, out=dx)
        dx *= dy
        dscale, dshift = channel_sum(dx) * inverse, channel_sum(dy)
    np.multiply(dy, scale * inverse, out=dx)
    return dx, dscale, dshift
