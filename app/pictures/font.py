"""The font of all text that is drawn as a picture: DejaVu Sans 2.37, whose licence lies beside it.

It has the letters of Latin with all accents, Greek, Cyrillic, Armenian, Georgian, Hebrew and Arabic. Of other scripts,
such as Chinese, the code point of each letter is drawn (U+732B), so that names stay different; a drawing as SVG takes
the fonts of whoever looks at it.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont

_LOOK_SIZE = 16
_NO_LETTER = "\uf8ff"
"""A code point for private use, for which the font has a frame as for all that it has not."""

_FILE = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font with letters of this height in pixels."""
    # The basic layout draws alike with and without the library for complex scripts.
    return ImageFont.truetype(str(_FILE), size, layout_engine=ImageFont.Layout.BASIC)


def drawable(text: str) -> str:
    """Return a text with the code point of each letter that the font has not: all of those look alike in it."""
    return text if text.isascii() else "".join(map(_letter, text))


@lru_cache(maxsize=4096)
def _letter(letter: str) -> str:
    return letter if _look(letter) != _look(_NO_LETTER) else f"U+{ord(letter):04X}"


def _look(letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font(_LOOK_SIZE).getmask(letter)
    return mask.size, bytes(mask)


@lru_cache(maxsize=4096)
def width(text: str, size: int) -> int:
    """Return how many pixels a text takes in a line."""
    return round(font(size).getlength(drawable(text)))


def shortened(text: str, size: int, most: int) -> str:
    """Return as much of a text as fits `most` pixels, with … for the rest."""
    if width(text, size) <= most:
        return text
    shown = text
    while shown and width(f"{shown}…", size) > most:
        shown = shown[:-1]
    return f"{shown}…"
