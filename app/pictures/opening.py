"""The one opener of picture files: what it decodes is held to what the header said."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from app.errors import Invalid, TooLarge
from app.pictures.bounds import Bounds
from app.pictures.headers.header import MAX_SIDE, Header, cut_short

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


def check_work(header: Header, bounds: Bounds) -> None:
    """Hold what a picture declares against the limit.

    Raises:
        Invalid: its file is too short for it.
        TooLarge: it has too many pixels, or too many for what each costs.
    """
    size = f"the picture has {header.width} x {header.height} pixels"
    if max(header.width, header.height) > MAX_SIDE:
        raise TooLarge(f"{size}; a side has at most {MAX_SIDE}", code="too-many-pixels")
    if header.pixels * header.weight <= bounds.pixels:
        if not header.whole:
            raise cut_short(header.format)
        return
    if header.pixels > bounds.pixels:
        detail = f"{size}; at most {bounds.pixels} in all are decoded. Send a smaller one"
    else:
        most = bounds.pixels // header.weight
        detail = (
            f"{size}, each of which is {header.weight} times the work of other pictures the way that this "
            f"{header.format} file is written; at most {most} of them are decoded. Save it as PNG or JPEG"
        )
    raise TooLarge(f"{detail}, or raise CONVSERVE_MAX_IMAGE_PIXELS", code="too-many-pixels")


def open_picture(header: Header, source: bytes) -> Image.Image:
    """Let a decoder read its header, and hold the size that it found against the one that was read before."""
    try:
        image = Image.open(io.BytesIO(header.data or source), formats=(header.format,))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge("the picture has more pixels than are decoded here", code="too-many-pixels") from error
    except Exception as error:  # see `decode`
        # Pillow names the object in memory that it could not identify
        said = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise Invalid(
            f"the {header.format} picture's header is damaged{said}", code="unreadable-picture"
        ) from error
    if image.width * image.height > header.pixels:
        image.close()
        raise Invalid(
            f"the {header.format} picture has {image.width} x {image.height} pixels, and says "
            f"{header.width} x {header.height}",
            code="unreadable-picture",
        )
    return image


def orientation(image: Image.Image) -> Image.Transpose | None:
    """Return what makes a picture upright, None where nothing has to be done."""
    try:
        found = image.getexif().get(_ORIENTATION_TAG)
    except Exception:
        # Notes that cannot be read are as good as none: the pixels are there.
        return None
    return _ORIENTATIONS.get(found) if isinstance(found, int) else None
