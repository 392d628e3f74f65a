"""Numbers become the same bytes in every mode and format of a picture: never clipped, guessed, or silently black."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from app.api.pictures import PictureSpec
from app.errors import Invalid
from app.pictures.bounds import Bounds
from app.pictures.decode import decode

RAMP = np.linspace(0, 255, 16).round().astype(np.uint8).reshape(4, 4)
GREY, COLOUR = PictureSpec(image_shape=(4, 4, 1)), PictureSpec(image_shape=(4, 4, 3))


def save(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def deep(values: np.ndarray, kind: str) -> bytes:
    return save(Image.fromarray(values.astype(np.uint16)), kind)


def read(content: bytes) -> np.ndarray:
    grey, colour = decode(content, GREY, Bounds(1000))[..., 0], decode(content, COLOUR, Bounds(1000))
    assert np.abs(colour.astype(int).mean(axis=2) - grey).max() <= 1
    return grey


@pytest.mark.parametrize(
    ("mode", "kinds", "slack"),
    [
        ("L", ("PNG", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"), 0),
        ("LA", ("PNG", "TIFF", "JPEG2000"), 0),
        ("P", ("PNG", "TIFF", "GIF", "BMP"), 0),
        ("PA", ("TIFF",), 0),
        ("RGB", ("PNG", "TIFF", "PPM", "BMP"), 0),
        ("RGBA", ("PNG", "TIFF", "JPEG2000"), 0),
        ("RGBX", ("TIFF",), 0),
        ("CMYK", ("TIFF", "JPEG2000"), 0),
        ("CMYK", ("JPEG",), 6),
        ("YCbCr", ("TIFF",), 0),
        ("LAB", ("TIFF",), 12),
    ],
)
def test_modes_of_bytes(mode: str, kinds: tuple[str, ...], slack: int) -> None:
    grey = Image.fromarray(RAMP)
    flat = grey.point(lambda value: 128)
    image = Image.merge("LAB", (grey, flat, flat)) if mode == "LAB" else grey.convert(mode)
    for kind in kinds:
        assert np.abs(read(save(image, kind)).astype(int) - RAMP).max() <= slack, kind


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM"])
def test_one_bit(kind: str) -> None:
    image = Image.fromarray(RAMP > 99)
    assert np.array_equal(read(save(image, kind)), (RAMP > 99) * np.uint8(255))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bits_have_the_range_of_their_format(kind: str) -> None:
    assert np.array_equal(read(deep(RAMP * np.uint16(257), kind)), RAMP)
    # A dark picture is not stretched: it would be scaled apart from its neighbours.
    assert np.array_equal(read(deep(RAMP * np.uint16(100), kind)), np.rint(RAMP * np.float64(100 / 257)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG2000"])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_fewer_bits_in_sixteen_are_refused_and_not_black(kind: str, bits: int) -> None:
    with pytest.raises(Invalid, match="would become black"):
        read(deep(RAMP / 255 * ((1 << bits) - 1), kind))
    assert read(deep(RAMP * 0, kind)).max() == 0  # what is black is black


def netpbm(magic: str, most: int) -> bytes:
    values = np.rint(RAMP / 255 * most).astype(">u2" if most > 255 else "u1")
    data = np.repeat(values, 3) if magic == "P6" else values
    return f"{magic} 4 4 {most}\n".encode() + data.tobytes()


@pytest.mark.parametrize("most", [15, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("magic", ["P5", "P6"])
def test_the_greatest_value_that_netpbm_says(magic: str, most: int) -> None:
    assert np.abs(read(netpbm(magic, most)).astype(int) - RAMP).max() <= max(1, 255 // most // 2)


def tiff(bits: int, data: bytes, white_is_zero: bool = False, sample_format: int = 1) -> bytes:
    tags = [
        (256, 4),
        (257, 4),
        (258, bits),
        (259, 1),
        (262, 0 if white_is_zero else 1),
        (273, 8),
        (277, 1),
        (278, 4),
        (279, len(data)),
        (339, sample_format),
    ]
    entries = b"".join(
        struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags
    )
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


def test_the_bits_that_tiff_says() -> None:
    words = (RAMP * np.uint16(257)).astype("<u2").tobytes()
    assert np.array_equal(read(tiff(16, words)), RAMP)
    assert np.array_equal(read(tiff(16, words, white_is_zero=True)), 255 - RAMP)
    assert np.array_equal(read(tiff(8, RAMP.tobytes(), white_is_zero=True)), 255 - RAMP)
    twelve = np.rint(RAMP / 255 * 4095).astype(int).ravel().tolist()
    packed = "".join(f"{value:012b}" for value in twelve)
    twelve_bits = int(packed, 2).to_bytes(len(packed) // 8, "big")
    assert np.abs(read(tiff(12, twelve_bits)).astype(int) - RAMP).max() <= 1


@pytest.mark.parametrize(
    "content",
    [
        save(Image.fromarray(RAMP.astype(np.int32)), "TIFF"),
        save(Image.fromarray(RAMP.astype(np.int32) * 257), "TIFF"),
        save(Image.fromarray(RAMP.astype(np.int32) * 70_000), "TIFF"),
        save(Image.fromarray(RAMP / np.float32(255)), "TIFF"),
        save(Image.fromarray(RAMP.astype(np.float32)), "TIFF"),
        tiff(16, (RAMP.astype("<i2") - 128).tobytes(), sample_format=2),
        b"Pf 4 4 -1.0\n" + (RAMP / 255).astype("<f4").tobytes(),
    ],
    ids=["int32 bytes", "int32 words", "int32", "floats", "floats to 255", "signed", "PFM"],
)
def test_pixels_without_a_range_are_refused_and_not_guessed(content: bytes) -> None:
    with pytest.raises(Invalid, match="no known range"):
        read(content)
