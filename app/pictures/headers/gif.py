"""GIF: the first picture, wherever its canvas says that it lies."""

from __future__ import annotations

import struct

from app.pictures.headers.header import Header, cut_short, unreadable

SIGNATURES = (b"GIF87a", b"GIF89a")
_MOST_BLOCKS = 10_000
"""Blocks before the first picture, such as comments; their reader takes a microsecond for each."""


def read_gif(data: bytes) -> Header:
    """Return what the first picture of a GIF file takes to decode.

    Raises:
        Invalid: there is none, or more notes before it than any file has.
    """
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        place = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        for _ in range(_MOST_BLOCKS):
            kind = data[place]
            if kind == 0x2C:
                left, top, own_width, own_height = struct.unpack_from("<4H", data, place + 1)
                return Header("GIF", max(width, left + own_width), max(height, top + own_height), 5)
            if kind == 0x3B:
                break
            # an extension, or what decoders step over
            place = _behind(data, place + 2) if kind == 0x21 else place + 1
    except (struct.error, IndexError):
        raise cut_short("GIF") from None
    raise unreadable("the GIF file holds no picture, or too many notes before it")


def _behind(data: bytes, place: int) -> int:
    """Return the place behind the parts of a block."""
    for _ in range(_MOST_BLOCKS):
        size = data[place]
        place += 1 + size
        if not size:
            return place
    raise unreadable(f"the GIF picture has a note of more than {_MOST_BLOCKS} parts; save it without")
