"""What a score comes from, drawn over the picture as it was sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.pictures.decode import Whole
from app.pictures.drawing import Drawing, Raster, Shape, Text
from app.pictures.font import shortened

LONGEST = 960
"""Pixels of the longer side of a picture that is drawn; larger ones are reduced."""

_SMALLEST = 280
"""Smaller pictures are enlarged by a whole number, so that their pixels can be seen."""
_FONT = 14
_LINE = 20
_MARGIN = 10
_BAR = 12
_CLIPPED = 0.995
"""The share of the numbers that the colours reach: a few outliers would make all others pale."""

_HEAT = ((255, 237, 160), (254, 140, 40), (177, 0, 38))
_FOR, _AGAINST = (200, 16, 30), (20, 80, 190)


@dataclass(frozen=True, slots=True)
class Legend:
    """What is written below the picture.

    Attributes:
        title: the method.
        subject: what is explained.
        score: its score.
    """

    title: str
    subject: str
    score: float


def draw(whole: Whole, values: NDArray[np.float32], legend: Legend, *, signed: bool) -> bytes:
    """Draw a map over a picture and return the bytes of a PNG file.

    The picture is shown in grey and paler than it is, what the model does not see of it as it is. Signed maps are red
    for and blue against the score, others go from nothing over yellow to dark red.

    Args:
        whole: the picture.
        values: (H, W) of the picture as the model sees it.
        legend: what to write below.
        signed: whether negative values mean something.
    """
    height, width = whole.pixels.shape[:2]
    scale = max(1, _SMALLEST // max(height, width))
    reach = float(np.quantile(np.abs(values), _CLIPPED)) or float(np.abs(values).max()) or 1.0
    painted = _paint(whole, values / reach, signed)
    shown = (width * scale, height * scale)
    page = max(shown[0], _SMALLEST) + 2 * _MARGIN
    shapes: list[Shape] = [Raster((page - shown[0]) // 2, _MARGIN, *shown, painted)]
    y = _MARGIN + shown[1] + _LINE
    for line in (legend.title, legend.subject, f"score: {legend.score:.4g}"):
        shapes.append(Text(_MARGIN, y, shortened(line, _FONT, page - 2 * _MARGIN)))
        y += _LINE
    ends = (f"{-reach:.2g} against", "0", f"{reach:.2g} for") if signed else ("0", f"{reach:.2g}")
    shapes += _bar(y - _LINE // 2, page, ends, signed)
    drawing = Drawing(legend.title, page, y + _BAR + _LINE, tuple(shapes), font_size=_FONT)
    return drawing.png()


def _paint(whole: Whole, values: NDArray[np.float32], signed: bool) -> NDArray[np.uint8]:
    """Return the picture (H, W, 3) under the colours of a map whose numbers reach from -1 or 0 to 1."""
    picture = whole.pixels.astype(np.float32)
    left, top, right, bottom = (round(edge) for edge in whole.seen)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    box = whole.place
    part = Image.fromarray(np.ascontiguousarray(values[box[1] : box[3], box[0] : box[2]], np.float32))
    size = (right - left, bottom - top)
    fitted = np.asarray(part if part.size == size else part.resize(size, Image.Resampling.BILINEAR))
    seen = picture[top:bottom, left:right]
    grey = seen @ np.array([0.299, 0.587, 0.114], np.float32)
    pale = (0.65 * grey + 0.35 * 255)[:, :, np.newaxis]
    share, colour = _colours(fitted, signed)
    picture[top:bottom, left:right] = pale * (1 - share) + colour * share
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _colours(values: NDArray[np.float32], signed: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how much of a colour is laid over each pixel (H, W, 1), and which one (H, W, 3)."""
    strength = np.minimum(np.abs(values), 1)[:, :, np.newaxis]
    if signed:
        colour = np.where(values[:, :, np.newaxis] > 0, _FOR, _AGAINST)
    else:
        stops = np.linspace(0, 1, len(_HEAT))
        levels = np.transpose(_HEAT)
        colour = np.stack([np.interp(strength[:, :, 0], stops, level) for level in levels], axis=2)
    share = 0.9 * strength**0.7
    return share.astype(np.float32), colour.astype(np.float32)


def _bar(y: int, page: int, ends: tuple[str, ...], signed: bool) -> list[Shape]:
    """Return the scale: the colours on white, and the numbers below."""
    length = page - 2 * _MARGIN
    line = np.linspace(-1 if signed else 0, 1, length, dtype=np.float32)[np.newaxis]
    share, colour = _colours(line, signed)
    strip = np.rint(255 * (1 - share) + colour * share).astype(np.uint8)
    below = y + _BAR + _FONT
    shapes: list[Shape] = [Raster(_MARGIN, y, length, _BAR, strip), Text(_MARGIN, below, ends[0])]
    shapes.append(Text(page - _MARGIN, below, ends[-1], "end"))
    if len(ends) == 3:
        shapes.append(Text(page / 2, below, ends[1], "middle"))
    return shapes
