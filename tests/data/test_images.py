"""Pictures of every mode and format become the array they should, and nothing else gets through."""

import contextlib
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from app.api.pictures import PictureSpec
from app.errors import Invalid, TooLarge
from app.pictures.bounds import Bounds
from app.pictures.decode import convert, decode, encode_png

MAX_PIXELS = Bounds(25_000_000)
RED_GREEN_BLUE_WHITE = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
GREY = np.array([[76, 150], [29, 255]], np.uint8)  # the luma of the four


def spec(height: int = 2, width: int = 2, channels: int = 3, **options: str | int) -> PictureSpec:
    return PictureSpec.model_validate({"image_shape": (height, width, channels), **options})


def save(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colours(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(RED_GREEN_BLUE_WHITE).convert(mode)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixel at all."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("WEBP", {"lossless": True}),
        ("JPEG2000", {"irreversible": False}),
    ],
)
def test_lossless_formats_give_the_very_pixels(kind: str, options: dict[str, object]) -> None:
    assert np.array_equal(decode(save(colours(), kind, **options), spec(), MAX_PIXELS), RED_GREEN_BLUE_WHITE)


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("MPO", {"quality": 95}), ("AVIF", {})]
)
def test_lossy_formats_give_nearly_the_pixels(kind: str, options: dict[str, object]) -> None:
    big = np.kron(RED_GREEN_BLUE_WHITE, np.ones((16, 16, 1), np.uint8))
    array = decode(save(Image.fromarray(big), kind, **options), spec(32, 32), MAX_PIXELS)
    assert np.abs(array.astype(int) - big)[4:12, 4:12].max() < 16


def test_gif_gives_its_first_frame() -> None:
    second = Image.new("RGB", (2, 2), "black")
    animation = save(colours(), "GIF", save_all=True, append_images=[second], duration=10)
    assert np.array_equal(decode(animation, spec(), MAX_PIXELS), RED_GREEN_BLUE_WHITE)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "PNG"), ("P", "PNG"), ("P", "GIF"), ("RGBA", "PNG"), ("CMYK", "TIFF"), ("RGBA", "WEBP")],
)
def test_every_colour_mode_gives_the_same_colours(mode: str, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = save(colours(mode), kind, **options)
    assert np.array_equal(decode(picture, spec(), MAX_PIXELS), RED_GREEN_BLUE_WHITE)
    assert np.array_equal(decode(picture, spec(channels=1), MAX_PIXELS)[..., 0], GREY)


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("L", "BMP"), ("LA", "PNG"), ("L", "JPEG")])
def test_grey_stays_grey_and_fills_three_channels(mode: str, kind: str) -> None:
    flat = Image.new("L", (8, 8), 93).convert(mode)
    assert (decode(save(flat, kind), spec(8, 8, 1), MAX_PIXELS) == 93).all()
    assert (decode(save(flat, kind), spec(8, 8, 3), MAX_PIXELS) == 93).all()


