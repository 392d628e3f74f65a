"""Picture files in a folder: which they are, and how large their pictures are."""

from __future__ import annotations

from PIL import Image

from app.errors import Invalid, TooLarge
from app.pictures.headers.read import FORMATS, read_header
from app.pictures.opening import open_picture, orientation

_ON_ITS_SIDE = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)


def picture_endings() -> frozenset[str]:
    """Return how the names of files end whose format is read here, such as `.jpg`."""
    Image.init()
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in FORMATS)


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Return height and width of the picture in a file, as it is seen; None where there is none."""
    try:
        header = read_header(content)
        with open_picture(header, content) as image:
            turned = orientation(image) in _ON_ITS_SIDE
    except (Invalid, TooLarge):
        return None
    return (header.width, header.height) if turned else (header.height, header.width)
