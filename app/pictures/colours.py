"""Numbers as colours: grey from least to greatest, or blue for negative and red for positive ones around white."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]

_TINY = float(np.finfo(np.float32).tiny)
_RED, _BLUE = (178, 24, 43), (33, 102, 172)


def grey(numbers: Numbers, low: Numbers | float, high: Numbers | float) -> Pixels:
    """Return numbers (...) as grey bytes (...): black for `low` and less, white for `high` and more; NaN is black.

    `low` and `high` are two numbers, or arrays of them that are broadcast.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        factor = np.where(np.greater(high, low), 255 / np.maximum(np.subtract(high, low), _TINY), 0)
        share = (numbers - np.asarray(low, np.float32)) * factor.astype(np.float32)
        found: Pixels = np.nan_to_num(np.minimum(np.maximum(share, 0), 255)).astype(np.uint8)
    return found


def signed(numbers: Numbers, most: Numbers | float) -> Pixels:
    """Return numbers (...) as colours (..., 3): blue for `-most`, white for 0 and NaN, red for `most`.

    `most` is a number, or an array of them that is broadcast.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        share = numbers * (127 / np.maximum(most, _TINY)).astype(np.float32)
        steps = np.nan_to_num(np.minimum(np.maximum(share, -127), 127)) + 127.5
    found: Pixels = _signed_palette()[steps.astype(np.uint8)]
    return found


def _signed_palette() -> Pixels:
    """Return the 255 colours from blue over white to red, (255, 3)."""
    share = (np.arange(255)[:, np.newaxis] - 127) / 127  # (255, 1)
    ends = np.where(share > 0, _RED, _BLUE)  # (255, 3)
    palette: Pixels = np.rint(255 - np.abs(share) * (255 - ends)).astype(np.uint8)
    return palette


def span(numbers: Numbers) -> tuple[float, float]:
    """Return the least and the greatest of the numbers that are finite, 0 and 0 if there are none."""
    finite = numbers[np.isfinite(numbers)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def coloured(numbers: Numbers, low: float, high: float) -> Pixels:
    """Return numbers (H, W) as pixels (H, W, 3): signed colours where `low` is negative, else grey."""
    if low < 0:
        return signed(numbers, max(-low, high))
    return np.repeat(grey(numbers, low, high)[..., np.newaxis], 3, axis=-1)
