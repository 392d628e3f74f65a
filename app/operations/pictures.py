"""Pictures as the inputs of operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.errors import DomainError, Invalid
from app.operations.numbers import narrowed
from app.operations.operation import Inputs, read_inputs
from app.pictures.bounds import Bounds
from app.pictures.decode import decode_as_sent
from engine.arrays import Array, Bytes


def read_picture(
    content: bytes, place: str, bounds: Bounds, channels: int | None = None, scale: float = 1.0
) -> Inputs:
    """Return a picture as what an operation is applied to: float32, 0 to 255 times `scale`.

    Args:
        content: a picture file.
        place: the field that it was sent in.
        bounds: what decoding one may take.
        channels: 1 for grey, 3 for colours; by default what it has.
        scale: what every pixel is multiplied by.

    Raises:
        Invalid: it is no picture.
        TooLarge: it has too many pixels.
    """
    x = decoded(content, place, bounds, channels).astype(np.float32)
    if scale != 1:
        narrowed(np.array(255 * scale), ("scale",))
        x *= np.float32(scale)
    return Inputs((x,), x.shape[2] == 1, (place,), scale)


def decoded(content: bytes, place: str, bounds: Bounds, channels: int | None = None) -> Bytes:
    """Return a picture as it was sent, bytes (H, W, C); see `read_picture`."""
    try:
        return decode_as_sent(content, bounds, channels)
    except DomainError as error:
        raise type(error).at(place, error.detail, code=error.code) from error


def read_values(value: Any) -> Array:
    """Return the numbers of a picture, (H, W, C), float32.

    Raises:
        Invalid: they are no numbers from 0 to 255 in equal lists (H, W) or (H, W, C).
    """
    (x,) = read_inputs(value, None).arrays
    if x.ndim == 1:
        raise Invalid.at("input", "a picture has two axes or three", "send lists (H, W) or (H, W, C)")
    outside = np.argwhere((x < 0) | (x > 255))
    if len(outside):
        place = tuple(int(key) for key in outside[0])
        detail = f"{x[place]:.6g} is no value of a pixel"
        raise Invalid.at(("input", *place[:2]), detail, "use numbers from 0 to 255")
    return x.astype(np.float32)
