"""PNG: its parts, without those that are inflated and change no pixel."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

from app.pictures.headers.header import Header, cut_short, unreadable

SIGNATURES = (b"\x89PNG\r\n\x1a\n",)
_PNG = SIGNATURES[0]
_DROPPED = frozenset({b"zTXt", b"iCCP", b"iTXt"})
"""Parts that are inflated too, unless they say that they are as they are: a few kilobytes can stand for megabytes."""
_PLAIN_TEXT = re.compile(rb"[^\0]{1,79}\0\0")
"""How an iTXt part begins that is not compressed."""
_MOST_PARTS = 65_536
_MOST_INFLATED = 1032
"""Times that deflate can make data smaller."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_BARE = {(8, 0): "L", (8, 2): "RGB"}
"""Depth and colour type of the PNGs that `bare_png` takes, and what Pillow calls their pixels."""
_QUIET = {b"gAMA": 4, b"pHYs": 9, b"sRGB": 1}
"""Parts of a PNG that change no pixel here, and their bytes."""
_SMALL_BYTES = 64 * 1024
"""Of larger files decoding takes so much longer than opening that it does not matter."""


def read_png(data: bytes) -> Header:
    """Return what a PNG file takes to decode.

    Raises:
        Invalid: it has more parts than any file has.
    """
    try:
        width, height, depth, colours = struct.unpack_from(">IIBB", data, 16)
    except struct.error:
        raise cut_short("PNG") from None
    place, parts, packed, kept = len(_PNG), 0, 0, [(0, len(_PNG))]
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + size
        if kind in _DROPPED and not (kind == b"iTXt" and _PLAIN_TEXT.match(data, place + 8)):
            kept.append((end, end))
        else:
            kept[-1] = kept[-1][0], end
        packed += size if kind == b"IDAT" else 0
        place, parts = end, parts + 1
        if parts > _MOST_PARTS:
            raise unreadable(f"the PNG picture has more than {_MOST_PARTS} parts; save it anew")
        if kind == b"IEND":
            break
    whole = width * height * _CHANNELS.get(colours, 1) * depth // 8 <= packed * _MOST_INFLATED
    clean = b"".join(data[first:last] for first, last in kept) if len(kept) > 1 else None
    wide = colours in (2, 4, 6)
    return Header("PNG", width, height, 4 if wide else 2 if depth == 16 else 1, whole=whole, data=clean)


def declared_pixels(data: bytes) -> int | None:
    """Return how many pixels a PNG file says that it has; None where it says none.

    Its parts are not walked through: each pixel is the same work, whatever they are, and `bare_png` reads them anyway.
    """
    try:
        width, height = struct.unpack_from(">II", data, 16)
    except struct.error:
        return None
    return width * height or None


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