def test_one_bit() -> None:
    bits = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    assert decode(save(bits), spec(channels=1), MAX_PIXELS)[..., 0].tolist() == [[0, 255], [255, 0]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    deep = Image.fromarray(np.array([[0, 257], [32768, 65535]], np.uint16))
    assert decode(save(deep, kind), spec(channels=1), MAX_PIXELS)[..., 0].tolist() == [[0, 1], [128, 255]]


def test_pixels_of_unknown_range_are_refused() -> None:
    for pixels in (np.full((2, 2), 70_000, np.int32), np.full((2, 2), 0.5, np.float32)):
        with pytest.raises(Invalid, match="no known range"):
            decode(save(Image.fromarray(pixels), "TIFF"), spec(), MAX_PIXELS)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(("background", "value"), [("#ffffff", 255), ("black", 0), ("#408020", None)])
def test_transparent_pixels_show_the_background(mode: str, background: str, value: int | None) -> None:
    clear = Image.new("RGBA", (2, 2), (10, 200, 30, 0))
    palette = clear.convert("RGB").quantize(2)
    picture = save(palette, transparency=0) if mode == "P" else save(clear.convert(mode))
    array = decode(picture, spec(background=background), MAX_PIXELS)
    expected = (0x40, 0x80, 0x20) if value is None else (value,) * 3
    assert (array == expected).all()


def test_half_transparent_pixels_are_blended() -> None:
    veil = save(Image.new("RGBA", (1, 1), (0, 0, 0, 128)))
    assert decode(veil, spec(1, 1, 1, background="white"), MAX_PIXELS)[0, 0, 0] == 127


def test_a_transparent_colour_shows_the_background() -> None:
    picture = save(colours(), transparency=(0, 255, 0))
    assert decode(picture, spec(background="#010203"), MAX_PIXELS)[0, 1].tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "show"),
    [
        (1, lambda a: a),
        (2, np.fliplr),
        (3, lambda a: np.rot90(a, 2)),
        (4, np.flipud),
        (5, lambda a: a.T),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).T),
        (8, np.rot90),
    ],
)
def test_the_cameras_orientation_is_applied(
    kind: str, orientation: int, show: Callable[[np.ndarray], np.ndarray]
) -> None:
    stored = np.kron(np.array([[0, 255, 255], [90, 90, 180]], np.uint8), np.ones((8, 8), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = show(stored)
    array = decode(save(Image.fromarray(stored), kind, exif=exif), spec(*shown.shape, 1), MAX_PIXELS)[..., 0]
    assert np.abs(array.astype(int) - shown).mean() < 8


def test_damaged_notes_of_the_camera_do_not_matter() -> None:
    picture = save(colours(), "PNG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert np.array_equal(decode(picture, spec(), MAX_PIXELS), RED_GREEN_BLUE_WHITE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF"])
def test_a_truncated_file_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    whole = save(Image.fromarray(noise), kind)
    assert decode(whole, spec(), MAX_PIXELS).shape == (2, 2, 3)
    with pytest.raises(Invalid) as caught:
        decode(whole[: len(whole) * 2 // 3], spec(), MAX_PIXELS)
    assert caught.value.code == "unreadable-picture"


@pytest.mark.parametrize(
    "content",
    [
        b"just some text",
        b"\x00" * 4096,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"P5 -3 5 255 ",
    ],
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        decode(content, spec(), MAX_PIXELS)
    assert caught.value.code == "unreadable-picture"


def test_an_empty_file_says_that_it_is_empty() -> None:
    with pytest.raises(Invalid, match="empty"):
        decode(b"", spec(), MAX_PIXELS)


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (25_000_001, 1), (60_000, 60_000)])
def test_too_many_pixels_are_refused_from_the_header(width: int, height: int) -> None:
    # There is no pixel to decode in this file: decoding it would fail in another way.
    with pytest.raises(TooLarge) as caught:
        decode(png_header(width, height), spec(), MAX_PIXELS)
    assert caught.value.code == "too-many-pixels"
    with pytest.raises(Invalid, match="damaged"):
        decode(png_header(5_000, 5_000), spec(), MAX_PIXELS)


@given(st.binary(max_size=200), st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"]))
def test_damaged_files_raise_nothing_but_our_errors(noise: bytes, kind: str) -> None:
    whole = bytearray(save(colours(), kind))
    start = len(whole) // 4
    whole[start : start + len(noise)] = noise
    with contextlib.suppress(Invalid, TooLarge):
        assert decode(bytes(whole), spec(), Bounds(10_000)).shape == (2, 2, 3)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.sampled_from(["L", "RGB", "RGBA"]))
def test_png_round_trip_changes_nothing(height: int, width: int, channels: int, mode: str) -> None:
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, channels), np.uint8)
    again = decode(encode_png(pixels), spec(height, width, channels), MAX_PIXELS)
    assert np.array_equal(again, pixels)


SIZES = st.tuples(st.integers(1, 200), st.integers(1, 200))


