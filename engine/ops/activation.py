"""Activation functions that bend: the article's psi, piecewise linear or exponential, of any shape.

A backward takes the input `x` where the slope follows from it, the output `y` where that is enough.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.ops.reduction import sum_to
from engine.workspace import FRESH, Buffers

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
"""Klambauer et al. 2017, equation 14, in full precision."""


def relu(x: Array, buffers: Buffers = FRESH) -> Array:
    """Return max(x, 0). Nair & Hinton 2010; the slope at 0 is taken as 0."""
    y = buffers.buffer("y", x.shape, x.dtype)
    return np.maximum(x, 0, out=y)


def relu_backward(y: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy where the output `y` was positive, else 0."""
    positive = buffers.scratch("positive", y.shape, np.bool_)
    np.greater(y, 0, out=positive)
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    return np.multiply(dy, positive, out=dx)


def clip(x: Array, minimum: float | None, maximum: float | None, buffers: Buffers = FRESH) -> Array:
    """Return min(max(x, minimum), maximum); a bound that is None is left out."""
    y = buffers.buffer("y", x.shape, x.dtype)
    return np.clip(x, minimum, maximum, out=y)


def clip_backward(
    y: Array, minimum: float | None, maximum: float | None, dy: Array, buffers: Buffers = FRESH
) -> Array:
    """Return dy where the output `y` lay between the bounds, else 0; at a bound the slope is taken as 0."""
    inside = buffers.scratch("inside", y.shape, np.bool_)
    below = buffers.scratch("below", y.shape, np.bool_)
    np.greater(y, -np.inf if minimum is None else minimum, out=inside)
    np.less(y, np.inf if maximum is None else maximum, out=below)
    inside &= below
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    return np.multiply(dy, inside, out=dx)


def leaky_relu(x: Array, slope: Array | float, buffers: Buffers = FRESH) -> Array:
    """Return x where it is positive, else slope * x; the slope is a number, or numbers that are stretched over x.

    Maas, Hannun & Ng 2013, section 2; with a learned slope He et al. 2015, "Delving deep into rectifiers".
    """
    y = buffers.buffer("y", x.shape, x.dtype)
    np.multiply(x, slope, out=y)
    np.copyto(y, x, where=_positive(x, buffers))
    return y


def leaky_relu_backward(x: Array, slope: Array | float, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy where `x` was positive, else slope * dy."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.multiply(dy, slope, out=dx)
    np.copyto(dx, dy, where=_positive(x, buffers))
    return dx


def slope_gradient(x: Array, slope: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return the gradient of the slopes of `leaky_relu`, of their shape: the sum of dy * min(x, 0)."""
    share = buffers.scratch("share", x.shape, x.dtype)
    np.minimum(x, 0, out=share)
    share *= dy
    return sum_to(share, slope.shape)


def elu(x: Array, alpha: float, scale: float = 1.0, buffers: Buffers = FRESH) -> Array:
    """Return scale * x where x is positive, else scale * alpha * (exp(x) - 1).

    Clevert, Unterthiner & Hochreiter 2015, equation 15; SELU is this with SELU_ALPHA and SELU_SCALE.
    """
    y = buffers.buffer("y", x.shape, x.dtype)
    np.minimum(x, 0, out=y)
    np.expm1(y, out=y)
    y *= alpha
    np.copyto(y, x, where=_positive(x, buffers))
    if scale != 1:
        y *= scale
    return y


def elu_backward(x: Array, alpha: float, dy: Array, scale: float = 1.0, buffers: Buffers = FRESH) -> Array:
    """Return scale * dy where `x` was positive, else scale * alpha * exp(x) * dy."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.minimum(x, 0, out=dx)
    np.exp(dx, out=dx)
    dx *= alpha
    np.copyto(dx, 1, where=_positive(x, buffers))
    dx *= dy
    if scale != 1:
        dx *= scale
    return dx


def hard_sigmoid(x: Array, alpha: float, beta: float, buffers: Buffers = FRESH) -> Array:
    """Return min(max(alpha * x + beta, 0), 1). Courbariaux, Bengio & David 2015, "BinaryConnect", section 2.3."""
    y = buffers.buffer("y", x.shape, x.dtype)
    np.multiply(x, alpha, out=y)
    y += beta
    return np.clip(y, 0, 1, out=y)


def hard_sigmoid_backward(y: Array, alpha: float, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return alpha * dy where the output `y` lay between 0 and 1, else 0."""
    dx = clip_backward(y, 0, 1, dy, buffers)
    dx *= alpha
    return dx


def hard_swish(x: Array, buffers: Buffers = FRESH) -> Array:
    """Return x * relu6(x + 3) / 6. Howard et al. 2019, "Searching for MobileNetV3", section 5.2."""
    y = buffers.buffer("y", x.shape, x.dtype)
    np.add(x, 3, out=y)
    np.clip(y, 0, 6, out=y)
    y *= x
    y /= 6
    return y


def hard_swish_backward(x: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy * (x / 3 + 1/2) between -3 and 3, 0 below and dy above."""
    beyond = buffers.scratch("beyond", x.shape, np.bool_)
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.divide(x, 3, out=dx)
    dx += 0.5
    np.copyto(dx, 0, where=np.less_equal(x, -3, out=beyond))
    np.copyto(dx, 1, where=np.greater_equal(x, 3, out=beyond))
    dx *= dy
    return dx


def softmax(x: Array, buffers: Buffers = FRESH) -> Array:
    """Return exp(x_k) / sum_j exp(x_j) along the last axis.

    The largest x is subtracted first, which changes nothing but keeps exp finite.
    Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """
    y = buffers.buffer("y", x.shape, x.dtype)
    # not `x.max` and `y.sum`, which go the same way by functions in Python
    np.subtract(x, np.maximum.reduce(x, axis=-1, keepdims=True), out=y)
    np.exp(y, out=y)
    y /= np.add.reduce(y, axis=-1, keepdims=True)
    return y


def softmax_backward(y: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return y * (dy - sum_j dy_j y_j), from the output `y` of softmax."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.multiply(dy, y, out=dx)
    inner = dx.sum(axis=-1, keepdims=True)
    np.subtract(dy, inner, out=dx)
    dx *= y
    return dx


def log_softmax(x: Array, buffers: Buffers = FRESH) -> Array:
    """Return log(softmax(x)) along the last axis without ever taking the log of 0."""
    y = buffers.buffer("y", x.shape, x.dtype)
    np.subtract(x, x.max(axis=-1, keepdims=True), out=y)
    shares = buffers.scratch("shares", x.shape, x.dtype)
    y -= np.log(np.exp(y, out=shares).sum(axis=-1, keepdims=True))
    return y


def log_softmax_backward(y: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy - exp(y) * sum_j dy_j, from the output `y` of log_softmax."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.exp(y, out=dx)
    dx *= dy.sum(axis=-1, keepdims=True)
    return np.subtract(dy, dx, out=dx)


def _positive(x: Array, buffers: Buffers) -> Array:
    positive = buffers.scratch("positive", x.shape, np.bool_)
    return np.greater(x, 0, out=positive)
