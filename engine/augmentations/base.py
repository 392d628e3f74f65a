"""The augmentation contract.

An augmentation is an immutable record of hyperparameters with pure methods. What it does to a
picture in an epoch is drawn from a stream of the sample's own, so that it is the same whichever
pictures are in the batch with it. There are four kinds, and the pipeline runs each kind its way:

    Geometric   where each pixel of the result comes from; neighbours in the list become one resampling
    Colour      a linear map of a pixel's channels; neighbours in the list become one map
    Pixels      changes numbers in place
    Mixing      makes one sample of two, its target too

Pictures are (N, H, W, C) with values 0..255, bytes or float32. A new augmentation is one class in
one of the files beside this one, named in `engine.augmentations`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engine.arrays import Array, Shape
from engine.draws import SampleStreams
from engine.errors import ShapeError
from engine.spec import Spec
from engine.workspace import Buffers

Share = Annotated[float, Field(strict=True, ge=0, le=1)]
"""A share that may be nothing or everything: 0 <= x <= 1."""

Degrees = Annotated[float, Field(strict=True, gt=0, le=180)]

Fill = Literal["black", "edge", "reflect"]
"""What lies outside of a picture: nothing but black, its border pixels, or its mirror image."""

Chosen = NDArray[np.bool_]


class Augmentation(Spec):
    """What all kinds share."""

    type: str
    probability: Share = 1.0
    """How likely a picture is changed at all."""

    examples: ClassVar[tuple[dict[str, Any], ...]]
    """As callers would post it; contract tests and the catalog use them."""
    formula: ClassVar[str]
    source: ClassVar[str]
    channels: ClassVar[int | None] = None
    """How many channels a picture must have; None if it works with any number."""

    @classmethod
    def tag(cls) -> str:
        """Return the value of `type` that stands for this class."""
        default: str = cls.model_fields["type"].default
        return default

    def check(self, shape: Shape) -> None:
        """Raise ShapeError unless pictures of this shape can be augmented so."""
        if self.channels is not None and shape[2] != self.channels:
            raise ShapeError(
                f"{self.type} takes pictures of {self.channels} channels but these have {shape[2]}",
                hint=f"leave {self.type} out",
            )

    def chosen(self, streams: SampleStreams) -> Chosen:
        """Draw which pictures are changed, (n,)."""
        if self.probability == 1:
            streams.skip(1)
            return np.ones(len(streams), np.bool_)
        chosen: Chosen = streams.uniform(1)[:, 0] < self.probability
        return chosen


class Geometric(Augmentation):
    """Moves pixels. Its maps speak of pixel centres: x to the right, y down, 0 in the middle of the picture."""

    fill: Fill = "black"
    """What is seen where the picture ends: black, its border pixels (`edge`), or its mirror image (`reflect`)."""

    exact: ClassVar[bool] = False
    """Whether every pixel of the result is a pixel of the picture, so that nothing is interpolated."""

    def maps(self, streams: SampleStreams, height: int, width: int) -> Array:
        """Draw a map for each sample: (n, 3, 3), from (x, y, 1) in the result to its place in the picture."""
        raise NotImplementedError


class Colour(Augmentation):
    """Maps the channels of each pixel linearly: a' = a M + b."""

    alike: ClassVar[bool] = True
    """Whether M is one number for all channels."""
    needs_mean: ClassVar[bool] = False
    """Whether it looks at the mean of each picture's channels."""

    def factors(self, streams: SampleStreams, mean: Array) -> tuple[Array, Array]:
        """Draw M (n, C, C) and b (n, C) for each sample.

        Args:
            streams: of the samples.
            mean: mean of each channel (n, C) before this augmentation; 0 unless `needs_mean`.
        """
        raise NotImplementedError


class Pixels(Augmentation):
    """Changes numbers of a picture in place."""

    def change(self, x: Array, chosen: Chosen, streams: SampleStreams, buffers: Buffers) -> None:
        """Change the chosen pictures of x (N, H, W, C), float32, in place."""
        raise NotImplementedError


class Mixing(Augmentation):
    """Mixes each sample with a partner: the next one in the epoch's order."""

    def mix(
        self, x: Array, targets: Array, chosen: Chosen, streams: SampleStreams, buffers: Buffers
    ) -> tuple[Array, Array]:
        """Mix rows 0..n-1 with rows 1..n.

        Args:
            x: pictures (n + 1, H, W, C), float32; left as they are.
            targets: (n + 1, K).
            chosen: which of the first n are mixed, (n,).
            streams: of the first n samples.
            buffers: where the result lives.

        Returns:
            Pictures (n, H, W, C) and targets (n, K).
        """
        raise NotImplementedError


def signed(uniform: Array, most: float) -> Array:
    """Return uniform numbers in [0, 1) as numbers in [-most, most)."""
    numbers: Array = (2 * uniform - 1) * most
    return numbers


def identities(count: int, size: int) -> Array:
    """Return `count` identity matrices, (count, size, size)."""
    return np.broadcast_to(np.eye(size), (count, size, size)).copy()