@given(SIZES, SIZES, st.sampled_from(["stretch", "contain", "cover"]), st.sampled_from([1, 3]))
def test_any_size_fits_any_shape(
    size: tuple[int, int], shape: tuple[int, int], fit: str, channels: int
) -> None:
    picture = save(Image.new("RGB", size, (40, 40, 40)))
    array = decode(picture, spec(*shape, channels, fit=fit, background="white"), MAX_PIXELS)
    assert array.shape == (*shape, channels)
    assert array.dtype == np.uint8
    assert array.flags.writeable
    shown = array[..., 0] == 40
    assert (shown | (array[..., 0] == 255)).all(), "nothing but the picture and the background"
    if fit != "contain":
        assert shown.all()
        return
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    assert shown[np.ix_(rows, columns)].all()
    assert len(rows) == shape[0] or len(columns) == shape[1], "one side is filled"
    assert abs(rows[0] - (shape[0] - 1 - rows[-1])) <= 1, "in the middle"
    assert abs(columns[0] - (shape[1] - 1 - columns[-1])) <= 1
    scale = min(shape[1] / size[0], shape[0] / size[1])
    assert abs(len(rows) - size[1] * scale) <= 1
    assert abs(len(columns) - size[0] * scale) <= 1


def test_cover_shows_the_middle_and_stretch_shows_all() -> None:
    stripes = np.repeat(np.array([[10, 20, 20, 30]], np.uint8), 2, axis=0)
    picture = save(Image.fromarray(stripes))
    assert (decode(picture, spec(2, 2, 1, fit="cover"), MAX_PIXELS) == 20).all()
    stretched = decode(picture, spec(2, 2, 1, fit="stretch"), MAX_PIXELS)[0, :, 0]
    assert 10 < stretched[0] < 20 < stretched[1] < 30


@given(SIZES, st.tuples(st.integers(1, 60), st.integers(1, 60)), st.integers(0, 40), st.sampled_from([1, 3]))
@example((30, 30), (5, 39), 10, 1)
def test_resize_is_what_pillow_gives_by_hand(
    size: tuple[int, int], shape: tuple[int, int], more: int, channels: int
) -> None:
    resize = max(shape) + more
    pixels = np.random.default_rng(size[0] * 1000 + size[1]).integers(
        0, 256, (size[1], size[0], channels), np.uint8
    )
    wanted = spec(*shape, channels, fit="cover", resize=resize)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    # the shorter side to `resize`, the longer in proportion; then the middle
    width, height = (round(resize * side / min(size)) for side in size)
    left, top = round((width - shape[1]) / 2), round((height - shape[0]) / 2)
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    expected = np.asarray(scaled.crop((left, top, left + shape[1], top + shape[0]))).reshape(
        wanted.image_shape
    )
    found = decode(save(image), wanted, MAX_PIXELS)
    assert np.array_equal(convert(pixels, wanted), found)
    # Pillow keeps the corners of a box as float32: in each of its two passes a half may be rounded to the other side
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_a_large_picture_is_not_held_scaled_as_a_whole() -> None:
    line = save(Image.new("L", (1, 60_000), 9))
    assert (decode(line, spec(2, 2, 1, fit="cover", resize=2048), MAX_PIXELS) == 9).all()


@pytest.mark.parametrize(
    "options",
    [
        {"image_shape": (28, 28, 2)},
        {"image_shape": (28, 28, 1), "resize": 32},
        {"image_shape": (28, 28, 1), "fit": "contain", "resize": 32},
        {"image_shape": (28, 28, 1), "fit": "cover", "resize": 27},
        {"image_shape": (24, 28, 1), "fit": "cover", "resize": 26},
        {"image_shape": (28, 28, 1), "fit": "cover", "resize": 2049},
        {"image_shape": (0, 28, 1)},
        {"image_shape": (28, 2049, 1)},
        {"image_shape": (28, 28)},
        {"image_shape": (28, 28, 1), "fit": "crop"},
        {"image_shape": (28, 28, 1), "background": "mauve"},
        {"image_shape": (28, 28, 1), "background": "#12345g"},
        {"image_shape": (28, 28, 1), "colour": True},
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PictureSpec.model_validate(options)


def test_a_spec_survives_json() -> None:
    record = spec(32, 24, 3, fit="cover", background="BLACK")
    assert record.background == "#000000"
    assert PictureSpec.model_validate_json(record.model_dump_json()) == record
    assert PictureSpec.model_validate(record.model_dump(mode="json")) == record
