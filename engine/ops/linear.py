"""The fully connected product: z = a W + b."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.workspace import FRESH, Buffers


def dense(x: Array, weight: Array, bias: Array | None, buffers: Buffers = FRESH) -> Array:
    """Return x W + b.

    Args:
        x: vectors (N, I).
        weight: (I, O).
        bias: (O,) or None.
        buffers: where results live.

    Returns:
        (N, O)
    """
    y = buffers.buffer("y", (x.shape[0], weight.shape[1]), x.dtype)
    np.matmul(x, weight, out=y)
    if bias is not None:
        y += bias
    return y


def dense_backward(
    x: Array,
    weight: Array,
    dy: Array,
    *,
    with_weight: bool,
    with_bias: bool,
    with_input: bool,
    buffers: Buffers = FRESH,
) -> tuple[Array | None, Array | None, Array | None]:
    """Return dx = dy W^T (N, I), dW = x^T dy (I, O) and db = sum of dy (O,); None for what is not wanted."""
    dx = dweight = None
    if with_weight:
        dweight = buffers.buffer("dweight", weight.shape, dy.dtype)
        np.matmul(x.T, dy, out=dweight)
    if with_input:
        dx = buffers.buffer("dx", x.shape, dy.dtype)
        np.matmul(dy, weight.T, out=dx)
    return dx, dweight, dy.sum(axis=0) if with_bias else None
