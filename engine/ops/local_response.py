"""Local response normalisation: a pixel's channels hold each other down.

y[c] = x[c] / d[c]^beta, d[c] = k + alpha * sum of x[j]^2 over the n channels around c
Krizhevsky, Sutskever & Hinton 2012, section 3.3. PyTorch's alpha is n times this one.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.workspace import FRESH, Buffers


def local_response(
    x: Array, size: int, k: float, alpha: float, beta: float, buffers: Buffers = FRESH
) -> tuple[Array, Array]:
    """Return y and d, both of the shape of `x` (..., C); of an even number of channels one more lies before c."""
    squares = buffers.scratch("squares", x.shape, x.dtype)
    np.square(x, out=squares)
    damping = buffers.buffer("damping", x.shape, x.dtype)
    _sums(squares, size // 2, (size - 1) // 2, damping)
    damping *= alpha
    damping += k
    y = buffers.buffer("y", x.shape, x.dtype)
    np.power(damping, -beta, out=y)
    y *= x
    return y, damping


def local_response_backward(
    x: Array,
    y: Array,
    damping: Array,
    dy: Array,
    size: int,
    alpha: float,
    beta: float,
    buffers: Buffers = FRESH,
) -> Array:
    """Return dx = dy / d^beta - 2 * alpha * beta * x * (sum of dy * y / d over the channels that x[c] damps)."""
    share = buffers.scratch("share", x.shape, x.dtype)
    np.multiply(dy, y, out=share)
    share /= damping
    dx = buffers.buffer("dx", x.shape, x.dtype)
    _sums(share, (size - 1) // 2, size // 2, dx)
    dx *= x
    dx *= -2 * alpha * beta
    np.power(damping, -beta, out=share)
    share *= dy
    dx += share
    return dx


def _sums(x: Array, before: int, after: int, out: Array) -> None:
    """Write to `out` the sum of each channel of `x` (..., C) and its neighbours, as far as there are any."""
    channels = x.shape[-1]
    np.copyto(out, x)
    for distance in range(1, min(before, channels - 1) + 1):
        out[..., distance:] += x[..., :-distance]
    for distance in range(1, min(after, channels - 1) + 1):
        out[..., :-distance] += x[..., distance:]
