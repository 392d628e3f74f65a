"""Pictures to arrays and back: the only module that decodes what others send.

A picture becomes an array in one way only, described by a `PictureSpec` that travels with the data set
and the model, so that what a model sees when it predicts is what it saw when it was trained.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from app.api.pictures import PictureSpec
from app.errors import Invalid
from app.pictures.bounds import Bounds
from app.pictures.flatten import BAND_PIXELS, bands, deepest, flatten
from app.pictures.headers.header import Header
from app.pictures.headers.png import bare_png
from app.pictures.headers.read import read_header
from app.pictures.opening import check_work, open_picture, orientation

T = TypeVar("T")

_BYTES: dict[int | None, str] = {1: "L", 3: "RGB"}
_PLAIN = frozenset(
    {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "gamma", "srgb", "progressive"}
)
"""Notes of a picture that say nothing of where is up, or of what is transparent."""


def decode(source: bytes, spec: PictureSpec, bounds: Bounds) -> NDArray[np.uint8]:
    """Turn the bytes of a picture into an array.

    Args:
        source: the picture, in one of the formats of `headers.read`.
        spec: what to make of it.
        bounds: what decoding it may take; compared with the header's promise first.

    Returns:
        uint8 (H, W, C), a new array.

    Raises:
        Invalid: it is empty, no picture, or cut short.
        TooLarge: it has too many pixels; none was decoded.
    """
    return _read(
        source,
        spec.image_shape[2],
        spec.background,
        bounds,
        lambda image: _array(_fit(image, spec), spec),
    )


def decode_as_sent(source: bytes, bounds: Bounds, channels: int | None = None) -> NDArray[np.uint8]:
    """Turn the bytes of a picture into an array of its own size, uint8 (H, W, C), upright and opaque on white.

    `channels` is 1 for grey or 3 for colours; by default what the picture has. Raises what `decode` does.
    """

    def whole(image: Image.Image) -> NDArray[np.uint8]:
        pixels = np.empty((image.height, image.width, len(image.getbands())), np.uint8)
        for box in bands(image):
            band = np.asarray(image.crop(box), np.uint8)
            pixels[box[1] : box[3]] = band.reshape(len(band), image.width, -1)
        return pixels

    return _read(source, channels, "#ffffff", bounds, whole)


@dataclass(frozen=True, slots=True)
class Whole:
    """A picture as it was sent, and which part of it a model sees.

    Attributes:
        pixels: upright and opaque, reduced if it is large, uint8 (H, W, 3).
        seen: what the model sees, as (left, top, right, bottom) in these pixels.
        place: where the model sees that, in pixels of its own input.
    """

    pixels: NDArray[np.uint8]
    seen: tuple[float, float, float, float]
    place: tuple[int, int, int, int]


def decode_whole(source: bytes, spec: PictureSpec, bounds: Bounds, most: int) -> Whole:
    """Turn the bytes of a picture into an array that shows all of it, at most `most` pixels on its longer side.

    It has colours whatever the spec says, and is neither fitted to it nor inverted. Raises what `decode` does.
    """

    def whole(image: Image.Image) -> Whole:
        seen, place = _placement(image.size, spec)
        scale = min(1.0, most / max(image.size))
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        across, down = size[0] / image.width, size[1] / image.height
        shown = image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)
        return Whole(
            np.array(shown, np.uint8),
            (seen[0] * across, seen[1] * down, seen[2] * across, seen[3] * down),
            place,
        )

    return _read(source, 3, spec.background, bounds, whole)


def _read(
    source: bytes,
    channels: int | None,
    background: str,
    bounds: Bounds,
    use: Callable[[Image.Image], T],
) -> T:
    """Decode a picture and make something of it, upright, opaque, and with so many channels or its own."""
    bounds.go_on()
    bare = _bare(source, bounds)
    if bare is not None:
        return use(bare if bare.mode == _BYTES.get(channels) else flatten(bare, channels, background, None))
    header = read_header(source)
    check_work(header, bounds)
    # what is made of the picture takes as much as a picture of one byte or four for each pixel
    with bounds.reserve(header.memory + header.pixels * (1 if channels == 1 else 4)):
        return _opened(header, source, channels, background, use)


def _opened(
    header: Header, source: bytes, channels: int | None, background: str, use: Callable[[Image.Image], T]
) -> T:
    with open_picture(header, source) as image:
        try:
            image.load()
            if image.mode == _BYTES.get(channels) and image.info.keys() <= _PLAIN:
                return use(image)  # as `flatten` would return it
            flat = flatten(image, channels, background, deepest(image))
            turned = orientation(image)
            if flat is not image:
                image.close()  # its pixels take memory that turning needs
            return use(flat if turned is None else flat.transpose(turned))
        except Invalid:
            raise
        # Whatever a decoder trips over is the file's fault: Pillow's plugins raise at least OSError,
        # SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error and zlib.error.
        except Exception as error:
            raise Invalid(
                f"the {image.format} picture is cut short or damaged: {error}", code="unreadable-picture"
            ) from error


def _bare(source: bytes, bounds: Bounds) -> Image.Image | None:
    """Decode a PNG that holds nothing but pixels; None of any other file, and of what is damaged.

    Opening it as all others are opened gives the same pixels, and takes twice as long as all of this for a small one.
    """
    found = bare_png(source)
    if found is None or found.size[0] * found.size[1] > min(bounds.pixels, BAND_PIXELS):
        return None
    try:
        return Image.frombytes(found.mode, found.size, found.data, "zip", found.mode)
    except ValueError:  # what is wrong with it is said where it is opened
        return None


def convert(array: NDArray[np.uint8], spec: PictureSpec) -> NDArray[np.uint8]:
    """Turn a picture that is an array already into one of the shape of a spec.

    Args:
        array: grey (H, W) or (H, W, 1), or colour (H, W, 3).
        spec: what to make of it.

    Returns:
        uint8 (H, W, C), a new array unless nothing has to be done.
    """
    whole = array[..., np.newaxis] if array.ndim == 2 else array
    if whole.shape == spec.image_shape and spec.resize is None:
        return 255 - whole if spec.invert else whole
    plain = np.ascontiguousarray(whole[..., 0] if whole.shape[2] == 1 else whole)
    return _array(
        _fit(flatten(Image.fromarray(plain), spec.image_shape[2], spec.background, None), spec), spec
    )


def _array(image: Image.Image, spec: PictureSpec) -> NDArray[np.uint8]:
    pixels = np.frombuffer(bytearray(image.tobytes()), np.uint8).reshape(spec.image_shape)
    return 255 - pixels if spec.invert else pixels


def encode_png(array: NDArray[np.uint8], level: int = 6) -> bytes:
    """Return a grey (H, W), (H, W, 1) or colour (H, W, 3) array as the bytes of a PNG file.

    `level` is that of zlib: 1 takes half the time of 6.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array, np.uint8)).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def _placement(
    size: tuple[int, int], spec: PictureSpec
) -> tuple[tuple[float, float, float, float], tuple[int, int, int, int]]:
    """Return which box of a picture (width, height) the spec shows, and the box of its shape in which it does."""
    height, width, _ = spec.image_shape
    whole, everywhere = (0.0, 0.0, float(size[0]), float(size[1])), (0, 0, width, height)
    if spec.fit == "cover":
        if spec.resize is not None:
            return _cut_out(size, spec.resize, (width, height)), everywhere
        scale = max(width / size[0], height / size[1])
        shown_width, shown_height = min(width / scale, size[0]), min(height / scale, size[1])
        left, top = (size[0] - shown_width) / 2, (size[1] - shown_height) / 2
        return (left, top, left + shown_width, top + shown_height), everywhere
    if spec.fit == "contain":
        scale = min(width / size[0], height / size[1])
        inner = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
        return whole, (left, top, left + inner[0], top + inner[1])
    return whole, everywhere


def _cut_out(size: tuple[int, int], resize: int, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the box of a picture (width, height) that is the middle of it scaled to `resize` on its shorter side.

    The scaled picture has whole pixels and is cut at whole ones. To resample this box alone gives the same pixels, but
    for the rounding of halves, and never holds the whole of a long picture.
    """
    scaled = tuple(round(resize * side / min(size)) for side in size)
    first = tuple(round((whole - cut) / 2) for whole, cut in zip(scaled, shape, strict=True))
    across, down = size[0] / scaled[0], size[1] / scaled[1]
    return (
        first[0] * across,
        first[1] * down,
        min((first[0] + shape[0]) * across, size[0]),
        min((first[1] + shape[1]) * down, size[1]),
    )


def _fit(image: Image.Image, spec: PictureSpec) -> Image.Image:
    height, width, _ = spec.image_shape
    if image.size == (width, height) and spec.resize is None:
        return image
    seen, (left, top, right, bottom) = _placement(image.size, spec)
    fitted = image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, seen)
    if fitted.size == (width, height):
        return fitted
    canvas = Image.new(image.mode, (width, height), ImageColor.getcolor(spec.background, image.mode))
    canvas.paste(fitted, (left, top))
    return canvas
