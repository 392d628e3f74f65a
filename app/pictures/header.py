"""What a picture says of itself in its first bytes, without a decoder."""

from __future__ import annotations

import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_HIDDEN = (b"zTXt", b"iTXt", b"iCCP")
"""Parts of a PNG that are inflated too: a few kilobytes of them can stand for megabytes."""
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
        if any(part in data for part in _HIDDEN):
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
