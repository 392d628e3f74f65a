"""From the bytes of a picture to the numbers a network sees; part of every model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from engine.arrays import Array, Bytes
from engine.spec import Spec

_Positive = Annotated[float, Field(gt=0)]


class Preprocessing(Spec):
    """Scales bytes to 0..1, then subtracts `mean` and divides by `deviation`, channel by channel."""

    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    """Mean of each channel over the training pictures, 0..1."""
    deviation: Annotated[tuple[_Positive, ...], Field(min_length=1)]
    """Standard deviation of each channel over the training pictures."""

    def apply(self, images: Array, out: Array | None = None) -> Array:
        """Return images (N, H, W, C) of bytes, or of float32 numbers 0..255, as float32 numbers around 0."""
        return self.scaling(images.shape[2]).apply(images, out)

    def scaling(self, width: int) -> Scaling:
        """Return what `apply` computes for images of one width, to be used again and again."""
        deviation = np.asarray(self.deviation)
        # a whole row at a time: loops over three channels only would cost more than the arithmetic
        factor = np.tile((1 / (255 * deviation)).astype(np.float32), width)
        offset = np.tile((-np.asarray(self.mean) / deviation).astype(np.float32), width)
        return Scaling(factor, offset)


@dataclass(frozen=True, slots=True)
class Scaling:
    """Preprocessing of a row of pixels: x * factor + offset, each (W*C,)."""

    factor: Array
    offset: Array

    def apply(self, images: Array, out: Array | None = None) -> Array:
        """Do what `Preprocessing.apply` does, for images of the width that this was made for."""
        shape = *images.shape[:2], self.factor.size  # (N, H, W*C)
        rows = None if out is None else out.reshape(shape)
        rows = np.multiply(images.reshape(shape), self.factor, out=rows, dtype=np.float32)
        rows += self.offset
        return rows.reshape(images.shape) if out is None else out


class ChannelStatistics:
    """Gathers mean and deviation of channels over batches of pictures, exactly, in integers."""

    def __init__(self, channels: int) -> None:
        self._histogram = np.zeros((channels, 256), np.int64)

    def add(self, images: Bytes) -> None:
        """Count the values of images (N, H, W, C)."""
        for channel in range(len(self._histogram)):
            self._histogram[channel] += np.bincount(images[..., channel].ravel(), minlength=256)

    def preprocessing(self) -> Preprocessing:
        """Return the preprocessing that brings these pictures to mean 0 and deviation 1.

        A channel that never varies keeps deviation 1: dividing by 0 would make it NaN.
        """
        values = np.arange(256) / 255
        pixels = self._histogram.sum(axis=1)
        mean = self._histogram @ values / pixels
        variance = self._histogram @ np.square(values) / pixels - np.square(mean)
        deviation = np.sqrt(np.where(variance > 1e-9, variance, 1.0))
        return Preprocessing(mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))
