"""What the nodes of a network put out, drawn: maps as tiles, vectors as bars or rows of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.pictures.colours import Numbers, Pixels, coloured, span
from app.pictures.drawing import Box, Drawing, Line, Raster, Shape, Text
from app.pictures.font import shortened, width

MAX_TILES = 256
"""Channels that are drawn; more are neither legible nor quick."""
MAX_CELLS = 8192
"""Numbers of a vector that are drawn."""
MAX_BARS = 40
"""Numbers of a vector that get a bar with its value each."""

FONT = 11
MARGIN = 10
LINE = 16
_GAP = 8
_WIDTH = 940
_WORDS = 130
"""The most pixels that words below a tile take where the tile is narrower."""
_CELL, _CELLS = 10, 64
_BAR, _BARS = 12, 320
_SCALE = 160


@dataclass(frozen=True, slots=True)
class Tile:
    """Pixels (H, W, 3) or (H, W), and the lines of words below them."""

    pixels: Pixels
    lines: tuple[str, ...]


def draw_maps(title: str, maps: Numbers, *, shared: bool = False) -> Drawing:
    """Draw maps (H, W, C), a tile for each channel.

    Args:
        title: the first line of the drawing.
        maps: at most `MAX_TILES` channels are drawn, and the drawing says so.
        shared: whether one scale holds for all of them; else each map has its own.
    """
    height, breadth, channels = maps.shape
    if height == breadth == 1:
        return draw_vector(title, maps[0, 0])
    shown = min(channels, MAX_TILES)
    side = tile_side(shown)
    whole, by = span(maps), -(-max(height, breadth) // side)
    small = reduced(maps[..., :shown], by) if by > 1 else maps
    tiles = []
    for channel in range(shown):
        own = span(maps[..., channel])
        low, high = whole if shared else own
        pixels = enlarged(coloured(small[..., channel], low, high), side)
        tiles.append(Tile(pixels, (str(channel), f"{brief(own[0])} … {brief(own[1])}")))
    notes = [f"channels 0 to {shown - 1} of {channels:,}"] if shown < channels else []
    if by > 1:
        notes.append(f"each pixel is the mean of {by} x {by} numbers")
    if not shared:
        notes.append(f"each map has a scale of its own, written below it: {_meaning(maps[..., :shown])}")
    return draw_tiles(title, notes, tiles, whole if shared else None)


def _meaning(maps: Numbers) -> str:
    """Say what the colours of maps (H, W, C) mean that have a scale each."""
    lowest = maps.min(axis=(0, 1))  # (C,)
    signed = "blue is negative, white 0, red positive"
    grey = "black is the least number, white the greatest"
    if (lowest < 0).all():
        return signed
    return f"{signed}; in grey maps {grey}" if (lowest < 0).any() else grey


def draw_tiles(
    title: str,
    notes: Sequence[str],
    tiles: Sequence[Tile],
    scale: tuple[float, float] | None,
    columns: int = 0,
) -> Drawing:
    """Draw tiles in rows below a title and notes, with a scale of colours if one is given."""
    longest = max(width(line, FONT) for tile in tiles for line in tile.lines)
    across = max(min(longest, _WORDS), *(tile.pixels.shape[1] for tile in tiles))
    down = max(tile.pixels.shape[0] for tile in tiles)
    words = max(len(tile.lines) for tile in tiles)
    columns = columns or max(1, min(len(tiles), (_WIDTH - MARGIN) // (across + _GAP)))
    total = 2 * MARGIN + columns * (across + _GAP) - _GAP
    shapes, top, total = heading(title, notes, scale, total)
    pitch = down + words * (FONT + 3) + _GAP
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        x, y = MARGIN + column * (across + _GAP), top + row * pitch
        tall, wide = tile.pixels.shape[:2]
        shapes += framed(x, y, wide, tall, tile.pixels)
        for place, text in enumerate(tile.lines):
            base = y + down + (place + 1) * (FONT + 3) - 1
            shapes.append(Text(x, base, shortened(text, FONT, across), colour="#333333"))
    rows = -(-len(tiles) // columns)
    return Drawing(title, total, top + rows * pitch + MARGIN, tuple(shapes), FONT)


def draw_vector(title: str, numbers: Numbers, names: Sequence[str] | None = None) -> Drawing:
    """Draw a vector (C,): a bar for each of few numbers, with its name and value; else rows of coloured cells."""
    return _bars(title, numbers, names) if len(numbers) <= MAX_BARS else _cells(title, numbers)


def _bars(title: str, numbers: Numbers, names: Sequence[str] | None) -> Drawing:
    labels = [
        shortened(name, FONT, 200) for name in (names if names is not None else map(str, range(len(numbers))))
    ]
    low, high = span(numbers)
    low, high = min(low, 0.0), max(high, 0.0)
    left = MARGIN + max(width(label, FONT) for label in labels) + 8
    unit = _BARS / (high - low) if high > low else 0.0
    zero = left + round(-low * unit)
    shapes, top, total = heading(title, [], None, left + _BARS + 80)
    for row, (label, number) in enumerate(zip(labels, numbers.tolist(), strict=True)):
        y = top + row * (_BAR + 4)
        length = round(abs(number) * unit) if np.isfinite(number) else 0
        begin = zero if number >= 0 else zero - length
        shapes.append(Text(left - 8, y + _BAR - 2, label, "end", "#333333"))
        if length:
            shapes.append(Box(begin, y, length, _BAR, "#b2182b" if number >= 0 else "#2166ac"))
        shapes.append(Text(left + _BARS + 8, y + _BAR - 2, brief(number), colour="#333333"))
    bottom = top + len(labels) * (_BAR + 4)
    shapes.append(Line(((zero, top - 2), (zero, bottom)), "#777777", 1))
    return Drawing(title, total, bottom + MARGIN, tuple(shapes), FONT)


def _cells(title: str, numbers: Numbers) -> Drawing:
    shown = numbers[:MAX_CELLS]
    low, high = span(shown)
    rows, full = -(-len(shown) // _CELLS), len(shown) // _CELLS
    pixels = coloured(shown[np.newaxis], low, high)[0]  # (C, 3)
    left = MARGIN + width(str((rows - 1) * _CELLS), FONT) + 8
    notes = [f"{_CELLS} numbers a row"]
    if len(shown) < len(numbers):
        notes.append(f"numbers 0 to {len(shown) - 1:,} of {len(numbers):,}")
    shapes, top, total = heading(title, notes, (low, high), left + _CELLS * _CELL + MARGIN)
    if full:
        whole = pixels[: full * _CELLS].reshape(full, _CELLS, 3)
        shapes += framed(left, top, _CELLS * _CELL, full * _CELL, whole)
    if rest := len(shown) - full * _CELLS:
        shapes += framed(left, top + full * _CELL, rest * _CELL, _CELL, pixels[np.newaxis, -rest:])
    labelled = max(1, -(-rows // 64)) * 2 if rows > 16 else 1
    for row in range(0, rows, labelled):
        shapes.append(Text(left - 8, top + row * _CELL + _CELL - 1, str(row * _CELLS), "end", "#333333"))
    return Drawing(title, total, top + rows * _CELL + MARGIN, tuple(shapes), FONT)


def heading(
    title: str, notes: Sequence[str], scale: tuple[float, float] | None, total: int
) -> tuple[list[Shape], int, int]:
    """Return title, notes and scale as shapes, where what is below them begins, and how wide all is."""
    total = max(total, 2 * MARGIN + width(title, FONT))
    room = max(total, 420) - 2 * MARGIN
    lines = [line for note in notes for line in wrapped(note, room)]
    total = max([total, *(2 * MARGIN + width(line, FONT) for line in lines)])
    shapes: list[Shape] = [Text(MARGIN, MARGIN + FONT, title, colour="#000000")]
    y = MARGIN + FONT
    for line in lines:
        y += LINE
        shapes.append(Text(MARGIN, y, line, colour="#777777"))
    if scale is not None:
        y += LINE
        low, high = scale
        first = max(-low, high) * -1 if low < 0 else low
        last = max(-low, high) if low < 0 else high
        ramp = coloured(np.linspace(first, last, _SCALE, dtype=np.float64)[np.newaxis], first, last)
        before = MARGIN + width(brief(first), FONT) + 6
        shapes.append(Text(MARGIN, y, brief(first), colour="#333333"))
        shapes += framed(before, y - FONT + 1, _SCALE, FONT, ramp)
        shapes.append(Text(before + _SCALE + 6, y, brief(last), colour="#333333"))
        total = max(total, before + _SCALE + 6 + width(brief(last), FONT) + MARGIN)
    return shapes, y + MARGIN, total


def wrapped(text: str, room: int) -> list[str]:
    """Return a text in lines of at most `room` pixels."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if width(longer, FONT) <= room or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def framed(x: int, y: int, wide: int, tall: int, pixels: Pixels) -> list[Shape]:
    """Return pixels stretched over a rectangle, with a thin grey line around it."""
    return [Box(x - 1, y - 1, wide + 2, tall + 2, "#c8c8c8"), Raster(x, y, wide, tall, pixels)]


def tile_side(count: int) -> int:
    """Return how many pixels the longer side of each of so many tiles may have."""
    for most, side in ((1, 320), (8, 200), (32, 128), (128, 96)):
        if count <= most:
            return side
    return 64


def enlarged(pixels: Pixels, side: int) -> Pixels:
    """Return pixels (H, W) or (H, W, 3) enlarged by a whole number, as far as the longer side stays within `side`."""
    times = max(1, side // max(pixels.shape[:2]))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def reduced(array: Numbers, by: int) -> Numbers:
    """Return an array (H, W, C) with a mean for each block of by x by; what is left at the edges is dropped."""
    down, across = min(by, array.shape[0]), min(by, array.shape[1])
    height, breadth, channels = array.shape[0] // down, array.shape[1] // across, array.shape[2]
    cut = array[: height * down, : breadth * across]
    with np.errstate(invalid="ignore", over="ignore"):
        rows = cut.reshape(height, down, -1).sum(axis=1, dtype=np.float32)  # (H/by, W*C)
        cells: Numbers = rows.reshape(height, breadth, across, channels).sum(axis=2)
    return cells / np.float32(down * across)


def brief(number: float) -> str:
    """Write a number with three significant digits."""
    return f"{number:.3g}"
