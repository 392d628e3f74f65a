"""What pictures declare, compared with what a decoder finds."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from app.pictures.headers.quick import declared_work
from app.pictures.headers.read import read_header


def saved(kind: str, size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 7).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (300, 7), (640, 480)])
def test_png_and_jpeg_declare_what_they_have(mode: str, size: tuple[int, int]) -> None:
    files = [
        saved("PNG", size, mode),
        saved("JPEG", size, mode),
        saved("JPEG", size, mode, progressive=True, dpi=(300, 300), comment=b"\xff\xc0 none of this counts"),
    ]
    for file in files:
        assert declared_work(file) == size[0] * size[1]


def test_what_inflates_to_more_than_pixels_is_never_inflated() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("note", "a" * 500_000, zip=True)
    for file in (saved("PNG", (9, 9), pnginfo=notes), saved("PNG", (9, 9), icc_profile=bytes(1000))):
        assert declared_work(file) == 81
        seen = read_header(file).data
        assert seen is not None
        assert Image.open(io.BytesIO(seen)).info == {}


def test_others_declare_nothing() -> None:
    for file in (
        saved("GIF", (9, 9)),
        saved("BMP", (9, 9)),
        b"",
        b"\x89PNG\r\n\x1a\n",
    ):
        assert declared_work(file) is None


@given(
    st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b""]), st.binary(max_size=60), st.integers(0, 700)
)
def test_damaged_files_are_no_trouble(head: bytes, rest: bytes, cut: int) -> None:
    declared_work(head + rest)
    declared_work(saved("JPEG", (8, 8))[:cut])
