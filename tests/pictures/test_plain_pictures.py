"""Pictures that need nothing done to them, decoded the short way and the long one."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

import app.pictures.decode
from app.api.pictures import PictureSpec
from app.pictures.bounds import Bounds
from app.pictures.decode import decode

TURNED = Image.Exif()
TURNED[0x0112] = 6

FILES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "grey": ("PNG", "L", {}),
    "colours": ("PNG", "RGB", {}),
    "noted size": ("PNG", "RGB", {"dpi": (72, 72)}),
    "transparent colour": ("PNG", "RGB", {"transparency": (0, 1, 2)}),
    "transparent grey": ("PNG", "L", {"transparency": 3}),
    "turned": ("PNG", "L", {"exif": TURNED}),
    "turned photo": ("JPEG", "RGB", {"exif": TURNED}),
    "photo": ("JPEG", "RGB", {"progressive": True}),
    "grey photo": ("JPEG", "L", {"quality": 90}),
    "opacity": ("PNG", "RGBA", {}),
    "bitmap": ("BMP", "RGB", {}),
    "palette": ("GIF", "P", {}),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("shape", [(12, 12, 1), (12, 12, 3), (9, 16, 3)])
@pytest.mark.parametrize("invert", [False, True])
def test_both_ways_give_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, name: str, shape: tuple[int, int, int], invert: bool
) -> None:
    kind, mode, options = FILES[name]
    channels = {"L": (12, 12), "P": (12, 12), "RGB": (12, 12, 3), "RGBA": (12, 12, 4)}[mode]
    pixels = np.random.default_rng(4).integers(0, 256, channels, np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(pixels) if mode != "P" else Image.fromarray(pixels).convert("P")
    image.save(buffer, kind, **options)
    spec = PictureSpec(image_shape=shape, invert=invert)
    short = decode(buffer.getvalue(), spec, Bounds(1000))
    monkeypatch.setattr(app.pictures.decode, "_PLAIN", frozenset())
    monkeypatch.setattr(app.pictures.decode, "_BYTES", {})
    np.testing.assert_array_equal(short, decode(buffer.getvalue(), spec, Bounds(1000)))
    assert short.flags.writeable
