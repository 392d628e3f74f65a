"""WebP: the canvas, and how many parts there are."""

from __future__ import annotations

import struct

from app.pictures.headers.header import Header, cut_short, unreadable

_MOST_PARTS = 10_000
"""Frames and notes: the decoder keeps a record of each."""
_BYTES_EACH = 20
"""Two canvases, what is decoded, its copy and the picture."""


def is_webp(data: bytes) -> bool:
    """Tell whether a file is a WebP picture by its first bytes."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read_webp(data: bytes) -> Header:
    """Return what the first picture of a WebP file takes to decode; its decoder refuses pictures beyond the canvas.

    Raises:
        Invalid: it begins with no picture, or has more parts than any file has.
    """
    kind = data[12:16]
    try:
        if kind == b"VP8X":
            width, height = (int.from_bytes(data[place : place + 3], "little") + 1 for place in (24, 27))
        elif kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif kind == b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        else:
            raise unreadable("the WebP file begins with no picture")
        place = 12
        for _ in range(_MOST_PARTS):
            if place + 8 > len(data):
                return Header("WEBP", width, height, _BYTES_EACH)
            (size,) = struct.unpack_from("<I", data, place + 4)
            place += 8 + size + (size & 1)
    except struct.error:
        raise cut_short("WebP") from None
    raise unreadable(f"the WebP picture has more than {_MOST_PARTS} frames and notes; save it as one picture")
