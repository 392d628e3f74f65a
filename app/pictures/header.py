"""What a picture says of itself, without a decoder."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

_PNG = b"\x89PNG\r\n\x1a\n"
_HIDDEN = re.compile(b"zTXt|iTXt|iCCP")
"""Parts of a PNG that are inflated too: a few kilobytes of them can stand for megabytes."""
_BARE = {(8, 0): "L", (8, 2): "RGB"}
"""Depth and colour type of the PNGs that `bare_png` takes, and what Pillow calls their pixels."""
_QUIET = {b"gAMA": 4, b"pHYs": 9, b"sRGB": 1}
"""Parts of a PNG that change no pixel here, and their bytes."""
_SMALL_BYTES = 64 * 1024
"""Of larger files decoding takes so much longer than opening that it does not matter."""
_JPEG = b"\xff\xd8\xff"
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers of JPEG without a length."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that the size of the picture follows."""


def declared_pixels(data: bytes) -> int | None:
    """Return how many pixels a PNG or JPEG file says that it has; None of what is neither, or would take long to open.

    Takes microseconds, for small files. What is declared bounds what a decoder does; nothing else is checked.
    """
    if data.startswith(_PNG) and len(data) >= 24:
        if _HIDDEN.search(data):
            return None
        width, height = struct.unpack_from(">II", data, 16)
        return int(width) * int(height)
    if data.startswith(_JPEG):
        return _jpeg_pixels(data)
    return None


def _jpeg_pixels(data: bytes) -> int | None:
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return int(width) * int(height)
        place += 2 if marker in _ALONE else 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None


@dataclass(frozen=True, slots=True)
class BarePng:
    """The pixels of a PNG as they are compressed, and what is to be known to decode them.

    Attributes:
        mode: L or RGB, of 8 bits.
        size: width and height.
        data: all IDAT parts.
    """

    mode: str
    size: tuple[int, int]
    data: bytes


def bare_png(data: bytes) -> BarePng | None:
    """Return the pixels of a PNG file that holds little else: most small pictures are such files.

    None of any other file: large, of other depths or colours, with a palette, interlaced, with a transparent colour,
    notes or profiles, with wrong check sums, with parts in disorder or something behind the end.
    """
    if not data.startswith(_PNG) or len(data) > _SMALL_BYTES:
        return None
    head, place = None, len(_PNG)
    pixels: list[bytes] = []
    try:
        while True:
            size, kind = struct.unpack_from(">I4s", data, place)
            content = data[place + 8 : place + 8 + size]
            (check,) = struct.unpack_from(">I", data, place + 8 + size)
            if zlib.crc32(content, zlib.crc32(kind)) != check:
                return None
            place += size + 12
            if kind == b"IDAT" and head is not None:
                pixels.append(content)
            elif kind == b"IHDR" and head is None and size == 13:
                head = struct.unpack(">IIBBBBB", content)
            elif kind == b"IEND":
                break
            elif pixels or head is None or _QUIET.get(kind) != size:
                return None
    except struct.error:
        return None
    if head is None or not pixels or size or place != len(data) or head[4:] != (0, 0, 0):
        return None
    mode = _BARE.get(head[2:4])
    return None if mode is None or 0 in head[:2] else BarePng(mode, head[:2], b"".join(pixels))
