"""Every augmentation there is: the one list that all else is computed from."""

from __future__ import annotations

from typing import Annotated

from engine.augmentations.base import Augmentation
from engine.augmentations.colour import Brightness, Contrast, Greyscale, Hue, Inversion, Saturation
from engine.augmentations.geometry import (
    HorizontalFlip,
    RandomCrop,
    Rotation,
    Scaling,
    Shear,
    Translation,
    VerticalFlip,
)
from engine.augmentations.mixing import Cutmix, Mixup
from engine.augmentations.noise import Erasing, GaussianNoise, SaltAndPepper
from engine.augmentations.pipeline import Pipeline, augment, check, partners
from engine.choices import OneOf

AUGMENTATIONS: tuple[type[Augmentation], ...] = (
    RandomCrop,
    HorizontalFlip,
    VerticalFlip,
    Rotation,
    Translation,
    Scaling,
    Shear,
    Brightness,
    Contrast,
    Saturation,
    Hue,
    Greyscale,
    Inversion,
    GaussianNoise,
    SaltAndPepper,
    Erasing,
    Mixup,
    Cutmix,
)

AnyAugmentation = Annotated[Augmentation, OneOf(AUGMENTATIONS)]

__all__ = ["AUGMENTATIONS", "AnyAugmentation", "Augmentation", "Pipeline", "augment", "check", "partners"]
