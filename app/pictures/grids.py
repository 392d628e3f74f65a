"""Two-dimensional arrays as parts of a figure: grids of cells with their numbers, or pictures, with cells marked."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from app.pictures.colours import Numbers, Pixels, span
from app.pictures.drawing import Box, Line, Shape, Text
from app.pictures.font import shortened, width
from app.pictures.maps import FONT, enlarged, framed, reduced

CAPTION = FONT + 5
"""Height of the line above a tile that says which one it is."""

_Box = tuple[int, int, int, int]

_CELL = 20
_NARROWEST = 26
_ROOM = 8
_BORDER = "#c8c8c8"
_MARKED, _OUTLINE, _CHOSEN = "#fff0b8", "#d95f02", "#fdb863"
_PADDING = "#eeeeee"
_INK, _PALE = "#222222", "#999999"


@dataclass(frozen=True, slots=True)
class Mark:
    """Cells of an array that are marked; rows or columns below 0 lie in the padding.

    Attributes:
        rows: along the first axis; None for all.
        columns: along the second one; None for all.
        channels: along the last one, of a map or of filters; None for all.
        chosen: (row, column, channel) of one cell that stands out: the largest of a pool's window.
    """

    rows: range | None = None
    columns: range | None = None
    channels: range | None = None
    chosen: tuple[int, ...] | None = None

    def has(self, channel: int) -> bool:
        """Return whether any cell of a channel is marked."""
        return self.channels is None or channel in self.channels


@dataclass(frozen=True, slots=True)
class Tile:
    """What `draw_tile` draws: cells with words, or pixels; and what is marked."""

    caption: str
    cells: tuple[tuple[str, str, str], ...]
    """Words, colour and colour of the words, row by row; empty for a picture."""
    columns: int
    cell_width: int
    pixels: Pixels | None
    outline: _Box | None
    """Left, top, right, bottom of what is marked: in cells, or in pixels of a picture."""
    chosen: _Box | None
    """The same of the one that stands out."""

    def widened(self, cell_width: int) -> Tile:
        """Return the same with wider cells, so that it lines up with other tiles."""
        return replace(self, cell_width=cell_width)

    @property
    def head(self) -> int:
        """Height of the caption."""
        return CAPTION if self.caption else 0

    @property
    def width(self) -> int:
        """Width in pixels."""
        own = self.columns * self.cell_width + 1 if self.pixels is None else len(self.pixels[0])
        return max(own, width(self.caption, FONT))

    @property
    def height(self) -> int:
        """Height in pixels, with the caption."""
        if self.pixels is not None:
            return self.head + len(self.pixels)
        return self.head + len(self.cells) // self.columns * _CELL + 1


def grid(table: Numbers, caption: str, mark: Mark | None, *, rows: range, columns: range) -> Tile:
    """Return a part of a table (H, W) as cells with their numbers; what lies outside of the table is padding."""
    cells = []
    # beside numbers of this size, what is left by rounding is 0
    nothing = 1e-13 * max(map(abs, span(table)))
    for row in rows:
        for column in columns:
            inside = 0 <= row < table.shape[0] and 0 <= column < table.shape[1]
            words = number(table[row, column], nothing) if inside else "0"
            marked = mark is not None and _within(row, mark.rows) and _within(column, mark.columns)
            colour = _MARKED if marked else "#ffffff" if inside else _PADDING
            cells.append((words, colour, _INK if inside else _PALE))
    wide = max(_NARROWEST, max(width(words, FONT) for words, *_ in cells) + _ROOM)

    def box(down: range, across: range) -> _Box:
        left, top = across[0] - columns[0], down[0] - rows[0]
        return left, top, left + len(across), top + len(down)

    outline = chosen = None
    if mark is not None:
        down, across = _clipped(mark.rows, rows), _clipped(mark.columns, columns)
        outline = box(down, across) if down and across else None
        if mark.chosen is not None and mark.chosen[0] in rows and mark.chosen[1] in columns:
            row, column = mark.chosen[:2]
            chosen = box(range(row, row + 1), range(column, column + 1))
            place = (row - rows[0]) * len(columns) + column - columns[0]
            cells[place] = (cells[place][0], _CHOSEN, _INK)
    return Tile(caption, tuple(cells), len(columns), wide, None, outline, chosen)


def picture(pixels: Pixels, caption: str, mark: Mark | None, side: int) -> Tile:
    """Return pixels, uint8 (H, W) or (H, W, 3), at most `side` pixels on the longer side."""
    height, breadth = pixels.shape[:2]
    shown = pixels.reshape(height, breadth, -1)
    by = -(-max(height, breadth) // side)
    if by > 1:
        shown = np.rint(reduced(shown.astype(np.float32), by)).astype(np.uint8)
    shown = enlarged(shown, side)
    if shown.shape[2] == 1:
        shown = shown[..., 0]
    scale = 1 / by if by > 1 else len(shown) / height

    def box(rows: range, columns: range) -> _Box:
        # a frame around less than a few pixels could not be seen
        top, left = math.floor(rows[0] * scale) - 2, math.floor(columns[0] * scale) - 2
        bottom, right = math.ceil((rows[-1] + 1) * scale) + 2, math.ceil((columns[-1] + 1) * scale) + 2
        return max(0, left), max(0, top), min(shown.shape[1], right), min(shown.shape[0], bottom)

    outline = None
    if mark is not None:
        rows = _clipped(mark.rows, range(height))
        columns = _clipped(mark.columns, range(breadth))
        outline = box(rows, columns) if rows and columns else None
    return Tile(caption, (), 0, 0, shown, outline, None)


def draw_tile(tile: Tile, x: int, y: int) -> list[Shape]:
    """Return a tile as shapes, its left upper corner at (x, y)."""
    shapes: list[Shape] = []
    if tile.caption:
        words = shortened(tile.caption, FONT, tile.width)
        shapes.append(Text(x, y + FONT, words, colour="#777777"))
        y += tile.head
    if tile.pixels is not None:
        shapes += framed(x, y, tile.pixels.shape[1], tile.pixels.shape[0], tile.pixels)
    for place, (words, colour, ink) in enumerate(tile.cells):
        row, column = divmod(place, tile.columns)
        left, top = x + column * tile.cell_width, y + row * _CELL
        shapes.append(Box(left, top, tile.cell_width + 1, _CELL + 1, colour, _BORDER))
        shapes.append(Text(left + tile.cell_width / 2, top + _CELL - 6, words, "middle", ink))
    across, down = (tile.cell_width, _CELL) if tile.pixels is None else (1, 1)
    for outline in (tile.outline, tile.chosen):
        if outline is not None:
            left, top, right, bottom = outline
            corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
            shapes.append(Line(tuple((x + a * across, y + b * down) for a, b in corners), _OUTLINE, 2))
    return shapes


def number(value: float, nothing: float = 0) -> str:
    """Write a number as it stands in a cell, to four significant digits; 0 up to the size of `nothing`."""
    if not math.isfinite(value):
        return "not finite"
    return "0" if abs(value) <= nothing else f"{value:.4g}"


def _within(place: int, marked: range | None) -> bool:
    return marked is None or place in marked


def _clipped(marked: range | None, shown: range) -> range:
    """Return the part of what is marked that is shown, from its first to its last cell."""
    if marked is None:
        return shown
    inside = [place for place in marked if place in shown]
    return range(inside[0], inside[-1] + 1) if inside else range(0)
