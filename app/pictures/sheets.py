"""Sheets: many pictures on one, for people to look at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from app.pictures.font import drawable, font, shortened
from app.pictures.font import width as width_of

_CELL = 64
_GAP = 4
_FONT = 14
_LABEL_WIDTH = 160
_TILE = 96
_CAPTION = 14
_CAPTION_FONT = 11
_BETWEEN = 6
_COLUMNS = 5


def encode_sheet(
    rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], headings: Sequence[str] = ()
) -> bytes:
    """Draw labelled rows of pictures as the bytes of a PNG file.

    Args:
        rows: what is written before each row, and its pictures (H, W, C), all of one shape; see `reduce`. Small
            ones are enlarged by a whole number, so that their pixels can be seen.
        headings: what is written above each column.
    """
    shapes = {picture.shape for _, pictures in rows for picture in pictures}
    height, width = next(iter(shapes))[:2] if shapes else (1, 1)
    scale = max(1, _CELL // max(height, width))
    cell = (width * scale, height * scale)
    columns = max([len(headings), *(len(pictures) for _, pictures in rows)])
    texts = [shortened(text, _FONT, _LABEL_WIDTH) for text, _ in rows]
    left = _GAP + max((width_of(text, _FONT) for text in texts), default=0) + 2 * _GAP
    column = cell[0] + _GAP
    if headings:
        column = max(column, max(width_of(text, _FONT) for text in headings) + 2 * _GAP)
    top = _GAP + (_FONT + 2 * _GAP if headings else 0)
    row_height = max(cell[1], _FONT + _GAP) + _GAP
    sheet = Image.new("RGB", (left + columns * column + _GAP, top + len(rows) * row_height), "#ffffff")
    draw = ImageDraw.Draw(sheet)
    for number, text in enumerate(headings):
        draw.text((left + number * column, _GAP), drawable(text), fill="#333333", font=font(_FONT))
    for row, (text, (_, pictures)) in enumerate(zip(texts, rows, strict=True)):
        y = top + row * row_height
        draw.text((_GAP, y + (cell[1] - _FONT) // 2), drawable(text), fill="#333333", font=font(_FONT))
        for number, picture in enumerate(pictures):
            enlarged = _picture(picture).resize(cell, Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left + number * column, y))
    return _png(sheet)


def encode_variants(originals: NDArray[np.uint8], variants: Sequence[NDArray[np.uint8]]) -> bytes:
    """Draw pictures (N, H, W, C), a row for each with what became of it in each epoch, as the bytes of a PNG file."""
    rows = [
        (str(number), [reduce(original), *(reduce(variant[number]) for variant in variants)])
        for number, original in enumerate(originals)
    ]
    return encode_sheet(rows, ["original", *(f"epoch {epoch}" for epoch in range(1, len(variants) + 1))])


def reduce(picture: NDArray[np.uint8], most: int = _CELL) -> NDArray[np.uint8]:
    """Return a picture (H, W, C) whose longer side has more than `most` pixels with so many, others as they are."""
    height, width, channels = picture.shape
    scale = most / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    reduced = _picture(picture).resize(size, Image.Resampling.BOX)
    return np.array(reduced, np.uint8).reshape(size[1], size[0], channels)


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture (H, W, C) in bytes and what to write below it."""

    image: NDArray[np.uint8]
    caption: str


def draw_sheet(tiles: Sequence[Tile]) -> bytes:
    """Return tiles in rows of five as the bytes of a PNG file; each keeps its proportions."""
    rows = max(1, -(-len(tiles) // _COLUMNS))
    size = (_COLUMNS * (_TILE + _BETWEEN) + _BETWEEN, rows * (_TILE + _CAPTION + _BETWEEN) + _BETWEEN)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    if not tiles:
        pen.text((_BETWEEN, _BETWEEN), "no mistakes", "black", font(_CAPTION_FONT))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, _COLUMNS)
        left = _BETWEEN + column * (_TILE + _BETWEEN)
        top = _BETWEEN + row * (_TILE + _CAPTION + _BETWEEN)
        picture = _picture(tile.image).convert("RGB")
        scale = _TILE / max(picture.size)
        shape = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        # Pixels stay squares: what the model sees is not made smoother than it is.
        method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR
        picture = picture.resize(shape, method)
        sheet.paste(picture, (left + (_TILE - shape[0]) // 2, top + (_TILE - shape[1]) // 2))
        caption = shortened(tile.caption, _CAPTION_FONT, _TILE)
        pen.text((left, top + _TILE + 1), drawable(caption), "black", font(_CAPTION_FONT))
    return _png(sheet)


def _picture(array: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if array.shape[2] == 1 else array))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
