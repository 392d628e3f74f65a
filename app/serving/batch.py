"""A batch: pictures of one or several requests, decoded and computed together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.api.pictures import PictureSpec
from app.errors import DomainError
from app.models.prediction import Picture, decode_picture
from app.pictures.bounds import Bounds
from app.pictures.headers.quick import declared_work
from app.serving.asked import Outcome, Piece
from engine.model.inference import Predictor

_INLINE_BYTES = 16 * 1024
_OPEN_SECONDS = 20e-6
_PIXEL_SECONDS = 15e-9
"""What decoding and fitting a picture takes, and each of its pixels: on a slow machine twice that."""
_BYTE_SECONDS = 1e-9
"""What it takes to copy a byte of a picture that is sent as numbers."""
_WORTH_HELP = 32 * 1024
"""Bytes of pictures that two threads decode in less time than one: Pillow lets go of the interpreter meanwhile."""

T = TypeVar("T")


def decode_seconds(picture: Picture) -> float:
    """Return how long decoding a picture is likely to take; infinite unless it surely is short."""
    if picture.numbers is not None:
        return _BYTE_SECONDS * picture.numbers.nbytes
    if len(picture.data) > _INLINE_BYTES:
        return math.inf
    work = declared_work(picture.data)
    return math.inf if work is None else _OPEN_SECONDS + _PIXEL_SECONDS * work


def compute(predictor: Predictor, pieces: Sequence[Piece], bounds: Bounds, executor: Executor | None) -> None:
    """Decode and look at the pictures of some pieces, and write the answers of what is complete then.

    What goes wrong with a picture is its own outcome; what goes wrong with all of them is tried again piece by piece,
    so that it is the fault of one request.
    """
    try:
        pictures = [picture for piece in pieces for picture in piece.asked.pictures[piece.first : piece.last]]
        found = iter(look(predictor, pieces[0].asked.spec, pictures, bounds, executor))
    except Exception as error:
        if len(pieces) > 1:
            for piece in pieces:
                compute(predictor, [piece], bounds, executor)
            return
        pieces[0].asked.fail(error)
        return
    for piece in pieces:
        piece.asked.outcomes[piece.first : piece.last] = islice(found, piece.size)
        piece.asked.end(piece)


def look(
    predictor: Predictor,
    spec: PictureSpec,
    pictures: Sequence[Picture],
    bounds: Bounds,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Decode pictures and return what a model predicts for each, or why it cannot.

    Args:
        predictor: of the model.
        spec: how pictures are made to fit it.
        pictures: as they were sent.
        bounds: what decoding one may take.
        executor: its threads help to decode many.
    """
    if len(pictures) == 1:
        image = _decoded(pictures[0], spec, bounds)
        return [image if isinstance(image, DomainError) else predictor.predict(image[None])[0]]
    found = _in_parallel(lambda picture: _decoded(picture, spec, bounds), pictures, executor)
    images = [(place, image) for place, image in enumerate(found) if not isinstance(image, DomainError)]
    outcomes: list[Outcome] = list(found)
    # requests that came together may have sent pixels and what the first layer receives
    for kind in (np.uint8, np.float32):
        chosen = [(place, image) for place, image in images if image.dtype == kind]
        if chosen:
            rows = predictor.predict(np.stack([image for _, image in chosen]))  # (n, K)
            for (place, _), row in zip(chosen, rows, strict=True):
                outcomes[place] = row
    return outcomes


def _decoded(picture: Picture, spec: PictureSpec, bounds: Bounds) -> NDArray[Any] | DomainError:
    try:
        return decode_picture(picture, spec, bounds)
    except DomainError as error:
        return error


def _in_parallel(
    decode: Callable[[Picture], T], pictures: Sequence[Picture], executor: Executor | None
) -> list[T]:
    """Decode pictures, many or large ones with the help of a thread of an executor if one is idle."""
    if executor is None or len(pictures) < 2 or sum(len(picture.data) for picture in pictures) < _WORTH_HELP:
        return [decode(picture) for picture in pictures]
    found: dict[int, T] = {}
    numbers = iter(range(len(pictures)))

    def some() -> None:
        for number in numbers:
            found[number] = decode(pictures[number])

    helper = executor.submit(some)
    some()
    if not helper.cancel():
        helper.result()
    return [found[number] for number in range(len(pictures))]
