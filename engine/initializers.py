"""How weights start: "injecting noise into the model", as the article has it, of the right size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from engine.arrays import Array, Shape
from engine.errors import EngineError

Initializer = Literal["he_normal", "zeros", "ones", "dirac"]


def initialize(
    kind: Initializer, shape: Shape, generator: np.random.Generator, dtype: type[np.floating] = np.float32
) -> Array:
    """Return the first values of a weight of this shape.

    Convolution weights are (KH, KW, I, O) and dense weights (I, O): all axes but the last feed one
    output, and their product is the fan-in.
    """
    weights: Array = _RULES[kind](shape, generator).astype(dtype)
    return weights


def _he_normal(shape: Shape, generator: np.random.Generator) -> Array:
    """Normal with variance 2 / fan-in. He et al. 2015, "Delving deep into rectifiers", section 2.2."""
    fan_in = int(np.prod(shape[:-1]))
    weights: Array = generator.standard_normal(shape) * np.sqrt(2.0 / fan_in)
    return weights


def _zeros(shape: Shape, generator: np.random.Generator) -> Array:
    return np.zeros(shape)


def _ones(shape: Shape, generator: np.random.Generator) -> Array:
    return np.ones(shape)


def _dirac(shape: Shape, generator: np.random.Generator) -> Array:
    """Pass input channel c on to output channel c, and nothing to outputs beyond the inputs."""
    if len(shape) != 4:
        raise EngineError("dirac is for convolution weights, which have four axes")
    weight = np.zeros(shape)
    channels = np.arange(min(shape[2:]))
    weight[shape[0] // 2, shape[1] // 2, channels, channels] = 1
    return weight


_RULES: dict[Initializer, Callable[[Shape, np.random.Generator], Array]] = {
    "he_normal": _he_normal,
    "zeros": _zeros,
    "ones": _ones,
    "dirac": _dirac,
}
