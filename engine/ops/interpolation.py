"""What each pixel of a line is made of when the line is brought to another length.

Where a new pixel lies among the old ones, and which of them it takes by what weights, is as in the operator Resize of
ONNX, https://onnx.ai/onnx/operators/onnx__Resize.html. Cubic convolution: Keys 1981, "Cubic convolution interpolation
for digital image processing", equation 4.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from engine.arrays import Array

Mode = Literal["nearest", "bilinear", "bicubic"]
Coordinates = Literal[
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
]
Rounding = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


class Method(NamedTuple):
    """How a line is brought to another length."""

    mode: Mode = "bilinear"
    coordinates: Coordinates = "half_pixel"
    rounding: Rounding = "round_prefer_floor"
    cubic_coefficient: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False


class Taps(NamedTuple):
    """What new pixels are made of."""

    indices: Array
    """(count, K): which old pixels; a pixel outside is the outermost one."""
    weights: Array
    """(count, K), float64: the share of each; those of a new pixel sum to 1."""

    def matrix(self, size: int) -> Array:
        """Return the matrix (count, size) that makes the new line of the old one, float64."""
        matrix = np.zeros((len(self.indices), size))
        np.add.at(matrix, (np.arange(len(matrix))[:, None], self.indices), self.weights)
        return matrix


def scaled(size: int, factor: float | np.floating) -> int:
    """Return the length of a line times a factor, rounded down; 0.7 times 10 is 7, as in float32."""
    return size * factor if isinstance(factor, int) else int(np.float32(size) * np.float32(factor))


def exact_factor(size: int, count: int, factor: float) -> float:
    """Return a factor of float32 near `factor` that leads to `count`, whatever precision it is multiplied in."""
    near = np.float32(factor)
    return float(near if int(float(near) * size) == count else np.nextafter(near, np.float32(np.inf)))


def taps(size: int, count: int, scale: float, method: Method) -> Taps:
    """Return what the `count` pixels of a new line are made of.

    Args:
        size: of the old line.
        count: of the new line.
        scale: how many new pixels an old one is; near count / size.
        method: how.
    """
    if method.mode == "nearest":
        # in float32, so that what lies between two pixels goes to the same one as elsewhere
        places = centres(size, count, scale, method.coordinates, np.float32)
        return _nearest(places.astype(np.float64), size, method.rounding)
    radius, shrunk = _radius(scale, method)
    reach = math.ceil(radius)
    places = centres(size, count, scale, method.coordinates, np.float64)
    indices = np.floor(places).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    apart = np.abs(indices - places[:, None]) * shrunk
    weights = (
        np.maximum(1 - apart, 0) if method.mode == "bilinear" else _cubic(apart, method.cubic_coefficient)
    )
    if method.exclude_outside:
        weights[(indices < 0) | (indices >= size)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return Taps(np.clip(indices, 0, size - 1), weights)


def window(scale: float, method: Method) -> int:
    """Return how many neighbouring old pixels a new one depends on at most."""
    if method.mode == "nearest" or scale == 1:
        return 1
    return math.ceil(2 * _radius(scale, method)[0])


def _radius(scale: float, method: Method) -> tuple[float, float]:
    """Return how far old pixels count, and what a distance to them is multiplied by."""
    shrunk = min(scale, 1.0) if method.antialias else 1.0
    return (1 if method.mode == "bilinear" else 2) / shrunk, shrunk


def centres(size: int, count: int, scale: float, coordinates: Coordinates, dtype: DTypeLike) -> Array:
    """Return where among the old pixels each new one lies, (count,); an old one lies at its index."""
    at: Array = np.arange(count, dtype=dtype)
    step = at.dtype.type(scale)
    places: Array
    if coordinates == "align_corners":
        places = at * (size - 1) / max(count - 1, 1)
    elif coordinates == "asymmetric":
        places = at / step
    elif coordinates == "tf_half_pixel_for_nn":
        places = (at + 0.5) / step
    else:
        places = (at + 0.5) / step - 0.5
    if coordinates == "half_pixel_symmetric":
        # the middle of the new line on that of the old one, though a fraction of a pixel was cut off
        places += (1 - count / (step * size)) * size / 2
    if coordinates == "pytorch_half_pixel" and count == 1:
        places[0] = 0
    return places


def _nearest(places: Array, size: int, rounding: Rounding) -> Taps:
    if rounding == "round_prefer_floor":
        near = np.ceil(places - 0.5)
    elif rounding == "round_prefer_ceil":
        near = np.floor(places + 0.5)
    else:
        near = np.floor(places) if rounding == "floor" else np.ceil(places)
    indices = np.clip(near.astype(np.int64), 0, size - 1)[:, None]
    return Taps(indices, np.ones(indices.shape))


def _cubic(apart: Array, a: float) -> Array:
    """Return the weight of pixels at a distance (>= 0): Keys 1981, equation 4, whose a is -1/2."""
    near = ((a + 2) * apart - (a + 3)) * apart**2 + 1
    far = ((a * apart - 5 * a) * apart + 8 * a) * apart - 4 * a
    return np.where(apart <= 1, near, np.where(apart < 2, far, 0.0))
