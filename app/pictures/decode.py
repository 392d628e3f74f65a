"""Pictures to arrays and back: the only module that decodes what others send.

A picture becomes an array in one way only, described by a `PictureSpec` that travels with the data set
and the model, so that what a model sees when it predicts is what it saw when it was trained.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, UnidentifiedImageError

from app.api.pictures import PictureSpec
from app.errors import Invalid, TooLarge
from app.pictures.header import bare_png

T = TypeVar("T")

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""What is tried, by content and never by file name; PPM stands for PBM, PGM and PPM. Formats that run
programs (EPS) or that have no signature (TGA) stay out."""

_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DARK = 16
"""Pictures of more than 8 bits whose brightest pixel is a smaller part of their range hold numbers of fewer bits."""
_GREY = ("1", "L", "LA", "La")
_BYTES: dict[int | None, str] = {1: "L", 3: "RGB"}
_PLAIN = frozenset(
    {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "gamma", "srgb", "progressive"}
)
"""Notes of a picture that say nothing of where is up, or of what is transparent."""
_SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def decode(source: bytes | BinaryIO, spec: PictureSpec, max_pixels: int) -> NDArray[np.uint8]:
    """Turn the bytes of a picture, or a file that can be sought, into an array.

    Args:
        source: the picture in one of `FORMATS`.
        spec: what to make of it.
        max_pixels: the most pixels that are decoded; compared with the header's promise first.

    Returns:
        uint8 (H, W, C), a new array.

    Raises:
        Invalid: it is empty, no picture, or cut short.
        TooLarge: it has more than `max_pixels` pixels; none was decoded.
    """
    return _read(
        source,
        spec.image_shape[2],
        spec.background,
        max_pixels,
        lambda image: _array(_fit(image, spec), spec),
    )


def decode_as_sent(source: bytes, max_pixels: int, channels: int | None = None) -> NDArray[np.uint8]:
    """Turn the bytes of a picture into an array of its own size, uint8 (H, W, C), upright and opaque on white.

    `channels` is 1 for grey or 3 for colours; by default what the picture has. Raises what `decode` does.
    """

    def whole(image: Image.Image) -> NDArray[np.uint8]:
        return np.array(image, np.uint8).reshape(image.height, image.width, -1)

    return _read(source, channels, "#ffffff", max_pixels, whole)


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


def decode_whole(source: bytes, spec: PictureSpec, max_pixels: int, most: int) -> Whole:
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

    return _read(source, 3, spec.background, max_pixels, whole)


def _read(
    source: bytes | BinaryIO,
    channels: int | None,
    background: str,
    max_pixels: int,
    use: Callable[[Image.Image], T],
) -> T:
    """Decode a picture and make something of it, upright, opaque, and with so many channels or its own."""
    bare = _bare(source, max_pixels) if isinstance(source, bytes) else None
    if bare is not None:
        return use(bare if bare.mode == _BYTES.get(channels) else _flatten(bare, channels, background, None))
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with _open(file, max_pixels) as image:
        try:
            image.load()
            if image.mode == _BYTES.get(channels) and image.info.keys() <= _PLAIN:
                return use(image)  # as `_flatten` would return it
            return use(_flatten(_upright(image), channels, background, _deepest(image)))
        except Invalid:
            raise
        # Whatever a decoder trips over is the file's fault: Pillow's plugins raise at least OSError,
        # SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error and zlib.error.
        except Exception as error:
            raise Invalid(
                f"the {image.format} picture is cut short or damaged: {error}", code="unreadable-picture"
            ) from error


def _bare(source: bytes, max_pixels: int) -> Image.Image | None:
    """Decode a PNG that holds nothing but pixels; None of any other file, and of what is damaged.

    Opening it as all others are opened gives the same pixels, and takes twice as long as all of this for a small one.
    """
    found = bare_png(source)
    if found is None or found.size[0] * found.size[1] > max_pixels:
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
        _fit(_flatten(Image.fromarray(plain), spec.image_shape[2], spec.background, None), spec), spec
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


