"""Names for the arrays that pass through the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""A float32 array (float64 when gradients are checked); images are (N, H, W, C)."""

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]

Shape = tuple[int, ...]
"""The shape of one image's map, (H, W, C), or of one vector, (C,): the batch axis is left out."""

Weights = Mapping[str, Array]


def elements(shape: Shape) -> int:
    """Return how many numbers an array of this shape holds."""
    product = 1
    for size in shape:
        product *= size
    return product
