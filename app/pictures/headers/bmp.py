"""BMP: pixels as they are, or packed in runs."""

from __future__ import annotations

import struct

from app.pictures.headers.header import Header, cut_short, unreadable

SIGNATURES = (b"BM",)
_PLAIN = (0, 3)
_RUNS = (1, 2)
_RUN_WEIGHT = 25
"""Runs are unpacked by Python, a microsecond for each and for each pixel of some."""


def read_bmp(data: bytes) -> Header:
    """Return what a BMP file takes to decode.

    Raises:
        Invalid: it has more runs than pixels, or is packed in a way that is not read.
    """
    try:
        (size,) = struct.unpack_from("<I", data, 14)
        if size == 12:
            width, height, _, bits = struct.unpack_from("<4H", data, 18)
            packed = 0
        elif size >= 40:
            width, height, _, bits, packed = struct.unpack_from("<IiHHI", data, 18)
            height = abs(height)
        else:
            raise unreadable(f"the BMP picture has a header of {size} bytes, which is not known")
    except struct.error:
        raise cut_short("BMP") from None
    if packed in _RUNS:
        if len(data) > 4 * width * height + size + 4096:
            raise unreadable("the BMP picture has more runs than pixels; save it as PNG")
        return Header("BMP", width, height, 7, _RUN_WEIGHT)
    if packed not in _PLAIN:
        raise unreadable(f"the BMP picture is packed by method {packed}, which is not read; save it as PNG")
    # rows are filled up to four bytes; the last one need not be
    least = (width * bits + 31) // 32 * 4 * (height - 1) + width * bits // 8
    return Header("BMP", width, height, 1 if bits <= 8 else 4, whole=least <= len(data))
