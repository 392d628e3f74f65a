"""AVIF: a container of boxes, whose word is not taken: what the coded pictures in it say of their size counts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.pictures.headers.av1 import frame_size
from app.pictures.headers.header import Header, cut_short, unreadable

BRANDS = (b"avif", b"avis", b"mif1", b"msf1")
_FULL = {b"meta": 4}
"""Boxes of boxes that begin with other bytes."""
_INSIDE = frozenset({b"meta", b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_MOST_BOXES = 10_000
_DEEPEST = 16
_MOST_ITEMS = 1000
"""Coded pictures: what is seen, how opaque it is, and the tiles of large ones."""
_MOST_TIMES = 3
"""Pixels of all of them, for one of the picture: opacity and a gain map have as many at most."""
_SLACK = 1 << 16
"""Pixels beyond: thumbnails, and what the tiles of a small picture are filled up to."""
_BYTES_EACH = 16
"""Planes of 16 bits with those that filters need, their colours, a copy and the picture."""


def is_avif(data: bytes) -> bool:
    """Tell whether a file may be an AVIF picture by its first bytes."""
    return data[4:8] == b"ftyp" and data[8:12] in BRANDS


@dataclass(slots=True)
class _Found:
    """What is read of the boxes.

    Attributes:
        sizes: width and height of pictures, as the container says.
        kinds: of items, by their numbers.
        places: where the parts of each item lie in the file.
        samples: where the first pictures of tracks lie: offset, and their size.
        boxes: how many were looked at.
    """

    sizes: list[tuple[int, int]] = field(default_factory=list)
    kinds: dict[int, bytes] = field(default_factory=dict)
    places: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    boxes: int = 0


def read_avif(data: bytes) -> Header:
    """Return what an AVIF file takes to decode: all coded pictures in it, whatever the container says of their size.

    Raises:
        Invalid: there is none, one has no size of its own, or the boxes are damaged.
    """
    found = _Found()
    try:
        _read_boxes(data, 0, len(data), found)
        coded = [_picture(data, parts) for parts in _coded(found)]
    except (struct.error, IndexError):
        raise cut_short("AVIF") from None
    if not coded:
        raise unreadable("the AVIF file holds no picture")
    if not found.sizes:
        raise unreadable("the AVIF file does not say how large its picture is")
    # the largest that is declared is what is returned: of a grid the whole, else what is decoded must be as large
    width, height = max(found.sizes, key=lambda size: size[0] * size[1])
    pixels = sum(across * down for across, down in coded)
    across, down = max(coded, key=lambda size: size[0] * size[1])
    if across * down > width * height + _SLACK or pixels > _MOST_TIMES * width * height + _SLACK:
        raise unreadable(
            f"the AVIF file says that its picture has {width}x{height} pixels, and holds {pixels} pixels in pictures "
            f"of up to {across}x{down}"
        )
    return Header(
        "AVIF", width, height, _BYTES_EACH, extra=max(0, pixels - width * height) * _BYTES_EACH // 2
    )


def _coded(found: _Found) -> Iterator[list[tuple[int, int]]]:
    """Yield where each coded picture lies."""
    items = [number for number, kind in found.kinds.items() if kind == b"av01"]
    if len(items) > _MOST_ITEMS:
        raise unreadable(f"the AVIF file holds more than {_MOST_ITEMS} pictures")
    for number in items:
        yield found.places.get(number, [])
    for place in zip(found.offsets, found.lengths, strict=False):
        yield [place]


def _picture(data: bytes, parts: list[tuple[int, int]]) -> tuple[int, int]:
    content = b"".join(data[first : first + length if length else None] for first, length in parts)
    size = frame_size(content)
    if size is None:
        raise unreadable("a picture in the AVIF file does not say how large it is")
    return size


def _read_boxes(data: bytes, place: int, end: int, found: _Found, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise unreadable(f"the AVIF file has boxes {depth} deep; save it anew")
    idat = None
    locations = []
    while place + 8 <= end:
        found.boxes += 1
        if found.boxes > _MOST_BOXES:
            raise unreadable(f"the AVIF file has more than {_MOST_BOXES} boxes; save it anew")
        kind, first, last = _box(data, place, end)
        if kind in _INSIDE:
            _read_boxes(data, first + _FULL.get(kind, 0), last, found, depth + 1)
        elif kind == b"ispe":
            found.sizes.append(struct.unpack_from(">II", data, first + 4))
        elif kind == b"tkhd":
            _track_size(data, last, found)
        elif kind == b"iinf":
            _read_kinds(data, first, last, found)
        elif kind == b"idat":
            idat = first
        elif kind == b"iloc":
            locations.append((first, last))
        elif kind in (b"stco", b"co64", b"stsz"):
            _read_samples(data, kind, first, found)
        place = last
    for first, _ in locations:
        _read_places(data, first, idat, found)


def _box(data: bytes, place: int, end: int) -> tuple[bytes, int, int]:
    """Return the kind of a box, where its content begins, and where it ends."""
    size, kind = struct.unpack_from(">I4s", data, place)
    first = place + 8
    if size == 1:
        (size,) = struct.unpack_from(">Q", data, first)
        first += 8
    last = end if size == 0 else place + size
    if not first <= last <= end:
        raise cut_short("AVIF")
    return kind, first, last


def _track_size(data: bytes, last: int, found: _Found) -> None:
    width, height = struct.unpack_from(">II", data, last - 8)
    found.sizes.append((width >> 16, height >> 16))


def _read_kinds(data: bytes, place: int, last: int, found: _Found) -> None:
    version = data[place]
    place += 6 if version == 0 else 8
    while place + 8 <= last:
        size, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"infe" and data[place + 8] >= 2:
            wide = data[place + 8] >= 3
            number, _, item = struct.unpack_from(">IH4s" if wide else ">HH4s", data, place + 12)
            if len(found.kinds) > _MOST_BOXES:
                raise unreadable(f"the AVIF file has more than {_MOST_BOXES} items; save it anew")
            found.kinds[number] = item
        if size < 8:
            raise cut_short("AVIF")
        place += size


def _read_places(data: bytes, place: int, idat: int | None, found: _Found) -> None:
    version, sizes, more = data[place], data[place + 4], data[place + 5]
    place += 6
    offset_size, length_size = sizes >> 4, sizes & 15
    base_size, index_size = more >> 4, more & 15 if version else 0
    (count,) = struct.unpack_from(">I" if version == 2 else ">H", data, place)
    place += 4 if version == 2 else 2
    if count > _MOST_BOXES:
        raise unreadable(f"the AVIF file has more than {_MOST_BOXES} items; save it anew")

    def number(size: int) -> int:
        nonlocal place
        if place + size > len(data):
            raise cut_short("AVIF")
        place += size
        return int.from_bytes(data[place - size : place], "big")

    for _ in range(count):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_size)
        parts = []
        for _ in range(number(2)):
            number(index_size)
            first, length = base + number(offset_size), number(length_size)
            if method == 1:
                first += idat or 0
            parts.append((first, length))
            found.boxes += 1
        if method > 1 or found.boxes > _MOST_BOXES:
            raise unreadable("the AVIF file has items that lie in others, or in too many parts; save it anew")
        found.places[item] = parts


def _read_samples(data: bytes, kind: bytes, place: int, found: _Found) -> None:
    """Note where the first picture of a track lies; no other is decoded."""
    if kind == b"stsz":
        size, count = struct.unpack_from(">II", data, place + 4)
        if count:
            found.lengths.append(size or struct.unpack_from(">I", data, place + 12)[0])
    elif struct.unpack_from(">I", data, place + 4)[0]:
        found.offsets.append(struct.unpack_from(">Q" if kind == b"co64" else ">I", data, place + 8)[0])
