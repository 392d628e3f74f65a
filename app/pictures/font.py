"""The font of all text that is drawn as a picture: DejaVu Sans 2.37, whose licence lies beside it.

It has the letters of Latin with all accents, Greek, Cyrillic, Armenian, Georgian, Hebrew and Arabic. Of other scripts,
such as Chinese, a frame is drawn for each letter; a drawing as SVG takes the fonts of whoever looks at it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import ImageFont

_FILE = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font with letters of this height in pixels."""
    # The basic layout draws alike with and without the library for complex scripts.
    return ImageFont.truetype(str(_FILE), size, layout_engine=ImageFont.Layout.BASIC)


def width(text: str, size: int) -> int:
    """Return how many pixels a text takes in a line."""
    return round(font(size).getlength(text))


def shortened(text: str, size: int, most: int) -> str:
    """Return as much of a text as fits `most` pixels, with … for the rest."""
    if width(text, size) <= most:
        return text
    shown = text
    while shown and width(f"{shown}…", size) > most:
        shown = shown[:-1]
    return f"{shown}…"
