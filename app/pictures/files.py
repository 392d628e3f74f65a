"""Picture files in a folder: which they are, and how large their pictures are."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from PIL import Image

from app.pictures.decode import FORMATS

_ORIENTATION = 0x0112
"""The entry of EXIF that says how a picture is to be turned."""
_ON_ITS_SIDE = (5, 6, 7, 8)


def picture_endings() -> frozenset[str]:
    """Return how the names of files end whose format is read here, such as `.jpg`."""
    Image.init()
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in FORMATS)


def picture_size(file: Path | BinaryIO) -> tuple[int, int] | None:
    """Return height and width of the picture in a file, as it is seen; None where there is none.

    Only the beginning of the file is read.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return (width, height) if turned else (height, width)
