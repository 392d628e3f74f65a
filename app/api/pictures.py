"""How pictures of any kind become arrays of one shape."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from engine.spec import Spec

MAX_SIDE = 2048


def _hexadecimal(value: str) -> str:
    colour = {"white": "#ffffff", "black": "#000000"}.get(value.lower(), value.lower())
    if len(colour) != 7 or colour[0] != "#" or not set(colour[1:]) <= set("0123456789abcdef"):
        raise ValueError(f"{value!r} is no colour; write #rrggbb, white or black")
    return colour


Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Colour = Annotated[str, AfterValidator(_hexadecimal)]
Fit = Literal["stretch", "contain", "cover"]


def _at_least_the_shape(resize: int | None, info: ValidationInfo) -> int | None:
    """Hold `resize` against the fields before it: `fit`, and `image_size` or `image_shape`."""
    if resize is None:
        return None
    size = info.data.get("image_size", info.data.get("image_shape"))
    if size is None:
        raise ValueError("it is for pictures of one size; say image_size as well")
    if info.data.get("fit", "cover") != "cover":
        raise ValueError(
            "only fit cover cuts out the middle of a scaled picture; write fit cover, or leave it out"
        )
    if resize < max(size[:2]):
        raise ValueError(
            f"the middle of {size[0]} x {size[1]} does not fit in; write {max(size[:2])} or more"
        )
    return resize


Resize = Annotated[Side | None, AfterValidator(_at_least_the_shape)]
"""A field that stands after `fit` and the size of pictures."""


def _grey_or_colour(channels: int) -> int:
    if channels not in (1, 3):
        raise ValueError(f"a picture has 1 channel (grey) or 3 (colour), not {channels}")
    return channels


class PictureSpec(Spec):
    """How a picture of any size and mode becomes an array of one shape.

    In this order: the orientation noted by the camera is applied, 16-bit values are scaled to 8 bits,
    transparency is composited on `background`, colour becomes grey (ITU-R 601 luma) or grey becomes
    colour, the result is fitted to `image_shape` with an antialiased bilinear filter, and inverted if that is
    wanted. Of an animation the first frame is taken.
    """

    image_shape: tuple[Side, Side, Annotated[int, AfterValidator(_grey_or_colour)]] = Field(
        description="[height, width, channels] of every picture; channels is 1 for grey, 3 for colour."
    )
    fit: Fit = Field(
        "contain",
        description="`contain` scales the whole picture into the shape and pads it with the background; "
        "`cover` fills the shape with the middle of the picture and cuts off the rest; `stretch` distorts.",
    )
    resize: Resize = Field(
        None,
        description="With `cover`: the shorter side is scaled to so many pixels before the middle is cut out, as many "
        "published networks were trained (256 for pictures of 224). By default as little as possible is cut off.",
    )
    background: Colour = Field(
        "#ffffff",
        description="Colour behind transparent pixels and of the padding, as #rrggbb, `white` or `black`.",
    )
    invert: bool = Field(
        False,
        description="Turn dark to light and light to dark at the end, padding included: dark ink on white paper "
        "becomes light strokes on black, as in `digits`.",
    )
