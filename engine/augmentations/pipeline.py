"""A list of augmentations at work on batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import DTypeLike

from engine.arrays import Array, Bytes, Indices, Shape
from engine.augmentations.base import Augmentation, Colour, Fill, Geometric, Mixing, Pixels, identities
from engine.augmentations.resample import resample
from engine.draws import SampleStreams
from engine.errors import EngineError
from engine.workspace import FRESH, Buffers


class Pipeline:
    """Augments pictures, each by what its seed, epoch and place in the data set say.

    Neighbouring augmentations of geometry become one resampling and those of colour one linear map:
    faster, and pixels are interpolated once only. What a first one would push out of the picture, a
    second one can so bring back in.
    """

    def __init__(self, augmentations: Sequence[Augmentation], seed: int) -> None:
        self._seed = seed
        numbered = list(enumerate(augmentations))
        self._stages = [list(stage) for _, stage in groupby(numbered, key=lambda pair: _family(*pair))]
        self.partners = partners(augmentations)

    def apply(
        self, images: Array, targets: Array, samples: Indices, epoch: int, buffers: Buffers = FRESH
    ) -> tuple[Array, Array]:
        """Augment a piece of an epoch.

        Args:
            images: (n + partners, H, W, C), values 0..255, in the epoch's order; left as they are.
            targets: (n + partners, K).
            samples: their places in the data set, (n + partners,).
            epoch: from 1.
            buffers: where results live.

        Returns:
            Pictures (n, H, W, C), bytes or float32 with values 0..255, and targets (n, K).
        """
        for number, stage in enumerate(self._stages):
            memory = _Numbered(buffers, number)
            first = stage[0][1]
            if isinstance(first, Mixing):
                samples = samples[:-1]
            draws = [
                (part, SampleStreams(samples, self._seed, "augment", place, epoch, buffers=buffers))
                for place, part in stage
            ]
            if isinstance(first, Geometric):
                images = _move(images, draws, first.fill, memory)
                continue
            if images.dtype != np.float32 or number == 0:
                changed = memory.buffer("float", images.shape, np.float32)
                np.copyto(changed, images)
                images = changed
            streams = draws[0][1]
            if isinstance(first, Colour):
                _recolour(images, draws, memory)
            elif isinstance(first, Pixels):
                first.change(images, first.chosen(streams), streams, memory)
            elif isinstance(first, Mixing):
                images, targets = first.mix(images, targets, first.chosen(streams), streams, memory)
        return images, targets


def partners(augmentations: Sequence[Augmentation]) -> int:
    """Return how many pictures more are needed than come out: the partners of the last ones."""
    return sum(isinstance(augmentation, Mixing) for augmentation in augmentations)


def check(augmentations: Sequence[Augmentation], shape: Shape) -> None:
    """Raise ShapeError, with the augmentation's place in the list, unless pictures of this shape can be augmented."""
    for number, augmentation in enumerate(augmentations):
        try:
            augmentation.check(shape)
        except EngineError as error:
            raise error.within(number) from None


def augment(images: Array, augmentations: Sequence[Augmentation], seed: int, epoch: int = 1) -> Array:
    """Augment pictures for looking at: picture number i as the sample i of a run with this seed in this epoch.

    Args:
        images: (N, H, W, C), values 0..255, bytes or float32.
        augmentations: in the order in which they are applied; one that mixes takes the next picture in.
        seed: of the run.
        epoch: from 1; in each a picture looks different.

    Returns:
        (N, H, W, C), rounded to bytes where bytes came.
    """
    check(augmentations, images.shape[1:])
    pipeline = Pipeline(augmentations, seed)
    samples = np.arange(len(images) + pipeline.partners) % max(len(images), 1)
    augmented, _ = pipeline.apply(images[samples], np.zeros((len(samples), 1), np.float32), samples, epoch)
    if images.dtype != np.uint8:
        return augmented.astype(images.dtype, copy=False)
    rounded: Bytes = np.clip(np.rint(augmented), 0, 255).astype(np.uint8)
    return rounded


@dataclass(frozen=True)
class _Numbered:
    """Buffers of one stage: what it returns outlives the stages after it."""

    buffers: Buffers
    number: int

    def buffer(self, role: str, shape: Shape, dtype: DTypeLike) -> Array:
        return self.buffers.buffer(f"{role} {self.number}", shape, dtype)

    def scratch(self, role: str, shape: Shape, dtype: DTypeLike) -> Array:
        return self.buffers.scratch(role, shape, dtype)


def _family(place: int, augmentation: Augmentation) -> tuple[str, int | Fill]:
    """Return what neighbours must have in common to become one."""
    if isinstance(augmentation, Geometric):
        return ("geometric", augmentation.fill)
    return ("colour", 0) if isinstance(augmentation, Colour) else ("alone", place)


def _move(
    images: Array, draws: Sequence[tuple[Augmentation, SampleStreams]], fill: Fill, buffers: Buffers
) -> Array:
    height, width = images.shape[1:3]
    maps = identities(len(images), 3)
    exact = True
    for part, streams in [(part, streams) for part, streams in draws if isinstance(part, Geometric)]:
        chosen, own = part.chosen(streams), part.maps(streams, height, width)
        if not chosen.all():
            own = np.where(chosen.reshape(-1, 1, 1), own, np.eye(3))
        # the last one is the first to be asked where a pixel comes from
        maps = maps @ own
        exact = exact and part.exact
    return resample(images, maps, fill, exact=exact, buffers=buffers)


def _recolour(x: Array, draws: Sequence[tuple[Augmentation, SampleStreams]], buffers: Buffers) -> None:
    """Apply all of a run of colour augmentations in place, as one map of each pixel's channels."""
    count, _, _, channels = x.shape
    pixels = x.reshape(count, -1, channels)  # (N, H*W, C)
    parts = [(part, streams) for part, streams in draws if isinstance(part, Colour)]
    mean = np.zeros((count, channels))
    if any(part.needs_mean for part, _ in parts):
        mean = pixels.mean(axis=1, dtype=np.float64)
    matrix, offset = identities(count, channels), np.zeros((count, channels))
    for part, streams in parts:
        chosen = part.chosen(streams)
        now = np.matmul(mean[:, np.newaxis], matrix)[:, 0] + offset
        step, shift = part.factors(streams, now)
        step = np.where(chosen.reshape(-1, 1, 1), step, np.eye(channels))
        shift = np.where(chosen.reshape(-1, 1), shift, 0)
        offset = np.matmul(offset[:, np.newaxis], step)[:, 0] + shift
        matrix = matrix @ step
    if all(part.alike for part, _ in parts):
        x *= matrix[:, 0, 0].astype(np.float32).reshape(-1, 1, 1, 1)
        x += offset[:, 0].astype(np.float32).reshape(-1, 1, 1, 1)
    else:
        mixed = buffers.scratch("mixed channels", pixels.shape, np.float32)
        np.matmul(pixels, matrix.astype(np.float32), out=mixed)
        np.add(mixed, offset.astype(np.float32)[:, np.newaxis], out=pixels)
    np.clip(x, 0, 255, out=x)
