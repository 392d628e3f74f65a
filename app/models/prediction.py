"""From the bytes of pictures to classes, labels and values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.api.pictures import PictureSpec
from app.errors import Damaged, DomainError, FieldError, Invalid
from app.files.encoded import HINT, decode_base64
from app.pictures.decode import decode
from app.store.records import ModelRecord
from engine.model.inference import Predictor

THRESHOLD = 0.5
"""How probable a label must be to be named, unless something else is asked for."""

_CHUNK_PIXELS = 1 << 23
_CHUNK = 64


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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A class or label, and how probable a model finds it: from 0 to 1."""

    label: str
    class_index: int
    probability: float


@dataclass(frozen=True, slots=True)
class Value:
    """A number that a model was trained to predict."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model sees in a picture.

    Attributes:
        top: the most probable classes or labels, the best first; none of values.
        labels: all labels that are probable enough, the most probable first; None of classes and values.
        values: all values; None of classes and labels.
    """

    top: tuple[Candidate, ...] = ()
    labels: tuple[Candidate, ...] | None = None
    values: tuple[Value, ...] | None = None


def from_base64(images: Sequence[str]) -> list[Picture]:
    """Decode the pictures of a JSON body.

    Raises:
        Invalid: some of them are not base64.
    """
    pictures, faults = [], []
    for number, text in enumerate(images):
        pointer = f"/images/{number}"
        try:
            pictures.append(Picture(decode_base64(text), pointer=pointer))
        except ValueError as error:
            faults.append(FieldError(f"this is no base64: {error}", pointer=pointer, hint=HINT))
    if faults:
        raise Invalid.listing(faults)
    return pictures


def predict(
    predictor: Predictor,
    record: ModelRecord,
    pictures: Sequence[Picture],
    top_k: int,
    max_pixels: int,
    threshold: float | None = None,
) -> list[Seen]:
    """Decode pictures, look at them, and return what is seen in each.

    Args:
        predictor: of the model.
        record: of the model.
        pictures: what to look at.
        top_k: how many classes or labels to name.
        max_pixels: the most pixels of a picture.
        threshold: how probable a label must be, for models of labels.

    Raises:
        Invalid: one is no picture, or is damaged; or there is a threshold, and the model is not one of labels.
        TooLarge: one has more than `max_pixels` pixels.
    """
    spec = picture_spec(record)
    size = at_a_time(spec)
    if threshold is not None and record.target != "labels":
        detail = f"the model {record.id!r} does not tell labels"
        raise Invalid.at("threshold", detail, "leave it out", parameter=True)
    found: list[Seen] = []
    for first in range(0, len(pictures), size):
        images = [decode_picture(picture, spec, max_pixels) for picture in pictures[first : first + size]]
        rows = predictor.predict(np.stack(images))  # (n, K)
        found += [_see(record, row, top_k, THRESHOLD if threshold is None else threshold) for row in rows]
    return found


def at_a_time(spec: PictureSpec) -> int:
    """Return how many pictures to decode before they are looked at, so that memory does not grow with their number."""
    return max(1, min(_CHUNK, _CHUNK_PIXELS // math.prod(spec.image_shape)))


def look(
    predictor: Predictor, record: ModelRecord, images: Sequence[NDArray[np.uint8]], top_k: int
) -> list[list[Candidate]]:
    """Return the most probable classes of decoded pictures (H, W, C), the best first; see `at_a_time`."""
    if not images:
        return []
    probabilities = predictor.predict(np.stack(images))  # (n, K)
    return [list(_candidates(row, record.classes, top_k)) for row in probabilities]


def preprocess(record: ModelRecord, picture: Picture, max_pixels: int) -> NDArray[np.uint8]:
    """Return a picture as `predict` gives it to a model: uint8 (H, W, C).

    Raises:
        Invalid: it is no picture, or is damaged.
        TooLarge: it has more than `max_pixels` pixels.
    """
    return decode_picture(picture, picture_spec(record), max_pixels)


def picture_spec(record: ModelRecord) -> PictureSpec:
    """Return how pictures are made to fit a model: as those that it was trained on were.

    Raises:
        Damaged: the row of the model does not say so, or makes pictures of another shape than the model takes.
    """
    try:
        spec = PictureSpec.model_validate(record.preprocessing.get("picture"))
    except ValueError as error:
        raise Damaged.of("model", record.id, "its preprocessing cannot be read") from error
    if spec.image_shape != tuple(record.input_shape):
        raise Damaged.of("model", record.id, "its preprocessing does not fit its input")
    return spec


def decode_picture(picture: Picture, spec: PictureSpec, max_pixels: int) -> NDArray[np.uint8]:
    """Return a picture that was sent as a spec says, uint8 (H, W, C); an error says which of the pictures it is about.

    Raises:
        Invalid: it is no picture, or is damaged.
        TooLarge: it has more than `max_pixels` pixels.
    """
    try:
        return decode(picture.data, spec, max_pixels)
    except DomainError as error:
        # The same kind of error, and which of the pictures it is about.
        who = f"{picture.filename}: " if picture.filename else ""
        field = FieldError(who + error.detail, pointer=picture.pointer, parameter=picture.parameter)
        raise type(error).listing([field], code=error.code) from error


def _see(record: ModelRecord, row: NDArray[np.float32], top_k: int, threshold: float) -> Seen:
    if record.target == "values":
        named = zip(record.classes, row.tolist(), strict=True)
        return Seen(values=tuple(Value(name, value) for name, value in named))
    if record.target == "class":
        return Seen(tuple(_candidates(row, record.classes, top_k)))
    ranked = tuple(_candidates(row, record.classes, len(record.classes)))
    return Seen(ranked[:top_k], tuple(found for found in ranked if found.probability >= threshold))


def _candidates(
    probabilities: NDArray[np.float32], classes: Sequence[str], count: int
) -> Iterator[Candidate]:
    """Yield the most probable classes, the best first; of equals the one that comes first."""
    for index in np.argsort(-probabilities, kind="stable")[:count]:
        yield Candidate(classes[index], int(index), float(probabilities[index]))
