"""Arrays for networks of other libraries, drawn by name and shape: the same wherever they are drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.arrays import Array

SEED = 14


def draw(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Return float32 arrays such that a network keeps its numbers around 1; counters of batches are 0."""
    arrays: dict[str, Array] = {}
    for name, shape in shapes.items():
        generator = np.random.default_rng([SEED, *name.encode()])
        if not shape:
            arrays[name] = np.zeros((), np.int64)
        elif name.endswith("running_var"):
            arrays[name] = generator.random(shape, np.float32) + np.float32(0.5)
        elif len(shape) > 1:
            scale = np.sqrt(2 / np.prod(shape[1:]))
            arrays[name] = generator.standard_normal(shape, np.float32) * np.float32(scale)
        else:
            # scales of normalisation are around 1; biases are small
            one = name.endswith("weight")
            arrays[name] = generator.standard_normal(shape, np.float32) * np.float32(0.1) + np.float32(one)
    return arrays


def picture(shape: tuple[int, int, int]) -> Array:
    """Return a picture (1, H, W, C) of normal numbers."""
    return np.random.default_rng(SEED).standard_normal((1, *shape)).astype(np.float32)
