"""The filters of a layer, drawn: in colours of the picture, in signed colours, or as a matrix."""

from __future__ import annotations

import numpy as np

from app.pictures.colours import Numbers, Pixels, signed, span
from app.pictures.drawing import Drawing, Shape, Text
from app.pictures.font import width
from app.pictures.maps import (
    FONT,
    MARGIN,
    MAX_TILES,
    Tile,
    brief,
    draw_tiles,
    enlarged,
    framed,
    heading,
    tile_side,
)

MAX_FILTERS, MAX_INPUTS = 64, 32
"""Rows and columns of a drawing of filters with many inputs."""
MAX_CELLS = 512
"""Rows and columns of a matrix that are drawn."""

_KERNELS = 760
"""Pixels that kernels side by side should take."""
_SMALLEST, _LARGEST = 27, 64
_GAP = 4
_MATRIX = 800
_LARGEST_CELL = 24


def draw_filters(title: str, bank: Numbers) -> Drawing:
    """Draw filters (height, width, in, out): a tile for each, or for each pair of a filter and an input.

    Filters of one input are drawn in signed colours, those of three in the colours of a picture. Of 1 x 1 filters, and
    of dense layers, all is one matrix. What is too much to look at is cut off, and the drawing says so.
    """
    height, breadth, inputs, _ = bank.shape
    if height == breadth == 1:
        return _matrix(title, bank[0, 0].T)
    if inputs in (1, 3):
        return _tiles(title, bank)
    return _pairs(title, bank)


def _tiles(title: str, bank: Numbers) -> Drawing:
    """Draw filters of one input, or of three as colours."""
    inputs, count = bank.shape[2:]
    shown = min(count, MAX_TILES)
    notes = [f"filters 0 to {shown - 1} of {count:,}"] if shown < count else []
    most = _most(bank)
    tiles = []
    for number in range(shown):
        kernel = bank[..., number]
        own = _most(kernel)
        pixels = signed(kernel[..., 0], most) if inputs == 1 else _colours(kernel, own)
        lines = (str(number), f"{brief(span(kernel)[0])} … {brief(span(kernel)[1])}")
        tiles.append(Tile(enlarged(pixels, min(96, tile_side(shown))), lines))
    if inputs == 3:
        notes.append(
            "the three inputs as red, green and blue: grey is 0, brighter positive, darker negative; each filter by "
            "its own largest number"
        )
    return draw_tiles(title, notes, tiles, (-most, most) if inputs == 1 else None)


def _colours(kernel: Numbers, most: float) -> Pixels:
    """Return a filter (H, W, 3) as the colours of a picture, in which 0 is grey."""
    share = np.nan_to_num(kernel / most) if most > 0 else np.zeros_like(kernel)
    colours: Pixels = np.rint(127.5 + 127.5 * np.clip(share, -1, 1)).astype(np.uint8)
    return colours


def _pairs(title: str, bank: Numbers) -> Drawing:
    """Draw a row for each filter, a column for each input."""
    inputs, count = bank.shape[2:]
    rows, columns = min(count, MAX_FILTERS), min(inputs, MAX_INPUTS)
    most = _most(bank)
    side = max(_SMALLEST, min(_LARGEST, _KERNELS // max(columns, rows // 2)))
    tiles = [
        [enlarged(signed(bank[:, :, column, row], most), side) for column in range(columns)]
        for row in range(rows)
    ]
    tall, wide = tiles[0][0].shape[:2]
    step = (tall + _GAP, max(wide, width("88", FONT)) + _GAP)
    left = MARGIN + width(str(rows - 1), FONT) + 8
    notes = ["a row for each filter, a column for each input channel"]
    if (rows, columns) != (count, inputs):
        notes.append(f"filters 0 to {rows - 1} of {count:,}, inputs 0 to {columns - 1} of {inputs:,}")
    shapes, top, total = heading(title, notes, (-most, most), left + columns * step[1] + MARGIN)
    top += FONT + 4
    for column in range(columns):
        shapes.append(_tick(left + column * step[1] + wide // 2, top - 4, column))
    for row, kernels in enumerate(tiles):
        y = top + row * step[0]
        shapes.append(Text(left - 8, y + tall // 2 + 4, str(row), "end", "#333333"))
        for column, pixels in enumerate(kernels):
            shapes += framed(left + column * step[1], y, wide, tall, pixels)
    return Drawing(title, total, top + rows * step[0] + MARGIN, tuple(shapes), FONT)


def _matrix(title: str, matrix: Numbers) -> Drawing:
    """Draw a matrix (out, in)."""
    shown = matrix[:MAX_CELLS, :MAX_CELLS]
    rows, columns = shown.shape
    most = _most(shown)
    cell = max(1, min(_LARGEST_CELL, _MATRIX // max(rows, columns)))
    left = MARGIN + width(str(rows - 1), FONT) + 8
    notes = ["a row for each output, a column for each input"]
    if shown.size < matrix.size:
        notes.append(
            f"outputs 0 to {rows - 1} of {matrix.shape[0]:,}, inputs 0 to {columns - 1} of {matrix.shape[1]:,}"
        )
    shapes, top, total = heading(title, notes, (-most, most), left + columns * cell + MARGIN)
    top += FONT + 4
    shapes += framed(left, top, columns * cell, rows * cell, signed(shown, most))
    shapes += [_tick(left + place * cell + cell // 2, top - 4, place) for place in _ticks(columns, cell, 30)]
    shapes += [
        Text(left - 8, top + place * cell + cell // 2 + 4, str(place), "end", "#333333")
        for place in _ticks(rows, cell, FONT + 3)
    ]
    return Drawing(title, total, top + rows * cell + MARGIN, tuple(shapes), FONT)


def _ticks(count: int, cell: int, apart: int) -> range:
    """Return which cells get their number beside them, so that the numbers do not touch."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if step * cell >= apart)
    return range(0, count, step)


def _tick(x: float, y: float, number: int) -> Shape:
    return Text(x, y, str(number), "middle", "#333333")


def _most(numbers: Numbers) -> float:
    low, high = span(numbers)
    return max(-low, high)
