"""Bodies of requests to augment one picture."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.requests.dataset_pictures import MOST_VARIANTS
from app.api.requests.operations import Numbers, Pictured
from engine.augmentations import AnyAugmentation, Augmentation
from engine.spec import Seed


class _Augment(Pictured):
    """A picture, and how to vary it."""

    input: Numbers | None = Field(None, examples=[[[100, 200], [0, 50]]])
    """The picture as numbers, each from 0 to 255."""
    seed: Seed = 0
    """As that of a training job, of which this were the first picture."""
    count: Annotated[int, Field(strict=True, ge=1, le=MOST_VARIANTS)] = 1
    """How many times the picture is varied: as in the epochs 1, 2, ... of a training job."""


class AugmentRequest(_Augment):
    """A picture and an augmentation."""

    augmentation: AnyAugmentation
    """How to vary it, as for a training job."""

    @property
    def augmentations(self) -> tuple[Augmentation, ...]:
        """The augmentation, as a list of one."""
        return (self.augmentation,)


class AugmentListRequest(_Augment):
    """A picture and several augmentations."""

    augmentation: Annotated[tuple[AnyAugmentation, ...], Field(min_length=1, max_length=32)]
    """How to vary it, in the order in which they are applied."""

    @property
    def augmentations(self) -> tuple[Augmentation, ...]:
        """The augmentations."""
        return self.augmentation
