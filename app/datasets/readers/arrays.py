"""What readers of arrays share: streams whose length is known before anything is allocated, and labels."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from app.api.pictures import MAX_SIDE
from app.datasets.readers.base import MAX_CLASSES, MAX_IMAGES, Shape, check_classes
from app.errors import Invalid, Malformed, TooLarge
from app.text import MAX_NAME, is_name, natural

_CHUNK_BYTES = 1 << 20


def read_exactly(stream: IO[bytes], size: int, what: str) -> bytes:
    """Read so many bytes of a stream.

    Raises:
        Malformed: it ends before, or is damaged.
    """
    try:
        data = stream.read(size)
    # gzip, zlib and zipfile raise EOFError, OSError, zlib.error, BadZipFile and others on damaged data.
    except MemoryError:
        raise
    except Exception as error:
        raise Malformed(f"{what} is damaged: {error}", code="damaged-file") from error
    if len(data) != size:
        raise Malformed(f"{what} ends too early: it was cut short", code="damaged-file")
    return data


def check_end(stream: IO[bytes], what: str) -> None:
    """Refuse a stream that goes on after its end.

    Raises:
        Malformed: there is more in it, or its checksum is wrong.
    """
    try:
        more = stream.read(1)
    except Exception as error:  # see read_exactly
        raise Malformed(f"{what} is damaged: {error}", code="damaged-file") from error
    if more:
        raise Malformed(f"{what} holds more than its header says", code="damaged-file")


def chunks(
    stream: IO[bytes], shape: Sequence[int], dtype: np.dtype[Any], what: str
) -> Iterator[NDArray[Any]]:
    """Read an array (N, ...) of a stream piece by piece.

    Raises:
        Malformed: it is damaged, cut short or too long.
    """
    size = math.prod(shape[1:]) * dtype.itemsize
    at_once = max(1, _CHUNK_BYTES // max(size, 1))
    for start in range(0, shape[0], at_once):
        count = min(at_once, shape[0] - start)
        data = read_exactly(stream, count * size, what)
        yield np.frombuffer(data, dtype).reshape(count, *shape[1:])
    check_end(stream, what)


def check_shape(shape: Sequence[int], what: str) -> Shape:
    """Return [height, width, channels] of an array of pictures.

    Raises:
        Invalid: it is not (N, H, W), (N, H, W, 1) or (N, H, W, 3), or empty.
        TooLarge: too many pictures, or too large ones.
    """
    shown = "x".join(map(str, shape)) or "a single number"
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise Invalid(
            f"{what} is {shown}; pictures are (N, H, W), (N, H, W, 1) or (N, H, W, 3)", code="unusable-arrays"
        )
    if min(shape) < 1:
        raise Invalid(f"{what} is {shown}: it holds no pictures", code="unusable-arrays")
    if max(shape[1:3]) > MAX_SIDE or shape[0] > MAX_IMAGES:
        raise TooLarge(
            f"{what} is {shown}; at most {MAX_IMAGES} pictures of {MAX_SIDE}x{MAX_SIDE} are taken",
            code="too-many-pixels",
        )
    return int(shape[1]), int(shape[2]), int(shape[3]) if len(shape) == 4 else 1


def index_labels(
    pieces: Iterable[NDArray[Any]], names: Sequence[str] | None, what: str
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the classes, and each picture's index among them.

    Args:
        pieces: of the labels (N,), which are integers or strings.
        names: what the integers 0, 1, ... are called; without them a class is called like its label.
        what: what messages call the labels.

    Raises:
        Invalid: too few classes, or labels that are no class.
        TooLarge: too many classes.
    """
    values, numbers = _distinct(pieces, what)
    integers = bool(values) and isinstance(values[0], int)
    if names is not None and integers:
        if min(values) < 0 or max(values) >= len(names):
            raise Invalid(
                f"{what} goes from {min(values)} to {max(values)}, but there are {len(names)} class names",
                code="unusable-arrays",
            )
        check_names(names)
        classes, indices = tuple(names), np.array(values, np.int32)[numbers]
    else:
        # The same word, whether letters and accents were taken apart or not.
        spelled = [unicodedata.normalize("NFC", str(value)) for value in values]
        ordered = [str(value) for value in sorted(values)] if integers else sorted(set(spelled), key=natural)
        check_names(ordered, what)
        places = {name: place for place, name in enumerate(ordered)}
        classes = tuple(ordered)
        indices = np.array([places[name] for name in spelled], np.int32)[numbers]
    check_classes(len(classes), what, "give every picture the number or name of its class")
    return classes, indices


def _distinct(pieces: Iterable[NDArray[Any]], what: str) -> tuple[list[Any], NDArray[np.int32]]:
    """Return the values that occur, and for each place of the pieces which of them is there.

    Raises:
        TooLarge: there are more than any data set has classes.
    """
    found: dict[Any, int] = {}
    numbers = []
    for piece in pieces:
        values, inverse = np.unique(piece.reshape(-1), return_inverse=True)
        if len(found) + len(values) > 2 * MAX_CLASSES or len(found) > MAX_CLASSES:
            raise TooLarge(f"{what} holds more than {MAX_CLASSES} classes, the most that are taken")
        own = np.array([found.setdefault(value, len(found)) for value in values.tolist()], np.int32)
        numbers.append(own[inverse.reshape(-1)])
    return list(found), np.concatenate(numbers)


def check_names(names: Sequence[str], what: str = "class_names") -> None:
    """Refuse names that do not tell classes, labels or values apart, or that no answer can hold.

    Raises:
        Invalid: one is empty, too long, unprintable, or there twice.
    """
    bad = next((name for name in names if not is_name(name)), None)
    if bad is not None:
        raise Invalid(
            f"{what} holds the name {bad[:40]!a}; use at most {MAX_NAME} printable characters",
            code="unusable-arrays",
        )
    if len(set(names)) != len(names):
        raise Invalid(f"{what} holds names that are not all different", code="unusable-arrays")
