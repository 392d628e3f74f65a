"""The way of one picture through a network, drawn: a row for each node, with a few of its maps in small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.pictures.colours import Numbers, Pixels, grey, signed, span
from app.pictures.drawing import Drawing, Raster, Shape, Text
from app.pictures.font import shortened
from app.pictures.font import width as width_of
from app.pictures.maps import FONT, MARGIN, brief, enlarged, heading, reduced
from app.text import percent

MAPS = 8
"""Channels of a node that its thumbnail shows."""

_SIDE = 32
_NUMBERS = 4096
"""Of a vector among small maps, before its neighbours are put together."""
_GAP = 2
_LONGEST = MAPS * (_SIDE + _GAP) - _GAP
_STRIP = 16
_ROW = 44
_NAME = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One node: its name, the words below it, its thumbnail, and the words beside that."""

    name: str
    kind: str
    thumbnail: Pixels
    figures: tuple[str, str]


def thumbnail(output: Numbers, *, picture: bool = False) -> Pixels:
    """Return what a node puts out in small: uint8, grey (H, W) or in signed colours (H, W, 3).

    Args:
        output: maps (H, W, C), of which the first `MAPS` channels are shown side by side, each on its own scale; or a
            vector (C,), which becomes a strip. Whatever is too large is reduced to means before it is coloured.
        picture: whether these are the channels of a picture: three of them become its colours.
    """
    if output.ndim == 1 or output.shape[:2] == (1, 1):
        return _strip(output.reshape(-1))
    maps = np.ascontiguousarray(output[..., :MAPS])
    longer = max(maps.shape[:2])
    small = reduced(maps, -(-longer // _SIDE)) if longer > _SIDE else maps
    if picture:
        low, high = span(small)
        return enlarged(grey(small if small.shape[2] == 3 else small[..., 0], low, high), _SIDE)
    tiles = _coloured(small.transpose(0, 2, 1), axis=(0, 2))  # (H, C, W) or (H, C, W, 3)
    times = max(1, _SIDE // max(small.shape[:2]))
    tiles = tiles.repeat(times, axis=0).repeat(times, axis=2)
    height, count, width, *colours = tiles.shape
    row = np.full((height, count, width + _GAP, *colours), 255, np.uint8)
    row[:, :, :width] = tiles
    return row.reshape(height, count * (width + _GAP), *colours)[:, :-_GAP]


@dataclass(frozen=True, slots=True)
class SmallMaps:
    """The first maps of a node as numbers of one byte."""

    bytes: NDArray[np.int8]
    """(channels, height, width); a vector is one map of one row."""
    most: NDArray[np.float32]
    """(channels,): the magnitude that 127 stands for in each."""


def small_maps(output: Numbers, count: int) -> SmallMaps:
    """Return the first maps of what a node puts out, each rounded to 127 steps of its largest magnitude on either side.

    Args:
        output: maps (H, W, C), of which those with more than `_SIDE` rows or columns are reduced to means as for a
            thumbnail; or a vector (C,), the whole of it up to `_NUMBERS` numbers.
        count: how many channels of maps.
    """
    if output.ndim == 1 or output.shape[:2] == (1, 1):
        maps = output.reshape(1, -1, 1)
        by = -(-maps.shape[1] // _NUMBERS)
    else:
        maps = np.ascontiguousarray(output[..., :count])
        by = -(-max(maps.shape[:2]) // _SIDE)
    small = reduced(maps, by) if by > 1 else maps
    finite = np.nan_to_num(small, posinf=0, neginf=0).transpose(2, 0, 1)
    most = np.abs(finite).max(axis=(1, 2))
    scale = np.where(most > 0, most, 1)[:, np.newaxis, np.newaxis]
    return SmallMaps(np.rint(finite / scale * 127).astype(np.int8), most.astype(np.float32))


def _strip(numbers: Numbers) -> Pixels:
    if len(numbers) > _LONGEST:
        numbers = reduced(numbers[np.newaxis, :, np.newaxis], -(-len(numbers) // _LONGEST))[0, :, 0]
    cells = _coloured(numbers, axis=(0,)).repeat(max(1, min(_STRIP, _LONGEST // len(numbers))), axis=0)
    return np.repeat(cells[np.newaxis], _STRIP, axis=0)


def _coloured(numbers: Numbers, axis: tuple[int, ...]) -> Pixels:
    """Return numbers as colours, on a scale of their own all along these axes: signed if one of all is negative."""
    finite = np.nan_to_num(numbers, posinf=0, neginf=0)
    low, high = finite.min(axis=axis, keepdims=True), finite.max(axis=axis, keepdims=True)
    return signed(numbers, np.maximum(-low, high)) if low.min() < 0 else grey(numbers, low, high)


def draw_account(title: str, rows: Sequence[Row]) -> Drawing:
    """Draw the way of one picture through a network, a row for each node."""
    names = [shortened(row.name, FONT, _NAME) for row in rows]
    kinds = [shortened(row.kind, FONT, _NAME) for row in rows]
    left = MARGIN + max(width_of(text, FONT) for text in (*names, *kinds)) + 16
    right = left + _LONGEST + 16
    total = right + max(width_of(text, FONT) for row in rows for text in row.figures) + MARGIN
    notes = [
        f"the first {MAPS} channels of each node, each on its own scale; vectors as strips. Black is the least number, "
        "white the greatest; where a node has negative numbers, blue is negative, white 0, red positive"
    ]
    shapes, top, total = heading(title, notes, None, total)
    for number, (row, name, kind) in enumerate(zip(rows, names, kinds, strict=True)):
        y = top + number * _ROW
        tall, wide = row.thumbnail.shape[:2]
        shapes += _lines(MARGIN, y, (name, kind))
        shapes.append(Raster(left, y + (_ROW - 8 - tall) // 2, wide, tall, row.thumbnail))
        shapes += _lines(right, y, row.figures)
    return Drawing(title, total, top + len(rows) * _ROW + MARGIN, tuple(shapes), FONT)


def _lines(x: int, y: int, words: tuple[str, str]) -> list[Shape]:
    first, second = words
    return [Text(x, y + 14, first), Text(x, y + 30, second, colour="#777777")]


def figures(minimum: float, mean: float, maximum: float, zeros: float) -> tuple[str, str]:
    """Return in words how the numbers of a node are spread."""
    return f"{brief(minimum)} … {brief(maximum)}, mean {brief(mean)}", f"{percent(zeros)} zeros"
