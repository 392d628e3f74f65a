"""Numbers of a map as the pixels of a picture, and what black and white then mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.pictures.colours import Numbers, Pixels, span

Range = Literal["auto", "clip", "signed", "stretch"]
"""How numbers become pixels: see `to_pixels`."""

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Toned:
    """A picture that was made of numbers.

    Attributes:
        pixels: uint8, of the shape of the numbers.
        range: how it was made.
        black: the number that became 0.
        white: the number that became 255.
    """

    pixels: Pixels
    range: Range
    black: float
    white: float


def to_pixels(numbers: Numbers, wanted: Range = "auto", *, edges: bool | None = None) -> Toned:
    """Return numbers (H, W, 1) or (H, W, 3) as pixels.

    Args:
        numbers: of any size; those that are not finite become black, or grey where 0 is grey.
        wanted: `clip` takes them as pixels, 0 to 255, and cuts off what is beyond; `signed` makes 0 grey, 128, and the
            largest magnitude black or white; `stretch` makes the least number black and the greatest white. `auto`
            chooses: `signed` for `edges`, and without them for what has negative numbers; else `clip`, but `stretch`
            where numbers go beyond 255 or none is above 1.
        edges: whether the numbers say how a picture changes, with 0 for nothing; None where nobody can say.
    """
    low, high = span(numbers)
    chosen = _choose(low, high, edges) if wanted == "auto" else wanted
    if chosen == "signed":
        most = max(-low, high, _TINY)
        return Toned(_scaled(numbers, 127 / most, 128), chosen, -most, most)
    if chosen == "stretch":
        return Toned(_scaled(numbers, 255 / max(high - low, _TINY), 0, low), chosen, low, high)
    return Toned(_scaled(numbers, 1, 0), chosen, 0, 255)


def _choose(low: float, high: float, edges: bool | None) -> Range:
    if edges or (edges is None and low < 0):
        return "signed"
    return "clip" if edges is False or 1 < high <= 255 else "stretch"


def _scaled(numbers: Numbers, factor: float, zero: float, low: float = 0) -> Pixels:
    """Return (numbers - low) * factor + zero as bytes, rounded; where that is not finite, `zero`."""
    # half a step for rounding, since bytes are cut off
    with np.errstate(invalid="ignore", over="ignore"):
        found = numbers - np.asarray(low, numbers.dtype)
        found *= np.asarray(factor, numbers.dtype)
        found += np.asarray(zero + 0.5, numbers.dtype)
        np.nan_to_num(found, copy=False, nan=zero, posinf=255, neginf=0)
        np.clip(found, 0, 255, out=found)
    pixels: Pixels = found.astype(np.uint8)
    return pixels
