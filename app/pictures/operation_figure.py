"""A figure of one operation: what goes in, what it is multiplied by and what comes out, side by side.

Small arrays are grids with their numbers, large ones are pictures. What one number of the output is made of is marked
in all of them, and its arithmetic stands below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.pictures.colours import Numbers, Pixels, coloured, span
from app.pictures.drawing import Drawing, Line, Shape, Text
from app.pictures.font import shortened, width
from app.pictures.grids import Mark, Tile, draw_tile, grid, picture
from app.pictures.maps import FONT, LINE, MARGIN, heading, wrapped

_Tiles = tuple[tuple[Tile, ...], ...]
Sign = Literal["", "*", "x", "+", "-", "/", "=", ">", ","]

_MOST_SIDE = 12
"""Rows or columns of a grid of numbers; a map with more is drawn as a picture."""
_MOST_NUMBERS = 16
"""Numbers of a vector that are drawn, and rows of a matrix."""
_MOST_ROWS = 28
"""Rows of numbers below one another, of all channels of a volume together."""
_MOST_TILES = 4
"""Channels, or filters, that are drawn."""
_WIDTH = 1180
_FILTERS = 640
"""Pixels that filters side by side may take."""
_GAP = 10
_SIGN = 34
_MOST_LINES = 40
_INK = "#333333"


@dataclass(frozen=True, slots=True)
class Operand:
    """One array of a figure.

    Attributes:
        title: what it is; the shape is written beside it.
        numbers: a vector (C,), a matrix (in, out), a map (H, W, C) or filters (H, W, in, out).
        sign: what stands before it: convolved with, times, plus, minus, divided by, is, becomes, and.
        mark: the cells that the traced number is made of, or is.
        padding: cells of zeros around a map: top, bottom, left, right.
        pixels: how a map looks, (H, W) or (H, W, 3), where it is too large for numbers; by default each channel is
            drawn by itself.
    """

    title: str
    numbers: Numbers
    sign: Sign = ""
    mark: Mark | None = None
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pixels: Pixels | None = None


@dataclass(frozen=True, slots=True)
class _Panel:
    """An operand in tiles, one row of them below the other."""

    sign: Sign
    words: tuple[str, ...]
    tiles: _Tiles

    @property
    def body(self) -> tuple[int, int]:
        """Width and height of the tiles."""
        columns = max(len(row) for row in self.tiles)
        across = max(tile.width for row in self.tiles for tile in row)
        down = sum(max(tile.height for tile in row) for row in self.tiles)
        return columns * (across + _GAP) - _GAP, down + (len(self.tiles) - 1) * _GAP

    @property
    def width(self) -> int:
        return max(self.body[0], *(width(line, FONT) for line in self.words))

    @property
    def height(self) -> int:
        return len(self.words) * LINE + self.body[1]


def draw_operation(
    title: str, rows: Sequence[Sequence[Operand]], arithmetic: Sequence[str], notes: Sequence[str] = ()
) -> Drawing:
    """Draw a figure of an operation.

    Args:
        title: the first line.
        rows: operands side by side; what does not fit is drawn below.
        arithmetic: how the marked numbers come about, a line each.
        notes: what else should be known, below the title.
    """
    lines = [line for row in rows for line in _lines([_panel(operand) for operand in row])]
    longest = max(sum(_SIGN * bool(panel.sign) + panel.width for panel in line) for line in lines)
    total = max(
        longest + 2 * MARGIN, 2 * MARGIN + min(_WIDTH, max([0, *(width(a, FONT) for a in arithmetic)]))
    )
    shapes, top, total = heading(title, notes, None, total)
    top += 4
    for line in lines:
        shapes += _line(line, top)
        top += max(panel.height for panel in line) + 2 * _GAP
    written = [part for text in arithmetic for part in _broken(text, total - 2 * MARGIN)]
    if len(written) > _MOST_LINES:
        written = [*written[: _MOST_LINES - 1], "…"]
    for text in written:
        top += LINE
        shapes.append(Text(MARGIN, top, text, colour=_INK))
    return Drawing(title, total, top + MARGIN, tuple(shapes), FONT)


def _broken(text: str, room: int) -> list[str]:
    """Return a text in lines; those after the first are indented."""
    first, *rest = wrapped(text, room)
    return [first] if not rest else [first, *(f"   {part}" for part in wrapped(" ".join(rest), room - 12))]


def _lines(panels: Sequence[_Panel]) -> list[list[_Panel]]:
    """Return panels in lines that fit the width."""
    lines: list[list[_Panel]] = [[]]
    used = 0
    for panel in panels:
        needed = _SIGN * bool(panel.sign) + panel.width
        if lines[-1] and used + needed > _WIDTH:
            lines.append([])
            used = 0
        lines[-1].append(panel)
        used += needed
    return lines


def _line(panels: Sequence[_Panel], top: int) -> list[Shape]:
    shapes: list[Shape] = []
    words = max(len(panel.words) for panel in panels)
    body = max(panel.body[1] for panel in panels)
    middle = top + words * LINE + body // 2
    x = MARGIN
    for panel in panels:
        if panel.sign:
            shapes += _sign(panel.sign, x + _SIGN // 2, middle)
            x += _SIGN
        y = middle - panel.body[1] // 2
        base = y - 6 - (len(panel.words) - 1) * LINE
        for number, text in enumerate(panel.words):
            shapes.append(Text(x, base + number * LINE, text, colour="#000000" if number == 0 else "#777777"))
        across = max(tile.width for row in panel.tiles for tile in row)
        for row in panel.tiles:
            for column, tile in enumerate(row):
                shapes += draw_tile(tile, x + column * (across + _GAP), y)
            y += max(tile.height for tile in row) + _GAP
        x += panel.width
    return shapes


def _sign(sign: Sign, x: int, y: int) -> list[Shape]:
    """Draw a sign of about 14 pixels around a point."""
    strokes: dict[Sign, tuple[tuple[tuple[float, float], ...], ...]] = {
        "*": (((0, -7), (0, 7)), ((-6, -3.5), (6, 3.5)), ((-6, 3.5), (6, -3.5))),
        "x": (((-5, -5), (5, 5)), ((-5, 5), (5, -5))),
        "+": (((0, -6), (0, 6)), ((-6, 0), (6, 0))),
        "-": (((-6, 0), (6, 0)),),
        "/": (((4, -7), (-4, 7)),),
        "=": (((-6, -3), (6, -3)), ((-6, 3), (6, 3))),
        ">": (((-8, 0), (8, 0)), ((3, -5), (8, 0), (3, 5))),
        ",": (((0, 5), (-2, 9)),),
    }
    return [
        Line(tuple((x + across, y + down) for across, down in stroke), _INK, 2)
        for stroke in strokes.get(sign, ())
    ]


def _panel(operand: Operand) -> _Panel:
    numbers = operand.numbers
    size = _size(numbers.shape)
    if numbers.ndim <= 2:
        tiles, note = _matrix(operand)
    elif max(numbers.shape[:2]) > _MOST_SIDE:
        tiles, note = _pictures(operand)
    else:
        tiles, note = _grids(operand)
    words = [shortened(operand.title, FONT, 260), size, *([note] if note else [])]
    widest = max(tile.cell_width for row in tiles for tile in row)
    even = tuple(tuple(tile.widened(widest) for tile in row) for row in tiles)
    return _Panel(operand.sign, tuple(words), even)


def _size(shape: Sequence[int]) -> str:
    """Write a shape; of maps and filters of one channel only height and width."""
    shown = list(shape)
    while len(shown) > 2 and shown[-1] == 1:
        del shown[-1]
    return " x ".join(map(str, shown))


def _matrix(operand: Operand) -> tuple[_Tiles, str]:
    """Return a vector as a column of numbers, or a matrix as a grid: all of it, or a part around the mark."""
    numbers, mark = operand.numbers, operand.mark
    table = numbers[:, None] if numbers.ndim == 1 else numbers
    # a vector's mark and that of a matrix's rows begin where all of it does, mostly
    rows = _part(len(table), _MOST_NUMBERS, _first(mark.rows) if mark and numbers.ndim == 1 else 0)
    columns = _part(table.shape[1], _MOST_SIDE, _first(mark.columns) if mark else 0)
    shown = [
        f"{what} {part[0]} to {part[-1]}"
        for what, part, whole in (
            ("numbers" if numbers.ndim == 1 else "rows", rows, len(table)),
            ("columns", columns, table.shape[1]),
        )
        if len(part) < whole
    ]
    tile = grid(table, "", mark, rows=rows, columns=columns)
    return ((tile,),), ", ".join(shown)


def _grids(operand: Operand) -> tuple[_Tiles, str]:
    """Return a map as a grid for each channel, one below the other, or filters as a table of grids."""
    numbers, mark = operand.numbers, operand.mark
    top, bottom, left, right = operand.padding
    fitting = max(1, min(_MOST_TILES, _MOST_ROWS // (numbers.shape[0] + top + bottom + 1)))
    at = _first(mark.channels) if mark else 0
    rows, columns = range(-top, numbers.shape[0] + bottom), range(-left, numbers.shape[1] + right)
    if numbers.ndim == 3:
        channels = _part(numbers.shape[2], fitting, at)
        column = tuple(
            (
                grid(
                    numbers[..., channel],
                    f"channel {channel}" if numbers.shape[2] > 1 else "",
                    mark if mark and mark.has(channel) else None,
                    rows=rows,
                    columns=columns,
                ),
            )
            for channel in channels
        )
        return column, _of_all("channels", channels, numbers.shape[2])
    ins = _part(numbers.shape[2], fitting, 0)

    def table(outs: range) -> _Tiles:
        return tuple(
            tuple(
                grid(
                    numbers[..., into, out],
                    _filter_name(into, out, numbers.shape[2:]),
                    mark if mark and mark.has(out) else None,
                    rows=rows,
                    columns=columns,
                )
                for out in outs
            )
            for into in ins
        )

    outs = _part(numbers.shape[3], _MOST_TILES, at)
    tiles = table(outs)
    widest = max(tile.width for row in tiles for tile in row) + _GAP
    if len(outs) * widest > _FILTERS:
        outs = _part(numbers.shape[3], max(1, _FILTERS // widest), at)
        tiles = table(outs)
    notes = _of_all("channels", ins, numbers.shape[2]), _of_all("filters", outs, numbers.shape[3])
    return tiles, ", ".join(note for note in notes if note)


def _pictures(operand: Operand) -> tuple[_Tiles, str]:
    """Return a map as one picture, or as one for each channel; of filters those of the first input."""
    numbers, mark = operand.numbers, operand.mark
    if operand.pixels is not None:
        return ((picture(operand.pixels, "", mark, 256),),), ""
    maps = numbers if numbers.ndim == 3 else numbers[:, :, 0]
    channels = _part(maps.shape[2], _MOST_TILES, _first(mark.channels) if mark else 0)
    side = {1: 256, 2: 192}.get(len(channels), 144)
    tiles = [
        picture(
            coloured(maps[..., channel], *span(maps[..., channel])),
            f"channel {channel}" if maps.shape[2] > 1 else "",
            mark if mark and mark.has(channel) else None,
            side,
        )
        for channel in channels
    ]
    across = 1 if len(tiles) <= 2 else 2
    rows = tuple(tuple(tiles[first : first + across]) for first in range(0, len(tiles), across))
    return rows, _of_all("channels", channels, maps.shape[2])


def _filter_name(into: int, out: int, sizes: Sequence[int]) -> str:
    words = [f"filter {out}"] if sizes[1] > 1 else []
    if sizes[0] > 1:
        words.append(f"channel {into}" if not words else f"ch. {into}")
    return ", ".join(words)


def _part(count: int, most: int, at: int) -> range:
    """Return the numbers that are shown of so many: the first ones, or others among which `at` is."""
    first = 0 if at < most else min(at - most // 2, count - most)
    return range(first, min(count, first + most))


def _of_all(what: str, part: range, whole: int) -> str:
    if len(part) == whole:
        return ""
    if len(part) == 1:
        return f"{what.removesuffix('s')} {part[0]} of {whole}"
    return f"{what} {part[0]} to {part[-1]} of {whole}"


def _first(marked: range | None) -> int:
    return 0 if marked is None or not marked else max(0, marked[0])
