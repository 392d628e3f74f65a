"""Augmentations applied to one picture that somebody sends, as training would apply them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from app.errors import Invalid
from engine.arrays import Array
from engine.augmentations import Augmentation, augment
from engine.augmentations.base import Mixing
from engine.errors import EngineError

PLACE = ("augmentation",)

_BYTES_EACH = 40
"""Of memory for each number of a picture while it is augmented."""


def working_bytes(numbers: int, variants: int) -> int:
    """Return how much memory it takes to vary pictures of so many numbers so often, and to keep the variants."""
    return numbers * (_BYTES_EACH + 4 * variants)


def augmented(
    picture: Array,
    augmentations: Sequence[Augmentation],
    seed: int,
    count: int,
    *,
    several: bool,
    go_on: Callable[[], None],
) -> Array:
    """Return what the augmentations make of a picture in each of the first epochs of a training job.

    Args:
        picture: (H, W, C), values 0..255, bytes or float32.
        augmentations: in the order in which they are applied.
        seed: of the job; the picture is its first one.
        count: how many epochs.
        several: whether they were sent as a list, and so errors name a place in it.
        go_on: called before each epoch; what it raises ends the work.

    Returns:
        (count, H, W, C), values 0..255, bytes or float32.

    Raises:
        Invalid, ShapeError: an augmentation that takes a second picture, or one of other channels.
    """
    for number, each in enumerate(augmentations):
        if isinstance(each, Mixing):
            raise Invalid.at(
                (*PLACE, number) if several else PLACE,
                f"{each.type} makes one picture of two, and their targets into one; here there is one picture",
                "leave it out, or see it in POST /v1/datasets/{id}/augmentation-preview",
            )
    try:
        epochs = []
        for epoch in range(1, count + 1):
            go_on()
            epochs.append(augment(picture[np.newaxis], augmentations, seed, epoch)[0])
        return np.stack(epochs)
    except EngineError as error:
        # the engine names the place in the list
        path = error.path if several else error.path[1:]
        raise type(error)(error.detail, path=(*PLACE, *path), hint=error.hint) from None
