"""JPEG: its segments up to the first scan, and how many scans follow."""

from __future__ import annotations

import struct

from app.pictures.headers.header import Header, cut_short, unreadable

SIGNATURES = (b"\xff\xd8\xff",)
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that the size of the picture follows."""
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_SCAN, _NOTES = 0xDA, 0xE1
_MOST_SEGMENTS = 4096
_MOST_NOTES = 256
"""Segments of EXIF or XMP, which are joined one after the other."""
_SCANS_EACH = 16
"""Scans that make as much work as the pixels of an ordinary picture; those of cameras and pages have ten."""


def read_jpeg(data: bytes) -> Header:
    """Return what a JPEG file takes to decode.

    Raises:
        Invalid: it has no frame before its first scan, or more segments than any file has.
    """
    place, notes = 2, 0
    width = height = colours = kind = 0
    try:
        for _ in range(_MOST_SEGMENTS):
            if data[place] != 0xFF:
                # decoders look for the next marker
                place = data.index(b"\xff", place)
            marker = data[place + 1]
            if marker in _FRAMES:
                height, width, colours = struct.unpack_from(">HHB", data, place + 5)
                kind = marker
            elif marker == _SCAN:
                return _of_scans(data, place, (width, height), colours, kind)
            elif marker == _NOTES:
                notes += 1
                if notes > _MOST_NOTES:
                    raise unreadable(
                        f"the JPEG picture has more than {_MOST_NOTES} segments of notes; save it anew"
                    )
            if marker in (0x00, 0xFF):
                place += 1
            else:
                place += 2 if marker in _ALONE else 2 + struct.unpack_from(">H", data, place + 2)[0]
    except (struct.error, IndexError, ValueError):
        raise cut_short("JPEG") from None
    raise unreadable(
        f"the JPEG picture has more than {_MOST_SEGMENTS} segments before its pixels; save it anew"
    )


def _of_scans(data: bytes, place: int, size: tuple[int, int], colours: int, kind: int) -> Header:
    if not kind:
        raise unreadable("the JPEG picture has no frame before its first scan")
    scans = data.count(b"\xff\xda", place)
    # coefficients of 16 bits are kept of all scans but a single one of all colours
    kept = 2 * colours if kind in _PROGRESSIVE or data[place + 4] < colours else 0
    each = (1 if colours == 1 else 4) + kept
    return Header("JPEG", *size, each, max(1, scans // _SCANS_EACH))
