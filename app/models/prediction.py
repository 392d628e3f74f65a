"""From the bytes of pictures to classes, labels and values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.api.pictures import PictureSpec
from app.errors import Damaged, DomainError, FieldError, Invalid
from app.files.encoded import HINT, decode_base64
from app.pictures.bounds import Bounds
from app.pictures.decode import decode
from app.store.records import ModelRecord
from engine.model.inference import Predictor

_CHUNK_PIXELS = 1 << 23
_CHUNK = 64
_FEW = 100
"""Numbers that Python sorts sooner than NumPy is asked to."""
_WORTH_CHOOSING = 16
"""How many times as many numbers there must be as are wanted, for all of them not to be sorted."""


@dataclass(slots=True)
class Picture:
    """A picture as it was sent. Nobody changes one: it is not frozen, which would make each five times as long.

    Attributes:
        data: the bytes of the file.
        filename: the name it was uploaded under.
        pointer: its place in a JSON body; or else
        parameter: the name of its file part.
        fault: why there are no bytes, where something is wrong with them already.
        numbers: a picture that needs no decoding and no fitting, instead of a file: pixels, uint8 (H, W, C), or what
            the first layer receives, float32 (H, W, C); of the shape that the model takes.
    """

    data: bytes
    filename: str | None = None
    pointer: str | None = None
    parameter: str | None = None
    fault: FieldError | None = None
    numbers: NDArray[Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A class or label, and how probable a model finds it: from 0 to 1."""

    label: str
    class_index: int
    probability: float


def from_base64(images: Sequence[str], *, with_faults: bool = False) -> list[Picture]:
    """Decode the pictures of a JSON body.

    Args:
        images: each in base64.
        with_faults: whether what is no base64 becomes a picture with a fault.

    Raises:
        Invalid: some of them are not base64, and that is not to become pictures.
    """
    pictures = []
    for number, text in enumerate(images):
        pointer = f"/images/{number}"
        try:
            pictures.append(Picture(decode_base64(text), pointer=pointer))
        except ValueError as error:
            fault = FieldError(f"this is no base64: {error}", pointer=pointer, hint=HINT)
            pictures.append(Picture(b"", pointer=pointer, fault=fault))
    faults = [picture.fault for picture in pictures if picture.fault is not None]
    if faults and not with_faults:
        raise Invalid.listing(faults)
    return pictures


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


def preprocess(record: ModelRecord, picture: Picture, bounds: Bounds) -> NDArray[Any]:
    """Return a picture as `predict` gives it to a model: uint8 (H, W, C), or its `numbers`.

    Raises:
        Invalid: it is no picture, or is damaged.
        TooLarge: it has too many pixels.
    """
    return decode_picture(picture, picture_spec(record), bounds)


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


def decode_picture(picture: Picture, spec: PictureSpec, bounds: Bounds) -> NDArray[Any]:
    """Return a picture that was sent as a spec says, uint8 (H, W, C); an error says which of the pictures it is about.

    One that was sent as numbers is returned as it is.

    Raises:
        Invalid: it is no picture, or is damaged.
        TooLarge: it has too many pixels.
    """
    if picture.numbers is not None:
        return picture.numbers
    if picture.fault is not None:
        raise Invalid.listing([picture.fault])
    try:
        return decode(picture.data, spec, bounds)
    except DomainError as error:
        # The same kind of error, and which of the pictures it is about.
        who = f"{picture.filename}: " if picture.filename else ""
        field = FieldError(who + error.detail, pointer=picture.pointer, parameter=picture.parameter)
        raise type(error).listing([field], code=error.code) from error


def _candidates(
    probabilities: NDArray[np.float32], classes: Sequence[str], count: int
) -> Iterator[Candidate]:
    """Yield the most probable classes, the best first; of equals the one that comes first."""
    for index in best(probabilities, count):
        yield Candidate(classes[index], index, float(probabilities[index]))


def best(numbers: NDArray[np.float32], count: int) -> list[int]:
    """Return where the largest of some numbers (K,) are, the largest first; of equals the one that comes first."""
    if len(numbers) <= _FEW:
        values: list[float] = numbers.tolist()
        if not math.isnan(sum(values)):
            return sorted(range(len(values)), key=values.__getitem__, reverse=True)[:count]
    falling = -numbers
    chosen = np.arange(len(falling))
    if count * _WORTH_CHOOSING < len(falling):
        last = np.partition(falling, count - 1)[count - 1]
        enough = np.flatnonzero(falling <= last)
        if len(enough) >= count:  # fewer where some are no numbers
            chosen = enough
    order: list[int] = chosen[np.argsort(falling[chosen], kind="stable")[:count]].tolist()
    return order
