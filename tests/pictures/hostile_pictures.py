"""Pictures that are small files and would be dear to decode, made here and never stored; a few for each format."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

MIB = 1 << 20


def saved(kind: str, size: tuple[int, int] = (8, 8), mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 7).save(file, kind, **options)
    return file.getvalue()


def hostile_pictures() -> Iterator[tuple[str, str, bytes]]:
    """Yield the format of each, what is wrong with it, and the file."""
    for kind, found in (
        ("PNG", _png()),
        ("JPEG", _jpeg()),
        ("GIF", _gif()),
        ("WEBP", _webp()),
        ("BMP", _bmp()),
        ("TIFF", _tiff()),
        ("PPM", _ppm()),
        ("JPEG2000", _jpeg2000()),
        ("AVIF", _avif()),
    ):
        for name, data in found:
            yield kind, name, data


def _part(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png() -> Iterator[tuple[str, bytes]]:
    def png(width: int, height: int, *parts: bytes, depth: int = 8, colours: int = 6) -> bytes:
        head = _part(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + b"".join(parts) + _part(b"IEND")

    rows = _part(b"IDAT", zlib.compress(bytes(1000)))
    yield "of more pixels than are decoded", png(25_001, 1000, rows)
    yield "of more than four thousand million", png(2**31 - 1, 2**31 - 1, rows, depth=16)
    yield "long and thin", png(MIB, 1, _part(b"IDAT", zlib.compress(bytes(4 * MIB + 1))))
    yield "a few bytes that say that they are many pixels", png(5000, 5000, rows)
    yield "a million parts", png(4, 4, _part(b"IDAT") * MIB)
    bomb = zlib.compress(bytes(60 * MIB), 1)
    yield "notes that inflate, and no pixels", png(5000, 5000, *[_part(b"zTXt", b"a\0\0" + bomb)] * 9)
    yield "a profile that inflates, and no pixels", png(5000, 5000, _part(b"iCCP", b"a\0\0" + bomb))


def _jpeg() -> Iterator[tuple[str, bytes]]:
    whole = saved("JPEG", (4000, 4000), "L", progressive=True)
    scan = whole.rindex(b"\xff\xda")
    yield "ten thousand scans", whole[:-2] + whole[scan:-2] * 10_000 + whole[-2:]
    yield "of 65,535 x 65,535 pixels", _sized_jpeg(saved("JPEG"), 65_535, 65_535)
    yield "a million comments", whole[:2] + b"\xff\xfe\0\2" * MIB + whole[2:]
    notes = b"\xff\xe1\xff\xff" + b"Exif\0\0".ljust(65_533, b"x")
    yield "a thousand segments of EXIF", whole[:2] + notes * 1000 + whole[2:]
    yield "sixteen million filling bytes", whole[:2] + b"\xff" * 16 * MIB + whole[2:]


def _sized_jpeg(data: bytes, width: int, height: int) -> bytes:
    place = data.index(b"\xff\xc0")
    return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]


def _gif() -> Iterator[tuple[str, bytes]]:
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
    frame = b"," + struct.pack("<4HB", 0, 0, 65_535, 65_535, 0) + b"\2\1\0\0;"
    yield "a picture beyond its canvas", head + frame
    yield "a note of many parts", head + b"!\xfe" + b"\1x" * 8 * MIB + b"\0" + frame
    yield "many notes", head + b"!\xfe\1x\0" * 4 * MIB + frame
    yield "no picture", head + b"\0" * 8 * MIB


def _webp() -> Iterator[tuple[str, bytes]]:
    inner = saved("WEBP")[12:]
    wide = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + (16_383).to_bytes(3, "little") * 2

    def riff(content: bytes) -> bytes:
        return b"RIFF" + struct.pack("<I", len(content) + 4) + b"WEBP" + content

    yield "a canvas of 268 megapixels", riff(wide + inner)
    small = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + (7).to_bytes(3, "little") * 2
    yield "a million parts", riff(small + b"none\0\0\0\0" * MIB + inner)


def _bmp() -> Iterator[tuple[str, bytes]]:
    def bmp(width: int, height: int, packed: int, bits: int, content: bytes) -> bytes:
        head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packed, len(content), 0, 0, 0, 0)
        palette = bytes(4 << bits) if bits <= 8 else b""
        start = 14 + len(head) + len(palette)
        return b"BM" + struct.pack("<IHHI", start + len(content), 0, 0, start) + head + palette + content

    yield "runs that are unpacked by Python", bmp(5000, 5000, 1, 8, b"\1\7" * 25_000)
    yield "runs of four bits", bmp(5000, 5000, 2, 4, b"\xff\x77" * 98_100)
    yield "more runs than pixels", bmp(10, 10, 1, 8, b"\1\7" * 4 * MIB)
    yield "a few bytes that say that they are many pixels", bmp(5000, 5000, 0, 24, bytes(100))
    yield "a height below zero", bmp(20_000, -20_000, 0, 24, bytes(100))


def _tiff() -> Iterator[tuple[str, bytes]]:
    def tiff(entries: dict[int, tuple[int, int, int]], behind: bytes = b"") -> bytes:
        listed = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items()))
        return b"II\x2a\0" + struct.pack("<IH", 8, len(entries)) + listed + bytes(4) + behind

    def picture(side: int, packed: int, **more: tuple[int, int, int]) -> dict[int, tuple[int, int, int]]:
        plain = {256: (4, 1, side), 257: (4, 1, side), 258: (3, 1, 8), 259: (3, 1, packed), 262: (3, 1, 1)}
        return plain | {277: (3, 1, 1)} | {int(tag[1:]): entry for tag, entry in more.items()}

    strip = {"_273": (4, 1, 8), "_278": (4, 1, 2**31), "_279": (4, 1, 100)}
    tile = {"_322": (4, 1, 60_000), "_323": (4, 1, 60_000), "_324": (4, 1, 8), "_325": (4, 1, 100)}
    yield "tiles far larger than the picture", tiff(picture(10, 8, **tile), bytes(1000))
    yield "LZMA, which asks for gigabytes", tiff(picture(10, 34_925, **strip), bytes(1000))
    yield "zstandard", tiff(picture(10, 50_000, **strip), bytes(1000))
    yield "a few bytes that say that they are many pixels", tiff(picture(5000, 1, **strip), bytes(1000))
    many = {"_273": (4, 4 * MIB, 200), "_278": (4, 1, 1), "_279": (4, 4 * MIB, 200)}
    yield "millions of strips", tiff(picture(4999, 1, **many), bytes(25 * MIB))
    yield "of more pixels than are decoded", tiff(picture(60_000, 5, **strip), bytes(1000))
    entries = dict.fromkeys(range(1, 60_000), (2, MIB, 0))
    yield "sixty thousand entries of the same megabyte", tiff(entries, bytes(MIB))
    scans = b"\xff\xd8" + b"\xff\xda\0\2" * 10_000
    yield "JPEG of many scans inside", tiff(picture(1000, 7, **strip), scans)
    nothing: dict[int, tuple[int, int, int]] = {}
    yield "a directory of nothing", tiff(nothing)


def _ppm() -> Iterator[tuple[str, bytes]]:
    yield "of more pixels than are decoded", b"P6 50000 50000 255\n"
    yield "a few bytes that say that they are many pixels", b"P6 5000 5000 255\n"
    yield "numbers as text, which Python reads", b"P2 5000 5000 255\n" + b"7 " * 25_000_000
    yield "numbers that Python scales", b"P5 5000 5000 254\n" + bytes(25_000_000)
    yield "comments among numbers", b"P2 900 900 255\n" + b"#\n" * 4 * MIB + b"7 " * 810_000
    yield "a comment of megabytes in its header", b"P6 #" + b"x" * 32 * MIB + b"\n1 1 255\nabc"


def _jpeg2000() -> Iterator[tuple[str, bytes]]:
    whole = saved("JPEG2000", (64, 64), no_jp2=True)
    size = whole.index(b"\xff\x51") + 4

    def sized(**changes: int) -> bytes:
        names = ("right", "bottom", "left", "top", "across", "down", "first_x", "first_y")
        values = dict(zip(names, struct.unpack_from(">8I", whole, size + 2), strict=True)) | changes
        return whole[: size + 2] + struct.pack(">8I", *values.values()) + whole[size + 34 :]

    yield "65,000 tiles", sized(right=255, bottom=255, across=1, down=1)
    yield "of more pixels than are decoded", sized(right=50_000, bottom=50_000, across=50_000, down=50_000)
    yield "of pixels that cost four times as much", sized(right=4000, bottom=4000, across=4000, down=4000)
    yield "sixteen thousand channels", whole[: size + 34] + struct.pack(">H", 16_384) + whole[size + 36 :]
    style = whole.index(b"\xff\x52")
    (length,) = struct.unpack_from(">H", whole, style + 2)
    cut = bytes([whole[style + 4] | 1]) + whole[style + 5 : style + 2 + length] + bytes(whole[style + 9] + 1)
    yield (
        "precincts of one pixel",
        whole[: style + 2] + struct.pack(">H", len(cut) + 2) + cut + whole[style + 2 + length :],
    )
    part = whole.index(b"\xff\x90")
    yield "a region of interest", whole[:part] + b"\xff\x5e\0\5\0\0\x25" + whole[part:]
    yield "a million parts", whole[:part] + b"\xff\x64\0\2" * MIB + whole[part:]


def _avif() -> Iterator[tuple[str, bytes]]:
    whole = saved("AVIF", (3000, 3000), speed=10)
    ispe = whole.index(b"ispe") + 8
    yield (
        "a container that says that it is small",
        whole[:ispe] + struct.pack(">II", 30, 30) + whole[ispe + 8 :],
    )
    yield (
        "a container that says that it is large",
        whole[:ispe] + struct.pack(">II", 30_000, 30_000) + whole[ispe + 8 :],
    )
    ftyp = struct.unpack_from(">I", whole)[0]
    yield "a million boxes", whole[:ftyp] + b"\0\0\0\x08free" * MIB + whole[ftyp:]
    yield "boxes in boxes", whole[:ftyp] + _nested(200_000) + whole[ftyp:]


def _nested(depth: int) -> bytes:
    sizes = range(8 * depth, 0, -8)
    return b"".join(struct.pack(">I", size) + b"moov" for size in sizes)
