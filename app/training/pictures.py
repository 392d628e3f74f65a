"""The pictures of one training step: sent as files, sent as numbers, or taken from a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.api.pictures import PictureSpec
from app.datasets.storage import StoredDataset
from app.errors import Invalid
from app.models.prediction import decode_picture, from_base64
from app.operations.numbers import array, narrowed, written
from app.pictures.bounds import Bounds
from engine.arrays import Array, Indices, Shape


@dataclass(frozen=True)
class Pictures:
    """Pictures as they are stored.

    Attributes:
        images: bytes (N, H, W, C); of numbers that were sent, float32.
        samples: their places in the data set, (N,).
        answers: their classes (N,) or targets (N, K), if a data set says them.
    """

    images: Array
    samples: Indices
    answers: Array | None = None


def read_inputs(inputs: Sequence[Any], shape: Shape) -> Pictures:
    """Return numbers as the first layer of a network with inputs of this shape receives them.

    Raises:
        Invalid: they are no numbers of equal lists, or of another shape.
    """
    numbers: NDArray[Any] = array(inputs, ("inputs",), (3, 4))
    numbers = numbers[..., None] if numbers.ndim == 3 else numbers
    if numbers.shape[1:] != shape:
        detail = f"the network takes {written(shape)} but receives {written(numbers.shape[1:])}"
        raise Invalid.at(("inputs", 0), detail, "nest lists as (N, H, W, C), or (N, H, W) of one channel")
    narrow = narrowed(numbers, ("inputs",))
    return Pictures(narrow, np.arange(len(narrow)))


def read_images(images: Sequence[str], spec: PictureSpec, bounds: Bounds) -> Pictures:
    """Return pictures that were sent in base64.

    Raises:
        Invalid: one is no picture, or is damaged.
        TooLarge: one has too many pixels.
    """
    decoded = [decode_picture(picture, spec, bounds) for picture in from_base64(images)]
    return Pictures(np.stack(decoded), np.arange(len(decoded)))


def read_stored(dataset: StoredDataset, split: str | None, indices: Sequence[int]) -> Pictures:
    """Return pictures of a data set, by their places in a split or in all of it.

    Raises:
        Invalid: there are not so many.
    """
    images = dataset.everything() if split is None else dataset.split(split)
    where = "the data set" if split is None else f"its {split} split"
    for number, index in enumerate(indices):
        if index >= len(images):
            detail = f"{where} has {len(images)} pictures, counted from 0"
            hint = f"use a number below {len(images)}" if len(images) else "choose another split"
            raise Invalid.at(("indices", number), detail, hint)
    samples = np.array(indices, np.int64)
    found, answers = images.read(samples)
    return Pictures(found, samples, answers)
