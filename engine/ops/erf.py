"""The error function, which NumPy lacks and the exact GELU needs.

erf(x) = 2 / sqrt(pi) * integral from 0 to x of exp(-t^2) dt
Cody 1969, "Rational Chebyshev approximation for the error function", as in his Fortran program CALERF:
a quotient of polynomials in each of three ranges of |x|. In float64 it is within two units in the last
place of the true value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.arrays import Array
from engine.workspace import FRESH, Buffers

_TILE = 1 << 14  # numbers worked on at a time: the many intermediate results stay in the cache

_SMALL, _LARGE = 0.46875, 4.0  # where one approximation ends and the next begins

# Coefficients of rising powers: of x^2 up to _SMALL, of |x| up to _LARGE, of 1 / x^2 beyond.
_SMALL_TOP = (
    3.20937758913846947e03,
    3.77485237685302021e02,
    1.13864154151050156e02,
    3.16112374387056560e00,
    1.85777706184603153e-1,
)
_SMALL_BOTTOM = (
    2.84423683343917062e03,
    1.28261652607737228e03,
    2.44024637934444173e02,
    2.36012909523441209e01,
    1.0,
)
_MIDDLE_TOP = (
    1.23033935479799725e03,
    2.05107837782607147e03,
    1.71204761263407058e03,
    8.81952221241769090e02,
    2.98635138197400131e02,
    6.61191906371416295e01,
    8.88314979438837594e00,
    5.64188496988670089e-1,
    2.15311535474403846e-8,
)
_MIDDLE_BOTTOM = (
    1.23033935480374942e03,
    3.43936767414372164e03,
    4.36261909014324716e03,
    3.29079923573345963e03,
    1.62138957456669019e03,
    5.37181101862009858e02,
    1.17693950891312499e02,
    1.57449261107098347e01,
    1.0,
)
_LARGE_TOP = (
    6.58749161529837803e-4,
    1.60837851487422766e-2,
    1.25781726111229246e-1,
    3.60344899949804439e-1,
    3.05326634961232344e-1,
    1.63153871373020978e-2,
)
_LARGE_BOTTOM = (
    2.33520497626869185e-3,
    6.05183413124413191e-2,
    5.27905102951428412e-1,
    1.87295284992346725e00,
    2.56852019228982242e00,
    1.0,
)


def erf(x: Array, buffers: Buffers = FRESH) -> Array:
    """Return the error function of every number of `x`, of any shape."""
    y = buffers.buffer("erf", x.shape, x.dtype)
    flat, out = x.reshape(-1), y.reshape(-1)
    for start in range(0, flat.size, _TILE):
        out[start : start + _TILE] = _erf(flat[start : start + _TILE])
    return y


def erf_backward(x: Array, dy: Array, buffers: Buffers = FRESH) -> Array:
    """Return dy * 2 / sqrt(pi) * exp(-x^2), from the input `x` of erf."""
    dx = buffers.buffer("dx", dy.shape, dy.dtype)
    np.square(x, out=dx)
    np.negative(dx, out=dx)
    np.exp(dx, out=dx)
    dx *= 2 / math.sqrt(math.pi)
    dx *= dy
    return dx


def _erf(x: Array) -> Array:
    size = np.abs(x)
    y = np.sign(x)  # what is left beyond the ranges: NaN stays NaN
    small = size <= _SMALL
    near = x[small]
    square = near * near
    y[small] = near * _polynomial(_SMALL_TOP, square) / _polynomial(_SMALL_BOTTOM, square)
    middle = (size > _SMALL) & (size <= _LARGE)
    far = size[middle]
    rest = np.exp(-far * far) * _polynomial(_MIDDLE_TOP, far) / _polynomial(_MIDDLE_BOTTOM, far)
    y[middle] *= 1 - rest
    large = (size > _LARGE) & (size < 6)  # from 6 on, erf is 1 in float64
    far = size[large]
    inverse = 1 / (far * far)
    series = inverse * _polynomial(_LARGE_TOP, inverse) / _polynomial(_LARGE_BOTTOM, inverse)
    y[large] *= 1 - np.exp(-far * far) * (1 / math.sqrt(math.pi) - series) / far
    return y


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total *= x
        total += coefficient
    return total
