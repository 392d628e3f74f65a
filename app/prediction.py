"""From the bytes of pictures to labels and probabilities."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import DomainError, FieldError, Invalid
from app.images import PictureSpec, decode
from app.schemas.models import Candidate, Prediction
from app.store.records import ModelRecord
from engine.inference import Predictor

_CHUNK_PIXELS = 1 << 23
"""Pixels that are decoded before they are looked at: what a request needs does not grow with its pictures."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it was sent.

    Attributes:
        data: the bytes of the file.
        filename: the name it was uploaded under.
        pointer: its place in a JSON body; or else
        parameter: the name of its file part.
    """

    data: bytes
    filename: str | None = None
    pointer: str | None = None
    parameter: str | None = None


def from_base64(images: Sequence[str]) -> list[Picture]:
    """Decode the pictures of a JSON body.

    Raises:
        Invalid: some of them are not base64.
    """
    pictures, faults = [], []
    for number, text in enumerate(images):
        pointer = f"/images/{number}"
        encoded = text.partition(",")[2] if text.startswith("data:") else text
        try:
            pictures.append(Picture(base64.b64decode(encoded, validate=True), pointer=pointer))
        except (binascii.Error, ValueError):
            faults.append(
                FieldError("this is not base64", pointer=pointer, hint="encode the bytes of a picture file")
            )
    if faults:
        raise Invalid(f"images: {len(faults)} of {len(images)} are not base64", errors=faults)
    return pictures


def predict(
    predictor: Predictor, record: ModelRecord, pictures: Sequence[Picture], top_k: int, max_pixels: int
) -> list[Prediction]:
    """Decode pictures, look at them and name what is in them.

    Raises:
        Invalid: one is no picture, or is damaged.
        TooLarge: one has more than `max_pixels` pixels.
    """
    spec = picture_spec(record)
    size = max(1, min(64, _CHUNK_PIXELS // math.prod(spec.image_shape)))
    predictions = []
    for first in range(0, len(pictures), size):
        chunk = pictures[first : first + size]
        images = np.stack([_decode(picture, spec, max_pixels) for picture in chunk])  # (n, H, W, C)
        probabilities = predictor.predict(images)  # (n, K)
        for picture, row in zip(chunk, probabilities, strict=True):
            top = list(_candidates(row, record.classes, top_k))
            predictions.append(Prediction(**dict(top[0]), filename=picture.filename, top=top))
    return predictions


def preprocess(record: ModelRecord, picture: Picture, max_pixels: int) -> NDArray[np.uint8]:
    """Return a picture as `predict` gives it to a model: uint8 (H, W, C).

    Raises:
        Invalid: it is no picture, or is damaged.
        TooLarge: it has more than `max_pixels` pixels.
    """
    return _decode(picture, picture_spec(record), max_pixels)


def picture_spec(record: ModelRecord) -> PictureSpec:
    """Return how pictures are made to fit a model: as those that it was trained on were."""
    return PictureSpec.model_validate(record.preprocessing["picture"])


def _decode(picture: Picture, spec: PictureSpec, max_pixels: int) -> NDArray[np.uint8]:
    try:
        return decode(picture.data, spec, max_pixels)
    except DomainError as error:
        # The same kind of error, and which of the pictures it is about.
        who = f"{picture.filename}: " if picture.filename else ""
        field = FieldError(who + error.detail, pointer=picture.pointer, parameter=picture.parameter)
        place = (picture.pointer or picture.parameter or "").removeprefix("/").replace("/", "[", 1)
        place += "]" if "[" in place else ""
        raise type(error)(f"{place}: {field.detail}", code=error.code, errors=(field,)) from error


def _candidates(
    probabilities: NDArray[np.float32], classes: Sequence[str], count: int
) -> Iterator[Candidate]:
    """Yield the most probable classes, the best first; of equals the one that comes first."""
    for index in np.argsort(-probabilities, kind="stable")[:count]:
        yield Candidate(label=classes[index], class_index=int(index), probability=float(probabilities[index]))
