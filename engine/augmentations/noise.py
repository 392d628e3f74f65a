"""Augmentations that change single numbers or cover a part of a picture."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from engine.arrays import Array
from engine.augmentations.base import Chosen, Pixels, Share
from engine.draws import SampleStreams
from engine.workspace import Buffers

_QUANTILES = 4096


class GaussianNoise(Pixels):
    """Adds noise to every number, as a camera does in the dark."""

    type: Literal["gaussian_noise"] = "gaussian_noise"
    deviation: Annotated[float, Field(strict=True, gt=0, le=1)]
    """Standard deviation of the noise, as a share of the range from black to white."""

    examples = ({"type": "gaussian_noise", "deviation": 0.05},)
    formula = "a' = a + 255 * deviation * e, e normal with mean 0 and variance 1"
    source = "Bishop 1995, Training with noise is equivalent to Tikhonov regularization"

    def change(self, x: Array, chosen: Chosen, streams: SampleStreams, buffers: Buffers) -> None:
        levels = streams.levels(x.shape[1:])  # (N, H, W, C), 0..65535
        levels >>= np.uint16(4)
        noise = buffers.scratch("noise", x.shape, np.float32)
        np.take(_normal_quantiles() * np.float32(255 * self.deviation), levels, out=noise, mode="clip")
        noise *= chosen.astype(np.float32).reshape(-1, 1, 1, 1)
        x += noise
        np.clip(x, 0, 255, out=x)


class SaltAndPepper(Pixels):
    """Makes single pixels white or black, as a faulty sensor does."""

    type: Literal["salt_and_pepper"] = "salt_and_pepper"
    share: Annotated[float, Field(strict=True, gt=0, le=1)]
    """Share of the pixels that are changed, half of them to white."""

    examples = ({"type": "salt_and_pepper", "share": 0.1},)
    formula = "a'[x, y] = 255 or 0, each with probability share / 2, else a[x, y]"
    source = "Gonzalez & Woods, Digital image processing, section 5.2"

    def change(self, x: Array, chosen: Chosen, streams: SampleStreams, buffers: Buffers) -> None:
        levels = streams.levels(x.shape[1:3])  # (N, H, W)
        half = np.where(chosen, round(self.share * 2**15), 0).astype(np.int32).reshape(-1, 1, 1)
        mask = buffers.scratch("mask", levels.shape, np.bool_)
        np.less(levels, half, out=mask)
        np.copyto(x, 255, where=mask[..., np.newaxis])
        np.greater_equal(levels, 2**16 - half, out=mask)
        np.copyto(x, 0, where=mask[..., np.newaxis])


class Erasing(Pixels):
    """Covers a random rectangle, so that no single part of a thing is relied on."""

    type: Literal["erasing"] = "erasing"
    probability: Share = 0.5
    """How likely a picture is changed at all."""
    share: tuple[
        Annotated[float, Field(strict=True, gt=0, le=1)], Annotated[float, Field(strict=True, gt=0, le=1)]
    ] = (
        0.02,
        0.33,
    )
    """[smallest, largest] share of the picture's area that is covered."""
    aspect: Annotated[float, Field(strict=True, ge=1, le=100)] = 3.3
    """How much longer one side of the rectangle may be than the other."""
    cover: Literal["noise", "black"] = "noise"
    """What is put there."""

    examples = (
        {"type": "erasing"},
        {"type": "erasing", "probability": 1.0, "share": [0.1, 0.2], "cover": "black"},
    )
    formula = "a'[x, y] = noise in a rectangle, else a[x, y]"
    source = "Zhong et al. 2017, Random erasing data augmentation, algorithm 1; DeVries & Taylor 2017, Cutout"

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.share[0] > self.share[1]:
            raise ValueError("share is [smallest, largest]: the first must not be larger than the second")
        return self

    def change(self, x: Array, chosen: Chosen, streams: SampleStreams, buffers: Buffers) -> None:
        height, width = x.shape[1:3]
        area, aspect, down, right = streams.uniform(4).T
        smallest, largest = self.share
        area = (smallest + area * (largest - smallest)) * height * width
        ratio = np.exp((2 * aspect - 1) * np.log(self.aspect) / 2)  # the root of height over width
        mask = rectangles(np.sqrt(area) * ratio, np.sqrt(area) / ratio, down, right, height, width)
        mask &= chosen.reshape(-1, 1, 1)
        if self.cover == "black":
            np.copyto(x, 0, where=mask[..., np.newaxis])
        else:
            levels = streams.levels(x.shape[1:])
            levels >>= np.uint16(8)
            np.copyto(x, levels, where=mask[..., np.newaxis])


def rectangles(tall: Array, wide: Array, down: Array, right: Array, height: int, width: int) -> Array:
    """Return masks (n, height, width) that are true in a rectangle each.

    Args:
        tall: height of each rectangle (n,), rounded to whole pixels and cut to the picture's.
        wide: width of each (n,).
        down: where it lies between top (0) and bottom (1), (n,).
        right: where it lies between left (0) and right (1), (n,).
        height: of the pictures.
        width: of the pictures.
    """
    sides = []
    for length, place, size in ((tall, down, height), (wide, right, width)):
        whole = np.clip(np.rint(length), 0, size)
        first = np.floor(place * (size - whole + 1))
        cells = np.arange(size)
        sides.append((cells >= first[:, np.newaxis]) & (cells < (first + whole)[:, np.newaxis]))
    mask: Array = sides[0][:, :, np.newaxis] & sides[1][:, np.newaxis, :]
    return mask


@cache
def _normal_quantiles() -> Array:
    """Return the middles of equally likely slices of the normal distribution: picking one at random draws from it."""
    normal = NormalDist()
    quantiles = np.array(
        [normal.inv_cdf((number + 0.5) / _QUANTILES) for number in range(_QUANTILES)], np.float32
    )
    quantiles /= quantiles.std()  # what the slices leave out at the far ends
    quantiles.flags.writeable = False
    return quantiles
