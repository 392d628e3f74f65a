"""Small pictures about pictures: a sheet of labelled tiles, and a confusion matrix."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_TILE = 96
_CAPTION = 14
_GAP = 6
_COLUMNS = 5
_CELL = 26
_CHARACTER = 6
_SHOWN = 18
"""Characters of a name that are shown."""

MAX_CLASSES = 200
"""The most classes whose matrix can be drawn: more cells than anybody can look at."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture (H, W, C) in bytes and what to write below it."""

    image: NDArray[np.uint8]
    caption: str


def draw_sheet(tiles: Sequence[Tile]) -> bytes:
    """Return tiles in rows of five as the bytes of a PNG file; each keeps its proportions."""
    rows = max(1, -(-len(tiles) // _COLUMNS))
    size = (_COLUMNS * (_TILE + _GAP) + _GAP, rows * (_TILE + _CAPTION + _GAP) + _GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    if not tiles:
        pen.text((_GAP, _GAP), "no mistakes", "black")
    for number, tile in enumerate(tiles):
        row, column = divmod(number, _COLUMNS)
        left, top = _GAP + column * (_TILE + _GAP), _GAP + row * (_TILE + _CAPTION + _GAP)
        array = tile.image[..., 0] if tile.image.shape[-1] == 1 else tile.image
        picture = Image.fromarray(np.ascontiguousarray(array)).convert("RGB")
        scale = _TILE / max(picture.size)
        shape = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        # Pixels stay squares: what the model sees is not made smoother than it is.
        method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR
        picture = picture.resize(shape, method)
        sheet.paste(picture, (left + (_TILE - shape[0]) // 2, top + (_TILE - shape[1]) // 2))
        pen.text((left, top + _TILE + 1), _latin(tile.caption, _SHOWN - 2), "black")
    return _png(sheet)


@dataclass(frozen=True, slots=True)
class _Cell:
    x: int
    y: int
    fill: tuple[int, int, int]
    ink: str
    text: str


class MatrixDrawing:
    """A confusion matrix: a row for what is true, a column for what it was taken for, darker for more."""

    def __init__(self, classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> None:
        self._names = [name if len(name) <= _SHOWN else f"{name[: _SHOWN - 1]}…" for name in classes]
        longest = max(map(len, self._names))
        self._left = longest * _CHARACTER + 30
        self._top = longest * _CHARACTER + 30
        self._width = self._left + len(classes) * _CELL + 10
        self._height = self._top + len(classes) * _CELL + 10
        self._cells = list(self._fill(matrix))

    def svg(self) -> str:
        """Return it as an SVG document."""
        middle = _CELL // 2
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self._width}" height="{self._height}" '
            f'viewBox="0 0 {self._width} {self._height}" font-family="monospace" font-size="10">',
            "<title>Confusion matrix</title>",
            f'<rect width="{self._width}" height="{self._height}" fill="#ffffff"/>',
            f'<text x="8" y="{self._top - 8}">true</text><text x="{self._left}" y="12">taken for</text>',
        ]
        for number, name in enumerate(self._names):
            at = number * _CELL + middle
            x, y, text = self._left + at, self._top + at, escape(name)
            parts.append(f'<text x="{self._left - 6}" y="{y + 3}" text-anchor="end">{text}</text>')
            parts.append(f'<text transform="translate({x + 3} {self._top - 6}) rotate(-90)">{text}</text>')
        for cell in self._cells:
            colour = "#{:02x}{:02x}{:02x}".format(*cell.fill)
            parts.append(
                f'<rect x="{cell.x}" y="{cell.y}" width="{_CELL}" height="{_CELL}" fill="{colour}"/>'
            )
            if cell.text:
                parts.append(
                    f'<text x="{cell.x + middle}" y="{cell.y + middle + 3}" text-anchor="middle" '
                    f'fill="{cell.ink}">{cell.text}</text>'
                )
        return "".join([*parts, "</svg>"])

    def png(self) -> bytes:
        """Return it as the bytes of a PNG file."""
        image = Image.new("RGB", (self._width, self._height), "white")
        pen = ImageDraw.Draw(image)
        pen.text((8, self._top - 18), "true", "black")
        pen.text((self._left, 2), "taken for", "black")
        for number, name in enumerate(self._names):
            text, at = _latin(name, _SHOWN), number * _CELL + _CELL // 2
            width = pen.textlength(text)
            pen.text((self._left - 6 - width, self._top + at - 6), text, "black")
            label = Image.new("RGB", (max(1, round(width)), 12), "white")
            ImageDraw.Draw(label).text((0, 0), text, "black")
            upright = label.transpose(Image.Transpose.ROTATE_90)
            image.paste(upright, (self._left + at - 6, self._top - 6 - upright.height))
        for cell in self._cells:
            pen.rectangle((cell.x, cell.y, cell.x + _CELL - 1, cell.y + _CELL - 1), cell.fill)
            if cell.text:
                width = pen.textlength(cell.text)
                pen.text((cell.x + (_CELL - width) / 2, cell.y + 7), cell.text, cell.ink)
        return _png(image)

    def _fill(self, matrix: Sequence[Sequence[int]]) -> list[_Cell]:
        cells = []
        for row, counts in enumerate(matrix):
            total = max(1, sum(counts))
            for column, count in enumerate(counts):
                share = count / total
                # From white to dark: green where it is right, red where it is wrong.
                dark = (20, 110, 60) if row == column else (170, 30, 40)
                fill = tuple(round(255 - share * (255 - end)) for end in dark)
                cells.append(
                    _Cell(
                        self._left + column * _CELL,
                        self._top + row * _CELL,
                        (fill[0], fill[1], fill[2]),
                        "#ffffff" if share > 0.5 else "#000000",
                        _short(count),
                    )
                )
        return cells


def _short(count: int) -> str:
    if count == 0:
        return ""
    return str(count) if count < 10_000 else f"{count // 1000}k"


def _latin(text: str, most: int) -> str:
    """Return what the built-in font can write of a text."""
    shown = text if len(text) <= most else text[: most - 1] + "~"
    return shown.encode("latin-1", "replace").decode("latin-1")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
