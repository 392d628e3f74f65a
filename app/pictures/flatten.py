"""From pixels of any kind to 8 bits, opaque, grey or in colours; large pictures a band at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from app.errors import Invalid

DARK = 16
"""Pictures of more than 8 bits whose brightest pixel is a smaller part of their range hold numbers of fewer bits."""
BAND_PIXELS = 1 << 18
"""Of larger pictures what they become on the way is held for a band at a time."""
_GREY = ("1", "L", "LA", "La")
_SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True, slots=True)
class _Depth:
    """The range of pixels that are deeper than bytes: from 0 to `greatest`, and whether 0 is white."""

    greatest: int
    inverted: bool = False


def deepest(image: Image.Image) -> _Depth | None:
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


def flatten(image: Image.Image, channels: int | None, background: str, depth: _Depth | None) -> Image.Image:
    """Return the picture as L or RGB: 8 bits, opaque, with 1 or 3 channels, or those that it has.

    A large one is done in bands: what a band becomes on the way takes little memory.
    """
    if channels is None:
        channels = 1 if depth is not None or image.mode in _GREY else 3
    mode = "L" if channels == 1 else "RGB"
    if depth is None and image.mode == mode and not image.has_transparency_data:
        return image
    if depth is not None:
        _check_depth(image, depth)
    if image.width * image.height <= BAND_PIXELS:
        return _flat(image, mode, background, depth)
    flat = Image.new(mode, image.size)
    for box in bands(image):
        flat.paste(_flat(image.crop(box), mode, background, depth), box)
    return flat


def bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield the boxes of a picture that are its bands from top to bottom."""
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _flat(image: Image.Image, mode: str, background: str, depth: _Depth | None) -> Image.Image:
    if depth is not None:
        image = _eight_bits(image, depth)
    elif image.has_transparency_data:
        pixels = image.convert("RGBA")
        ground = Image.new("RGBA", pixels.size, background)
        image = Image.alpha_composite(ground, pixels).convert("RGB")
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _check_depth(image: Image.Image, depth: _Depth) -> None:
    """Refuse pixels of 9 to 16 bits that fill so little of their range that they would become black.

    Raises:
        Invalid: they do.
    """
    greatest = max(int(np.asarray(image.crop(box)).max()) for box in bands(image))
    if 0 < greatest <= depth.greatest // DARK and not depth.inverted:
        raise Invalid(
            f"the picture's pixels go up to {greatest} of {depth.greatest} and would become black; scale them to the "
            "whole range, or save the picture with 8 bits",
            code="unreadable-picture",
        )


def _eight_bits(image: Image.Image, depth: _Depth) -> Image.Image:
    """Scale pixels of 9 to 16 bits to bytes; 65535 of 16 bits becomes 255."""
    values = np.asarray(image).astype(np.uint32)
    scaled = ((values * 510 + depth.greatest) // (2 * depth.greatest)).astype(np.uint8)
    return Image.fromarray(255 - scaled if depth.inverted else scaled)
