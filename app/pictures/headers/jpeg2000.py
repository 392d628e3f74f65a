"""JPEG 2000: the main header and those of all tile parts, which say how the pixels are cut."""

from __future__ import annotations

import struct

from app.pictures.headers.header import Header, cut_short, unreadable

SIGNATURES = (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")
_CODESTREAM = SIGNATURES[0]
_MOST_BOXES = 1000
_MOST_TILES = 1024
"""The decoder allocates six kilobytes for each before it looks at any."""
_MOST_CHANNELS = 4
_MOST_BITS = 16
_MOST_MARKERS = 100_000
_MOST_LAYERS = 1024
_LEAST_PRECINCT = 5
"""As a power of two: of smaller ones there are as many as pixels, with a record for each."""
_WEIGHT = 4
"""Each bit of each number is decoded by itself."""
_TILE_PART, _DATA, _END = 0xFF90, 0xFF93, 0xFFD9
_STYLE, _OWN_STYLE, _REGION = 0xFF52, 0xFF53, 0xFF5E


def read_jpeg2000(data: bytes) -> Header:
    """Return what a JPEG 2000 file takes to decode.

    Raises:
        Invalid: it has more channels, tiles or parts than pictures have that are read here.
    """
    try:
        start = 0 if data.startswith(_CODESTREAM) else _codestream(data)
        right, bottom, left, top, across, down, first_x, first_y, channels = struct.unpack_from(
            ">8IH", data, start + 8
        )
        width, height = right - left, bottom - top
        if not (width > 0 and height > 0 and across and down):
            raise unreadable("the JPEG 2000 picture has no pixels")
        if channels > _MOST_CHANNELS:
            raise unreadable(
                f"the JPEG 2000 picture has {channels} channels; at most {_MOST_CHANNELS} are read"
            )
        deepest = max((data[start + 42 + 3 * number] & 0x7F) + 1 for number in range(channels))
        if deepest > _MOST_BITS:
            raise unreadable(
                f"the JPEG 2000 picture has {deepest} bits in a number; at most {_MOST_BITS} are read"
            )
        tiles = -(-(right - first_x) // across) * -(-(bottom - first_y) // down)
        if tiles > _MOST_TILES:
            raise unreadable(
                f"the JPEG 2000 picture is cut into {tiles} tiles; at most {_MOST_TILES} are read"
            )
        _check_markers(data, start + 2)
    except (struct.error, IndexError, ValueError, OverflowError):  # a size of 64 bits may be beyond all files
        raise cut_short("JPEG 2000") from None
    return Header("JPEG2000", width, height, 5 * channels + 4, _WEIGHT)


def _codestream(data: bytes) -> int:
    """Return where in the boxes of a file the first picture begins, which is the one that is decoded."""
    place = 0
    for _ in range(_MOST_BOXES):
        size, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, place + 8)
            head = 16
        if kind == b"jp2c":
            if not data.startswith(_CODESTREAM, place + head):
                break
            return place + head
        if size < head:
            break
        place += size
    raise unreadable("the JPEG 2000 file holds no picture")


def _check_markers(data: bytes, place: int) -> None:
    """Look at all headers, up to the end of the file or of the picture."""
    begin, size = 0, 0
    for _ in range(_MOST_MARKERS):
        if place + 2 > len(data):
            return
        (marker,) = struct.unpack_from(">H", data, place)
        if marker == _END:
            return
        if marker == _DATA:
            if not size:
                return  # the last part reaches to the end
            place = begin + size
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        if marker == _TILE_PART:
            begin, (size,) = place, struct.unpack_from(">I", data, place + 6)
            if 0 < size < 14:
                raise unreadable("the JPEG 2000 picture has a tile part of no length")
        elif marker == _REGION:
            raise unreadable("the JPEG 2000 picture has a region of interest, which is not read")
        elif marker == _STYLE:
            _check_style(data, place + 9, data[place + 4], struct.unpack_from(">H", data, place + 6)[0])
        elif marker == _OWN_STYLE:
            _check_style(data, place + 6, data[place + 5], 1)
        place += 2 + length
    raise unreadable(f"the JPEG 2000 picture has more than {_MOST_MARKERS} parts; save it anew")


def _check_style(data: bytes, place: int, flags: int, layers: int) -> None:
    if layers > _MOST_LAYERS:
        raise unreadable(f"the JPEG 2000 picture has {layers} layers; at most {_MOST_LAYERS} are read")
    if flags & 1:
        for size in data[place + 5 : place + 6 + data[place]]:
            if min(size & 15, size >> 4) < _LEAST_PRECINCT:
                raise unreadable(
                    "the JPEG 2000 picture is cut into precincts of less than 32 pixels; save it without any"
                )
