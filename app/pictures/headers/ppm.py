"""PBM, PGM and PPM: numbers in bytes, or written out as text."""

from __future__ import annotations

import re

from app.pictures.headers.header import Header, unreadable

SIGNATURES = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf")
_HEAD = 4096
"""Bytes that a header may have with its comments."""
_SPACE = rb"(?:[ \t\n\x0b\x0c\r]|#[^\r\n]*[\r\n])+"
_SIZE = re.compile(rb"P(.)" + _SPACE + rb"(\d{1,10})" + _SPACE + rb"(\d{1,10})(?=[ \t\n\x0b\x0c\r#])")
_GREATEST = re.compile(_SPACE + rb"(\d{1,10})(?=[ \t\n\x0b\x0c\r#])")
_SLOW = 25
"""What Python decodes, a microsecond for each number."""


def read_ppm(data: bytes) -> Header:
    """Return what a PBM, PGM or PPM file takes to decode.

    Raises:
        Invalid: its header is none, or it has comments among its numbers.
    """
    head = data[:_HEAD]
    found = _SIZE.match(head)
    if found is None:
        raise unreadable(f"the PPM picture has no header in its first {_HEAD} bytes")
    kind, width, height = found[1], int(found[2]), int(found[3])
    place, greatest = found.end(), 1
    if kind not in b"14f":
        more = _GREATEST.match(head, place)
        if more is None:
            raise unreadable(f"the PPM picture has no header in its first {_HEAD} bytes")
        place, greatest = more.end(), int(more[1])
    values = width * height * (3 if kind in b"36" else 1)
    if kind in b"123":
        if b"#" in data[place:]:
            raise unreadable("the PPM picture has comments among its numbers; save it without")
        return Header("PPM", width, height, 12, _SLOW, whole=values <= len(data) - place)
    size = (
        -(-width // 8) * height
        if kind == b"4"
        else values * (4 if kind == b"f" else 2 if greatest > 255 else 1)
    )
    slow = kind in b"56" and not (greatest == 255 or (greatest == 65535 and kind == b"5"))
    return Header(
        "PPM", width, height, 12 if slow else 4, _SLOW if slow else 1, whole=size <= len(data) - place
    )
