"""How much work a small picture surely is: for what must not take long."""

from __future__ import annotations

from app.errors import Invalid
from app.pictures.headers.jpeg import SIGNATURES as JPEG
from app.pictures.headers.png import SIGNATURES as PNG
from app.pictures.headers.png import declared_pixels
from app.pictures.headers.read import read_header


def declared_work(data: bytes) -> int | None:
    """Return how many pixels a PNG or JPEG file says that it has, times its weight; None of what is neither.

    Takes microseconds, for small files. What is declared bounds what a decoder does; nothing else is checked.
    """
    if data.startswith(PNG):
        return declared_pixels(data)
    if not data.startswith(JPEG):
        return None
    try:
        header = read_header(data)
    except Invalid:
        return None
    return header.pixels * header.weight
