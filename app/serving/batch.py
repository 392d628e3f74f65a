"""A batch: pictures of one or several requests, decoded and computed together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.api.pictures import PictureSpec
from app.errors import DomainError
from app.models.prediction import Picture, decode_picture
from app.pictures.header import declared_pixels
from app.serving.asked import Piece
from engine.arrays import Array
from engine.model.inference import Predictor

_INLINE_BYTES = 16 * 1024
_OPEN_SECONDS = 20e-6
_PIXEL_SECONDS = 15e-9
"""What decoding and fitting a picture takes, and each of its pixels: on a slow machine twice that."""
_WORTH_HELP = 32 * 1024
"""Bytes of pictures that two threads decode in less time than one: Pillow lets go of the interpreter meanwhile."""

T = TypeVar("T")


def decode_seconds(picture: Picture) -> float:
    """Return how long decoding a picture is likely to take; infinite unless it surely is short."""
    if len(picture.data) > _INLINE_BYTES:
        return math.inf
    pixels = declared_pixels(picture.data)
    return math.inf if pixels is None else _OPEN_SECONDS + _PIXEL_SECONDS * pixels


def compute(
    predictor: Predictor, pieces: Sequence[Piece], max_pixels: int, executor: Executor | None
) -> None:
    """Decode and look at the pictures of some pieces, and write the answers of what is complete then.

    What goes wrong with a picture is its own outcome; what goes wrong with all of them is tried again piece by piece,
    so that it is the fault of one request.
    """
    try:
        _look(predictor, pieces, max_pixels, executor)
    except Exception as error:
        if len(pieces) > 1:
            for piece in pieces:
                compute(predictor, [piece], max_pixels, executor)
            return
        pieces[0].asked.fail(error)
        return
    for piece in pieces:
        piece.asked.end(piece)


def _look(predictor: Predictor, pieces: Sequence[Piece], max_pixels: int, executor: Executor | None) -> None:
    """Fill in the outcomes of some pieces."""
    spec = pieces[0].asked.spec
    places = [(piece.asked, number) for piece in pieces for number in range(piece.first, piece.last)]
    pictures = [asked.pictures[number] for asked, number in places]
    found = _in_parallel(lambda picture: _decoded(picture, spec, max_pixels), pictures, executor)
    images = [image for image in found if not isinstance(image, DomainError)]
    rows: Iterator[Array] = iter(())
    if images:
        rows = iter(predictor.predict(images[0][None] if len(images) == 1 else np.stack(images)))  # (n, K)
    for (asked, number), image in zip(places, found, strict=True):
        asked.outcomes[number] = image if isinstance(image, DomainError) else next(rows)


def _decoded(picture: Picture, spec: PictureSpec, max_pixels: int) -> NDArray[np.uint8] | DomainError:
    try:
        return decode_picture(picture, spec, max_pixels)
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
