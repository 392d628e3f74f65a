"""Pictures in each format that is read, as they are sent to be predicted or shown."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from functools import partial

from PIL import Image

from app.api.pictures import PictureSpec
from app.pictures.bounds import Bounds
from app.pictures.decode import decode, decode_whole
from app.pictures.files import picture_size
from app.pictures.headers.read import FORMATS
from tests.fuzz.readers.target import REFUSALS, Target

_SPEC = PictureSpec(image_shape=(8, 8, 3), fit="cover")
_BOUNDS = Bounds(500_000)
_PNG = b"\x89PNG\r\n\x1a\n"
_MODES = ("L", "RGB", "RGBA", "P", "1", "LA", "CMYK", "I;16")
_OPTIONS: dict[str, list[dict[str, object]]] = {
    "JPEG": [{"progressive": True}, {"quality": 10, "comment": b"x"}],
    "WEBP": [{"lossless": True}],
    "TIFF": [{"compression": name} for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")],
    "JPEG2000": [{"no_jp2": True}, {"irreversible": True}],
    "AVIF": [{"subsampling": "4:4:4", "speed": 10}],
    "PNG": [{"dpi": (72, 72), "transparency": 1}],
}


def _read(data: bytes) -> None:
    """Read it for a prediction and for showing it: the first refuses what the second does, but need not decode all."""
    picture_size(data)
    try:
        decode(data, _SPEC, _BOUNDS)
    except REFUSALS:
        if data.startswith(_PNG):
            decode(with_checksums(data), _SPEC, _BOUNDS)
        raise
    decode_whole(data, _SPEC, _BOUNDS, 16)


def with_checksums(data: bytes) -> bytes:
    """Return a PNG file whose parts have their right sums: else hardly any change would reach a decoder."""
    found, place = bytearray(data), len(_PNG)
    while place + 12 <= len(found):
        end = place + 8 + struct.unpack_from(">I", found, place)[0]
        if end + 4 > len(found):
            break
        struct.pack_into(">I", found, end, zlib.crc32(found[place + 4 : end]))
        place = end + 4
    return bytes(found)


def _seeds(kind: str) -> Iterator[bytes]:
    for mode in _MODES:
        for options in ({}, *_OPTIONS.get(kind, ())):
            file = io.BytesIO()
            try:
                _picture(mode).save(file, kind, **options)
            except (OSError, ValueError, KeyError):  # this format has no such mode
                continue
            yield file.getvalue()
    if kind in ("GIF", "WEBP", "PNG", "TIFF"):
        file = io.BytesIO()
        frames = [Image.new("P", (5, 4), shade) for shade in range(3)]
        frames[0].save(file, kind, save_all=True, append_images=frames[1:])
        yield file.getvalue()
    if kind == "JPEG":
        file, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (5, 4)).save(file, kind, exif=exif)
        yield file.getvalue()


def _picture(mode: str) -> Image.Image:
    shades = Image.linear_gradient("L").resize((9, 7))
    return (
        shades.convert("I").point(lambda shade: shade * 257).convert(mode)
        if mode == "I;16"
        else shades.convert(mode)
    )


TARGETS = tuple(Target(f"pictures.{kind.lower()}", _read, partial(_seeds, kind)) for kind in FORMATS)
