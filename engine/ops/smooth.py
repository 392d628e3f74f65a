"""Activation functions without a kink, of any shape: sigmoid, tanh and what is made of them.

A forward returns what its backward takes beside the gradient; nothing overflows, however large the input.
"""

from __future__ import annotations

import math

import numpy as np

from engine.arrays import Array
from engine.ops.erf import erf
from engine.workspace import FRESH, Buffers

_GELU_INNER = math.sqrt(2 / math.pi)
_GELU_CUBE = 0.044715
"""Hendrycks & Gimpel 2016, section 2."""


def sigmoid(x: Array, buffers: Buffers = FRESH) -> Array:
    """Return 1 / (1 + exp(-x)), written with exp(-|x|), which cannot overflow."""
    y = buffers.buffer("y", x.shape, x.dtype)
    return _sigmoid(x, y, buffers)


def sigmoid_backward(y: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy * y * (1 - y), from the output `y` of sigmoid."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.subtract(1, y, out=dx)
    dx *= y
    dx *= dy
    return dx


def tanh(x: Array, buffers: Buffers = FRESH) -> Array:
    """Return (exp(x) - exp(-x)) / (exp(x) + exp(-x))."""
    y = buffers.buffer("y", x.shape, x.dtype)
    return np.tanh(x, out=y)


def tanh_backward(y: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy * (1 - y^2), from the output `y` of tanh."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.square(y, out=dx)
    np.subtract(1, dx, out=dx)
    dx *= dy
    return dx


def softplus(x: Array, buffers: Buffers = FRESH) -> Array:
    """Return log(1 + exp(x)), as max(x, 0) + log(1 + exp(-|x|)). Dugas et al. 2001, equation 7."""
    y = buffers.buffer("y", x.shape, x.dtype)
    np.abs(x, out=y)
    np.negative(y, out=y)
    np.exp(y, out=y)
    np.log1p(y, out=y)
    positive = buffers.scratch("positive part", x.shape, x.dtype)
    y += np.maximum(x, 0, out=positive)
    return y


def softplus_backward(x: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy * sigmoid(x), from the input `x` of softplus."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    _sigmoid(x, dx, buffers)
    dx *= dy
    return dx


def silu(x: Array, buffers: Buffers = FRESH) -> tuple[Array, Array]:
    """Return x * sigmoid(x), and sigmoid(x). Elfwing, Uchibe & Doya 2017; as "swish" Ramachandran et al. 2017."""
    gate = buffers.buffer("gate", x.shape, x.dtype)
    _sigmoid(x, gate, buffers)
    y = buffers.buffer("y", x.shape, x.dtype)
    return np.multiply(x, gate, out=y), gate


def silu_backward(x: Array, gate: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy * s * (1 + x * (1 - s)), where `gate` is s = sigmoid(x)."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.subtract(1, gate, out=dx)
    dx *= x
    dx += 1
    dx *= gate
    dx *= dy
    return dx


def gelu(x: Array, buffers: Buffers = FRESH) -> tuple[Array, Array]:
    """Return x * Phi(x), and Phi(x), the normal distribution's share below x: (1 + erf(x / sqrt(2))) / 2.

    Hendrycks & Gimpel 2016, "Gaussian error linear units", section 2.
    """
    scaled = buffers.scratch("scaled", x.shape, x.dtype)
    np.multiply(x, math.sqrt(0.5), out=scaled)
    below = erf(scaled, buffers)
    below += 1
    below *= 0.5
    y = buffers.buffer("y", x.shape, x.dtype)
    return np.multiply(x, below, out=y), below


def gelu_backward(x: Array, below: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy * (Phi(x) + x * phi(x)), phi the normal density, where `below` is Phi(x)."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.square(x, out=dx)
    dx *= -0.5
    np.exp(dx, out=dx)
    dx *= 1 / math.sqrt(2 * math.pi)
    dx *= x
    dx += below
    dx *= dy
    return dx


def gelu_tanh(x: Array, buffers: Buffers = FRESH) -> tuple[Array, Array]:
    """Return x * (1 + t) / 2 with t = tanh(sqrt(2 / pi) * (x + 0.044715 x^3)), and t: GELU without erf."""
    bend = buffers.buffer("bend", x.shape, x.dtype)
    np.square(x, out=bend)
    bend *= _GELU_CUBE
    bend += 1
    bend *= x
    bend *= _GELU_INNER
    np.tanh(bend, out=bend)
    y = buffers.buffer("y", x.shape, x.dtype)
    np.add(bend, 1, out=y)
    y *= 0.5
    y *= x
    return y, bend


def gelu_tanh_backward(x: Array, bend: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy * ((1 + t) + x * (1 - t^2) * sqrt(2 / pi) * (1 + 3 * 0.044715 x^2)) / 2, where `bend` is t."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    slope = buffers.scratch("slope", x.shape, x.dtype)
    np.square(x, out=slope)
    slope *= 3 * _GELU_CUBE
    slope += 1
    slope *= _GELU_INNER
    np.square(bend, out=dx)
    np.subtract(1, dx, out=dx)
    dx *= slope
    dx *= x
    dx += bend
    dx += 1
    dx *= 0.5
    dx *= dy
    return dx


def _sigmoid(x: Array, out: Array, buffers: Buffers) -> Array:
    """Write sigmoid(x) to `out`: e / (1 + e) below 0 and 1 / (1 + e) above, e = exp(-|x|)."""
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    whole = buffers.scratch("whole", x.shape, x.dtype)
    np.add(out, 1, out=whole)
    positive = buffers.scratch("positive", x.shape, np.bool_)
    np.copyto(out, 1, where=np.greater_equal(x, 0, out=positive))
    return np.divide(out, whole, out=out)
