"""Augmentations that move pixels: the same thing, seen from elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engine.arrays import Array, Shape
from engine.augmentations.base import Degrees, Geometric, Share, identities, signed
from engine.draws import SampleStreams
from engine.errors import ShapeError
from engine.spec import PositiveInt

_SURVEY = "Shorten & Khoshgoftaar 2019, A survey on image data augmentation"


class RandomCrop(Geometric):
    """Pads the picture and cuts a piece of its own size out of it, at random.

    Every position is as likely as any other.
    """

    type: Literal["random_crop"] = "random_crop"
    padding: PositiveInt
    """Pixels added at every side before the cut."""

    examples = (
        {"type": "random_crop", "padding": 2},
        {"type": "random_crop", "padding": 1, "fill": "reflect", "probability": 0.5},
    )
    formula = "a'[x, y] = a[x + u, y + v], u and v whole numbers in -padding..padding"
    source = "Krizhevsky et al. 2012, ImageNet classification, section 4.1; He et al. 2016, section 4.2"
    exact = True

    def check(self, shape: Shape) -> None:
        super().check(shape)
        if self.padding >= min(shape[:2]):
            raise ShapeError(
                f"a padding of {self.padding} can push all of a {shape[0]}x{shape[1]} picture out of sight",
                path=("padding",),
                hint=f"use a padding of at most {min(shape[:2]) - 1}; an eighth of the height is usual",
            )

    def maps(self, streams: SampleStreams, height: int, width: int) -> Array:
        maps = identities(len(streams), 3)
        maps[:, :2, 2] = np.floor(streams.uniform(2) * (2 * self.padding + 1)) - self.padding
        return maps


class HorizontalFlip(Geometric):
    """Swaps left and right."""

    type: Literal["horizontal_flip"] = "horizontal_flip"
    probability: Share = 0.5
    """How likely a picture is changed at all."""

    examples = ({"type": "horizontal_flip"},)
    formula = "a'[x, y] = a[n_W - 1 - x, y]"
    source = "Krizhevsky et al. 2012, ImageNet classification, section 4.1"
    exact = True

    def maps(self, streams: SampleStreams, height: int, width: int) -> Array:
        maps = identities(len(streams), 3)
        maps[:, 0, 0] = -1
        return maps


class VerticalFlip(Geometric):
    """Swaps top and bottom: for pictures without an up and a down, such as those of a microscope."""

    type: Literal["vertical_flip"] = "vertical_flip"
    probability: Share = 0.5
    """How likely a picture is changed at all."""

    examples = ({"type": "vertical_flip"},)
    formula = "a'[x, y] = a[x, n_H - 1 - y]"
    source = _SURVEY
    exact = True

    def maps(self, streams: SampleStreams, height: int, width: int) -> Array:
        maps = identities(len(streams), 3)
        maps[:, 1, 1] = -1
        return maps


class Rotation(Geometric):
    """Turns the picture around its middle."""

    type: Literal["rotation"] = "rotation"
    degrees: Degrees
    """The largest angle, to either side."""

    examples = (
        {"type": "rotation", "degrees": 10},
        {"type": "rotation", "degrees": 45, "fill": "edge"},
    )
    formula = "a'[p] = a[R(phi) p], phi uniform in -degrees..degrees; bilinear between pixels"
    source = _SURVEY

    def maps(self, streams: SampleStreams, height: int, width: int) -> Array:
        angles = np.radians(signed(streams.uniform(1)[:, 0], self.degrees))
        maps = identities(len(streams), 3)
        maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angles)
        maps[:, 1, 0] = np.sin(angles)
        maps[:, 0, 1] = -maps[:, 1, 0]
        return maps


class Translation(Geometric):
    """Moves the picture sideways, up and down, by fractions of a pixel too."""

    type: Literal["translation"] = "translation"
    share: Annotated[float, Field(strict=True, gt=0, lt=1)]
    """The longest way, as a share of the picture's width and height."""

    examples = ({"type": "translation", "share": 0.1},)
    formula = "a'[x, y] = a[x + u, y + v], |u| <= share * n_W, |v| <= share * n_H"
    source = _SURVEY

    def maps(self, streams: SampleStreams, height: int, width: int) -> Array:
        maps = identities(len(streams), 3)
        maps[:, :2, 2] = signed(streams.uniform(2), self.share) * (width, height)
        return maps


class Scaling(Geometric):
    """Makes what is in the picture larger or smaller."""

    type: Literal["scaling"] = "scaling"
    share: Annotated[float, Field(strict=True, gt=0, le=10)]
    """The most that is added to or taken from the size: 0.25 makes things up to 1.25 times as large, or as small."""

    examples = (
        {"type": "scaling", "share": 0.25},
        {"type": "scaling", "share": 1.0, "fill": "reflect"},
    )
    formula = "a'[p] = a[p / z], log z uniform in -log(1 + share)..log(1 + share)"
    source = _SURVEY

    def maps(self, streams: SampleStreams, height: int, width: int) -> Array:
        maps = identities(len(streams), 3)
        maps[:, 0, 0] = maps[:, 1, 1] = np.exp(signed(streams.uniform(1)[:, 0], np.log1p(self.share)))
        return maps


class Shear(Geometric):
    """Slants the picture, as a deck of cards that is pushed."""

    type: Literal["shear"] = "shear"
    degrees: Annotated[float, Field(strict=True, gt=0, lt=90)]
    """The largest angle by which upright lines lean, to either side."""

    examples = ({"type": "shear", "degrees": 15},)
    formula = "a'[x, y] = a[x + y tan(phi), y], phi uniform in -degrees..degrees"
    source = _SURVEY

    def maps(self, streams: SampleStreams, height: int, width: int) -> Array:
        maps = identities(len(streams), 3)
        maps[:, 0, 1] = np.tan(np.radians(signed(streams.uniform(1)[:, 0], self.degrees)))
        return maps
