"""Augmentations that make one sample of two.

The partner of a sample is the next one in the epoch's order, the last one's is the first: a random
pairing that does not depend on how the epoch is cut into batches.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engine.arrays import Array
from engine.augmentations.base import Chosen, Mixing
from engine.augmentations.noise import rectangles
from engine.draws import SampleStreams
from engine.workspace import Buffers

Alpha = Annotated[float, Field(strict=True, gt=0, le=100)]

_GRID = 4097


class Mixup(Mixing):
    """Overlays two pictures, one paler than the other, and mixes their targets alike."""

    type: Literal["mixup"] = "mixup"
    alpha: Alpha = 0.2
    """How even the mixtures are: near 0 one picture nearly always has it all, at 1 any share is as likely."""

    examples = ({"type": "mixup"}, {"type": "mixup", "alpha": 1.0, "probability": 0.5})
    formula = "a' = l a_i + (1 - l) a_j, y' = l y_i + (1 - l) y_j, l ~ Beta(alpha, alpha)"
    source = "Zhang et al. 2017, mixup: Beyond empirical risk minimization, section 2"

    def mix(
        self, x: Array, targets: Array, chosen: Chosen, streams: SampleStreams, buffers: Buffers
    ) -> tuple[Array, Array]:
        own = np.where(chosen, beta(streams.uniform(1)[:, 0], self.alpha), 1).astype(np.float32)
        factor = own.reshape(-1, 1, 1, 1)
        mixed = buffers.buffer("mixed", (len(own), *x.shape[1:]), np.float32)
        other = buffers.scratch("other", mixed.shape, np.float32)
        np.multiply(x[:-1], factor, out=mixed)
        np.multiply(x[1:], 1 - factor, out=other)
        mixed += other
        return mixed, _mixed_targets(targets, own)


class Cutmix(Mixing):
    """Puts a rectangle of one picture into another, and mixes their targets by area."""

    type: Literal["cutmix"] = "cutmix"
    alpha: Alpha = 1.0
    """How even the areas are: near 0 one picture nearly always has it all, at 1 any share is as likely."""

    examples = ({"type": "cutmix"}, {"type": "cutmix", "alpha": 0.5, "probability": 0.5})
    formula = "a' = a_j in a rectangle of the share 1 - l, else a_i; y' = l y_i + (1 - l) y_j"
    source = "Yun et al. 2019, CutMix, section 3.1 (the rectangle lies wholly inside the picture)"

    def mix(
        self, x: Array, targets: Array, chosen: Chosen, streams: SampleStreams, buffers: Buffers
    ) -> tuple[Array, Array]:
        height, width = x.shape[1:3]
        draws = streams.uniform(3)
        side = np.sqrt(1 - beta(draws[:, 0], self.alpha))
        mask = rectangles(side * height, side * width, draws[:, 1], draws[:, 2], height, width)
        mask &= chosen.reshape(-1, 1, 1)
        mixed = buffers.buffer("mixed", (len(mask), *x.shape[1:]), np.float32)
        np.copyto(mixed, x[:-1])
        np.copyto(mixed, x[1:], where=mask[..., np.newaxis])
        covered = np.count_nonzero(mask, axis=(1, 2)) / (height * width)
        return mixed, _mixed_targets(targets, (1 - covered).astype(np.float32))


def beta(uniform: Array, alpha: float) -> Array:
    """Turn uniform numbers in [0, 1) into draws from Beta(alpha, alpha), by its quantiles.

    The density x^(alpha-1) (1-x)^(alpha-1) is symmetric, so that half of it is enough. Below 1 it has a pole at 0;
    with x = t^(1/alpha) / 2 what is left to integrate over t is (1-x)^(alpha-1), which has none.
    """
    t = np.linspace(0, 1, _GRID)
    x = t ** (1 / min(alpha, 1)) / 2
    heights = (1 - x) ** (alpha - 1) * (x ** (alpha - 1) if alpha > 1 else 1)
    steps = np.cumsum((heights[1:] + heights[:-1]) / 2)
    cumulative = np.concatenate([[0], steps]) / steps[-1]  # twice the probability of less than x
    lower = uniform < 0.5
    drawn = np.interp(np.interp(2 * np.where(lower, uniform, 1 - uniform), cumulative, t), t, x)
    values: Array = np.where(lower, drawn, 1 - drawn)
    return values


def _mixed_targets(targets: Array, own: Array) -> Array:
    share = own[:, np.newaxis].astype(targets.dtype)
    mixed: Array = share * targets[:-1] + (1 - share) * targets[1:]
    return mixed