def _open(file: BinaryIO, max_pixels: int) -> Image.Image:
    """Read the header alone, and hold its size against the limit."""
    if not file.read(1):
        raise Invalid("the file is empty", code="unreadable-picture")
    file.seek(0)
    try:
        image = Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge(
            f"the picture has more pixels than are decoded here (at most {max_pixels})",
            code="too-many-pixels",
        ) from error
    except UnidentifiedImageError as error:
        raise Invalid(
            f"this is no picture in a format that is read here ({', '.join(FORMATS)})",
            code="unreadable-picture",
        ) from error
    except Exception as error:  # see decode
        raise Invalid(f"the picture's header is damaged: {error}", code="unreadable-picture") from error
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise TooLarge(
            f"the picture has {width} x {height} pixels; at most {max_pixels} in all are decoded. "
            "Send a smaller one, or raise CONVSERVE_MAX_IMAGE_PIXELS",
            code="too-many-pixels",
        )
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:
        # Notes that cannot be read are as good as none: the pixels are there.
        return image
    method = _ORIENTATIONS.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


@dataclass(frozen=True, slots=True)
class _Depth:
    """The range of pixels that are deeper than bytes: from 0 to `greatest`, and whether 0 is white."""

    greatest: int
    inverted: bool = False


def _deepest(image: Image.Image) -> _Depth | None:
    """Return the range of grey pixels of more than 8 bits as the format says it; None where there are none.

    It is never guessed from the pixels: two pictures of one series would be scaled apart.

    Raises:
        Invalid: the format does not say it, as of floating-point numbers and of integers of 32 bits.
    """
    if image.mode == "F":
        raise _no_range(image, "floating-point")
    if image.mode not in _SIXTEEN_BITS:
        return None
    # with the first picture that may be one
    from PIL import TiffImagePlugin  # noqa: PLC0415

    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if image.mode == "I":
            raise _no_range(image, "32-bit or signed")
        bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (16,))
        white = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        return _Depth((1 << int(bits[0] if isinstance(bits, tuple) else bits)) - 1, white)
    # Pillow scales those of JPEG 2000 and PPM to 16 bits.
    return _Depth(65535)


def _no_range(image: Image.Image, kind: str) -> Invalid:
    return Invalid(
        f"the {image.format} picture has {kind} pixels, which have no known range; save it with 8 or 16 bits",
        code="unreadable-picture",
    )


def _flatten(image: Image.Image, channels: int | None, background: str, depth: _Depth | None) -> Image.Image:
    """Return the picture as L or RGB: 8 bits, opaque, with 1 or 3 channels, or those that it has."""
    if channels is None:
        channels = 1 if depth is not None or image.mode in _GREY else 3
    mode = "L" if channels == 1 else "RGB"
    if depth is not None:
        image = _eight_bits(image, depth)
    elif image.has_transparency_data:
        pixels = image.convert("RGBA")
        ground = Image.new("RGBA", pixels.size, background)
        image = Image.alpha_composite(ground, pixels).convert("RGB")
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image, depth: _Depth) -> Image.Image:
    """Scale pixels of 9 to 16 bits to bytes; 65535 of 16 bits becomes 255.

    Raises:
        Invalid: they fill so little of their range that they would become black.
    """
    values = np.asarray(image).astype(np.uint32)
    greatest = int(values.max())
    if 0 < greatest <= depth.greatest // DARK and not depth.inverted:
        raise Invalid(
            f"the picture's pixels go up to {greatest} of {depth.greatest} and would become black; scale them to the "
            "whole range, or save the picture with 8 bits",
            code="unreadable-picture",
        )
    scaled = ((values * 510 + depth.greatest) // (2 * depth.greatest)).astype(np.uint8)
    return Image.fromarray(255 - scaled if depth.inverted else scaled)


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
