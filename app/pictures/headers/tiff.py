"""TIFF: the directory of the first picture, and how its pixels are cut and packed."""

from __future__ import annotations

import struct

from app.pictures.headers.header import Header, cut_short, unreadable

SIGNATURES = (b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b")
_MOST_ENTRIES = 4096
_MOST_PIECES = 65_536
"""Strips or tiles; a record is made of each."""
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Bytes of a value of each type."""
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _LENGTH, _BITS, _PACKED, _SAMPLES, _ROWS, _PLANAR = 256, 257, 258, 259, 277, 278, 284
_STRIPS, _TILE_WIDTH, _TILE_LENGTH, _TILES = 273, 322, 323, 324
_JPEG = 7
_METHODS = {
    1: "none", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", _JPEG: "JPEG", 8: "deflate", 32773: "PackBits",
    32946: "deflate",
}  # fmt: skip
"""Ways of packing whose work is bounded by the pixels; the others can ask for gigabytes, or for much time."""
_MOST_SAMPLES = 8
_SMALL_PIECE = 1 << 20
_WHOLE = 2**32 - 1
"""What rows of a strip are where there is one strip."""


def read_tiff(data: bytes) -> Header:
    """Return what the first picture of a TIFF file takes to decode.

    Raises:
        Invalid: it is packed or cut in a way whose work cannot be told before, or its directory is damaged.
    """
    try:
        found = _Directory(data)
    except (struct.error, OverflowError):  # a place of 64 bits may be beyond all files
        raise cut_short("TIFF") from None
    width, height = found.number(_WIDTH), found.number(_LENGTH)
    packed, samples, bits = found.number(_PACKED, 1), found.number(_SAMPLES, 1), found.number(_BITS, 1)
    if packed not in _METHODS:
        known = ", ".join(dict.fromkeys(_METHODS.values()))
        raise unreadable(f"the TIFF picture is packed by method {packed}; save it with one of {known}")
    if not 1 <= samples <= _MOST_SAMPLES or not 1 <= bits <= 64:
        raise unreadable(
            f"the TIFF picture has {samples} samples of {bits} bits in a pixel; save it with 8 or 16 bits"
        )
    planes = samples if found.number(_PLANAR, 1) == 2 else 1
    pieces, piece = _cut(found, width, height)
    if pieces * planes > _MOST_PIECES or max(found.count(_STRIPS), found.count(_TILES)) > _MOST_PIECES:
        raise unreadable(
            f"the TIFF picture is cut into more than {_MOST_PIECES} pieces; save it with larger strips"
        )
    whole = packed != 1 or width * height * samples * bits // 8 <= len(data)
    if packed == _JPEG and (b"\xff\xc2" in data or data.count(b"\xff\xda") > 4 * (pieces * planes + 4)):
        raise unreadable("the TIFF picture holds JPEG pictures of many scans; save it with deflate or LZW")
    depth = max(1, samples * bits // 8)
    return Header(
        "TIFF", width, height, 4 + depth, extra=0 if packed == 1 else 2 * piece * depth, whole=whole
    )


def _cut(found: _Directory, width: int, height: int) -> tuple[int, int]:
    """Return into how many pieces the pixels are cut, and how many pixels a piece has."""
    if found.count(_TILES):
        across, down = found.number(_TILE_WIDTH), found.number(_TILE_LENGTH)
        if across * down > max(_SMALL_PIECE, 4 * width * height):
            raise unreadable(
                f"the TIFF picture of {width}x{height} pixels is cut into tiles of {across}x{down}"
            )
        return -(-width // max(1, across)) * -(-height // max(1, down)), across * down
    rows = min(found.number(_ROWS, _WHOLE), height)
    return -(-height // max(1, rows)), width * rows


class _Directory:
    """The entries of the first directory of a file."""

    def __init__(self, data: bytes) -> None:
        order = "<" if data[:2] == b"II" else ">"
        large = 0x2B in data[2:4]
        (first,) = struct.unpack_from(f"{order}Q" if large else f"{order}I", data, 8 if large else 4)
        count, entry, head = ("Q", "HHQ8s", 8) if large else ("H", "HHI4s", 2)
        (entries,) = struct.unpack_from(order + count, data, first)
        if entries > _MOST_ENTRIES:
            raise unreadable(f"the TIFF picture has {entries} entries in its directory; save it anew")
        self._order, self._data = order, data
        self._entries: dict[int, tuple[int, int, bytes]] = {}
        form = struct.Struct(order + entry)
        for number in range(entries):
            tag, kind, values, content = form.unpack_from(data, first + head + number * form.size)
            if tag in self._entries:
                raise unreadable(f"the TIFF picture has two entries {tag} in its directory; save it anew")
            size = _SIZES.get(kind, 1) * values
            if size > len(data):
                raise cut_short("TIFF")
            self._entries[tag] = kind, values, content

    def count(self, tag: int) -> int:
        """Return how many values an entry has; 0 where there is none."""
        return self._entries.get(tag, (0, 0, b""))[1]

    def number(self, tag: int, default: int | None = None) -> int:
        """Return the first value of an entry.

        Raises:
            Invalid: it is no integer, or there is none and no default.
        """
        if tag not in self._entries:
            if default is None:
                raise unreadable(f"the TIFF picture has no entry {tag} in its directory")
            return default
        kind, values, content = self._entries[tag]
        if kind not in _INTEGERS or not values:
            raise unreadable(f"the TIFF picture's entry {tag} is no integer")
        form = self._order + _INTEGERS[kind]
        size = struct.calcsize(form)
        if size * values > len(content):
            (place,) = struct.unpack(f"{self._order}{'Q' if len(content) == 8 else 'I'}", content)
            value = struct.unpack_from(form, self._data, place)[0] if place + size <= len(self._data) else 0
        else:
            value = struct.unpack_from(form, content)[0]
        return int(value)
