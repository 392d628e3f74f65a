"""Augmentations of colour: the same thing in another light.

Numbers outside of 0..255 are cut off once, after all neighbouring augmentations of this kind.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engine.arrays import Array
from engine.augmentations.base import Colour, Degrees, Share, identities, signed
from engine.draws import SampleStreams

Strength = Annotated[float, Field(strict=True, gt=0, le=1)]

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how bright red, green and blue look
_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
_JITTER = "Howard 2013, Some improvements on deep convolutional neural network based image classification, section 2"


class Brightness(Colour):
    """Makes the picture brighter or darker."""

    type: Literal["brightness"] = "brightness"
    strength: Strength
    """The largest change: 0.2 multiplies by 0.8 to 1.2."""

    examples = ({"type": "brightness", "strength": 0.2},)
    formula = "a' = f a, f uniform in 1 - strength..1 + strength"
    source = _JITTER

    def factors(self, streams: SampleStreams, mean: Array) -> tuple[Array, Array]:
        factor = 1 + signed(streams.uniform(1), self.strength)  # (n, 1)
        return identities(*mean.shape) * factor[..., np.newaxis], np.zeros_like(mean)


class Contrast(Colour):
    """Moves all numbers away from the picture's mean, or towards it."""

    type: Literal["contrast"] = "contrast"
    strength: Strength
    """The largest change: 0.2 multiplies the distances by 0.8 to 1.2."""

    examples = ({"type": "contrast", "strength": 0.3},)
    formula = "a' = m + f (a - m), m the mean of the picture, f uniform in 1 - strength..1 + strength"
    source = _JITTER
    needs_mean = True

    def factors(self, streams: SampleStreams, mean: Array) -> tuple[Array, Array]:
        factor = 1 + signed(streams.uniform(1), self.strength)  # (n, 1)
        overall = mean @ np.array(_LUMA) if mean.shape[1] == 3 else mean.mean(axis=1)
        offset = np.broadcast_to((1 - factor) * overall[:, np.newaxis], mean.shape)
        return identities(*mean.shape) * factor[..., np.newaxis], offset


class Saturation(Colour):
    """Makes colours stronger or paler."""

    type: Literal["saturation"] = "saturation"
    strength: Strength
    """The largest change: 0.2 multiplies the distance from grey by 0.8 to 1.2."""

    examples = ({"type": "saturation", "strength": 0.4},)
    formula = "a' = g + f (a - g), g = 0.299 R + 0.587 G + 0.114 B, f uniform in 1 - strength..1 + strength"
    source = _JITTER
    channels = 3
    alike = False

    def factors(self, streams: SampleStreams, mean: Array) -> tuple[Array, Array]:
        factor = 1 + signed(streams.uniform(1), self.strength)[..., np.newaxis]  # (n, 1, 1)
        return identities(*mean.shape) * factor + (1 - factor) * _grey(), np.zeros_like(mean)


class Hue(Colour):
    """Turns colours around the circle of hues, keeping them as bright and as strong."""

    type: Literal["hue"] = "hue"
    degrees: Degrees
    """The largest angle on the circle of hues, to either side; 120 can turn red into green."""

    examples = ({"type": "hue", "degrees": 20},)
    formula = "(I', Q') = R(phi) (I, Q) in the colour space YIQ, phi uniform in -degrees..degrees"
    source = "Haeberli 1993, Matrix operations for image processing; the space YIQ: FCC 1953"
    channels = 3
    alike = False

    def factors(self, streams: SampleStreams, mean: Array) -> tuple[Array, Array]:
        angle = np.radians(signed(streams.uniform(1)[:, 0], self.degrees))
        turn = identities(*mean.shape)
        turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
        turn[:, 2, 1] = np.sin(angle)
        turn[:, 1, 2] = -turn[:, 2, 1]
        to_yiq = np.array(_TO_YIQ)
        matrix: Array = np.linalg.inv(to_yiq) @ turn @ to_yiq  # for columns
        return matrix.transpose(0, 2, 1), np.zeros_like(mean)


class Greyscale(Colour):
    """Takes the colours out of some pictures, so that shape has to do."""

    type: Literal["greyscale"] = "greyscale"
    probability: Share = 0.2
    """How likely a picture is changed at all."""

    examples = ({"type": "greyscale"},)
    formula = "R' = G' = B' = 0.299 R + 0.587 G + 0.114 B"
    source = "ITU-R BT.601; Chen et al. 2020, SimCLR, appendix A"
    channels = 3
    alike = False

    def factors(self, streams: SampleStreams, mean: Array) -> tuple[Array, Array]:
        return np.broadcast_to(_grey(), (len(mean), 3, 3)), np.zeros_like(mean)


class Inversion(Colour):
    """Makes a negative of some pictures: dark on light becomes light on dark."""

    type: Literal["inversion"] = "inversion"
    probability: Share = 0.5
    """How likely a picture is changed at all."""

    examples = ({"type": "inversion"},)
    formula = "a' = 255 - a"
    source = "Cubuk et al. 2019, AutoAugment, table 6"

    def factors(self, streams: SampleStreams, mean: Array) -> tuple[Array, Array]:
        return -identities(*mean.shape), np.full_like(mean, 255)


def _grey() -> Array:
    """Return the matrix that gives each channel the brightness of the pixel."""
    return np.array(_LUMA)[:, np.newaxis] * np.ones(3)
