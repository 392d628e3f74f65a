"""Activation functions, the article's psi."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.workspace import FRESH, Buffers


def relu(x: Array, buffers: Buffers = FRESH) -> Array:
    """Return max(x, 0), of any shape. Nair & Hinton 2010; the slope at 0 is taken as 0."""
    y = buffers.buffer("y", x.shape, x.dtype)
    return np.maximum(x, 0, out=y)


def relu_backward(y: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy where the output `y` was positive, else 0."""
    positive = buffers.scratch("positive", y.shape, np.bool_)
    np.greater(y, 0, out=positive)
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    return np.multiply(dy, positive, out=dx)


def softmax(x: Array, buffers: Buffers = FRESH) -> Array:
    """Return exp(x_k) / sum_j exp(x_j) along the last axis.

    The largest x is subtracted first, which changes nothing but keeps exp finite.
    Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """
    y = buffers.buffer("y", x.shape, x.dtype)
    np.subtract(x, x.max(axis=-1, keepdims=True), out=y)
    np.exp(y, out=y)
    y /= y.sum(axis=-1, keepdims=True)
    return y


def softmax_backward(y: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return y * (dy - sum_j dy_j y_j), from the output `y` of softmax."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.multiply(dy, y, out=dx)
    inner = dx.sum(axis=-1, keepdims=True)
    np.subtract(dy, inner, out=dx)
    dx *= y
    return dx


def log_softmax(x: Array) -> Array:
    """Return log(softmax(x)) along the last axis without ever taking the log of 0."""
    shifted: Array = x - x.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted
