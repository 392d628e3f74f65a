"""Small PNGs are decoded without being opened; the same bytes in a file are opened, and say what is right."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.api.pictures import PictureSpec
from app.errors import DomainError
from app.pictures.bounds import Bounds
from app.pictures.decode import decode
from app.pictures.headers.png import bare_png

MODES = ("L", "RGB", "1", "P", "LA", "RGBA", "I;16")
MOST = Bounds(10_000)


def saved(mode: str, width: int, height: int, seed: int, level: int, notes: str) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 2 ** (seed % 9), (height, width, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200)
    elif mode != "RGB":
        image = image.convert(mode)
    options: dict[str, object] = {"compress_level": level}
    if notes == "dpi":
        options["dpi"] = (72, 72)
    elif notes == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"] = exif
    elif notes == "transparent" and mode in ("L", "RGB"):
        options["transparency"] = 0 if mode == "L" else (0, 0, 0)
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def outcome(source: bytes, spec: PictureSpec, *, opened: bool = False) -> object:
    try:
        with pytest.MonkeyPatch.context() as patch:
            if opened:
                patch.setattr("app.pictures.decode.bare_png", lambda _: None)
            pixels = decode(source, spec, MOST)
    except DomainError as error:
        return type(error), error.code, error.detail
    return pixels.shape, pixels.tobytes()


def checked(data: bytes) -> bytes:
    """Give all parts right check sums."""
    found, place = bytearray(data), 8
    while place + 12 <= len(found):
        (size,) = struct.unpack_from(">I", found, place)
        if place + 12 + size > len(found):
            break
        struct.pack_into(">I", found, place + 8 + size, zlib.crc32(found[place + 4 : place + 8 + size]))
        place += 12 + size
    return bytes(found)


pictures = st.builds(
    saved,
    st.sampled_from(MODES),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 1000),
    st.integers(0, 9),
    st.sampled_from(["", "dpi", "turned", "transparent"]),
)
specs = st.builds(
    lambda channels, fit, invert: PictureSpec(image_shape=(9, 8, channels), fit=fit, invert=invert),
    st.sampled_from([1, 3]),
    st.sampled_from(["stretch", "cover", "contain"]),
    st.booleans(),
)


@given(pictures, specs)
def test_the_pixels_are_those_of_the_opened_file(data: bytes, spec: PictureSpec) -> None:
    assert outcome(data, spec) == outcome(data, spec, opened=True)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged notes
@given(
    pictures,
    specs,
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=3),
    st.integers(1, 4000),
    st.binary(max_size=3),
    st.booleans(),
)
def test_what_is_wrong_with_a_damaged_one_is_what_it_is_with_the_opened_file(
    data: bytes, spec: PictureSpec, changes: list[tuple[int, int]], cut: int, behind: bytes, right: bool
) -> None:
    damaged = bytearray(data[:cut] + behind)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    found = checked(damaged) if right else bytes(damaged)
    assert outcome(found, spec) == outcome(found, spec, opened=True)


def test_what_it_is_for_is_taken() -> None:
    for mode in ("L", "RGB"):
        for notes in ("", "dpi"):
            found = bare_png(saved(mode, 28, 20, 8, 6, notes))
            assert found is not None
            assert (found.mode, found.size) == (mode, (28, 20))
    assert bare_png(saved("L", 28, 20, 8, 6, "turned")) is None
    assert bare_png(saved("RGB", 28, 20, 8, 6, "transparent")) is None
    assert bare_png(saved("RGB", 200, 200, 8, 0, "")) is None
