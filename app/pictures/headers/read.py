"""The formats of pictures that are read here, and the one place that looks at a file before a decoder does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.pictures.headers import bmp, gif, jpeg, jpeg2000, png, ppm, tiff
from app.pictures.headers.avif import is_avif, read_avif
from app.pictures.headers.header import Header, unreadable
from app.pictures.headers.webp import is_webp, read_webp


@dataclass(frozen=True, slots=True)
class _Format:
    """How a format is told by the first bytes of a file, and what reads its header."""

    begins: Callable[[bytes], bool]
    read: Callable[[bytes], Header]


def _signed(signatures: tuple[bytes, ...], read: Callable[[bytes], Header]) -> _Format:
    return _Format(lambda data: data.startswith(signatures), read)


_FORMATS: Mapping[str, _Format] = {
    "PNG": _signed(png.SIGNATURES, png.read_png),
    "JPEG": _signed(jpeg.SIGNATURES, jpeg.read_jpeg),
    "GIF": _signed(gif.SIGNATURES, gif.read_gif),
    "WEBP": _Format(is_webp, read_webp),
    "BMP": _signed(bmp.SIGNATURES, bmp.read_bmp),
    "TIFF": _signed(tiff.SIGNATURES, tiff.read_tiff),
    "PPM": _signed(ppm.SIGNATURES, ppm.read_ppm),
    "JPEG2000": _signed(jpeg2000.SIGNATURES, jpeg2000.read_jpeg2000),
    "AVIF": _Format(is_avif, read_avif),
}
FORMATS = tuple(_FORMATS)
"""What is read, by content and never by file name; PPM stands for PBM, PGM and PPM. Formats that run programs (EPS) or
that have no signature (TGA) stay out."""


def read_header(data: bytes) -> Header:
    """Return what decoding a picture file will take, by what the file says.

    It takes milliseconds and next to no memory, whatever the file is.

    Raises:
        Invalid: it is empty or no picture, damaged, or one whose work no header bounds.
    """
    if not data:
        raise unreadable("the file is empty")
    for each in _FORMATS.values():
        if each.begins(data):
            found = each.read(data)
            if found.pixels < 1:
                raise unreadable(f"the {found.format} picture has no pixels")
            return found
    raise unreadable(f"this is no picture in a format that is read here ({', '.join(FORMATS)})")
