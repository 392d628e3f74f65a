"""Arrays as answers: numbers of JSON, or files of NumPy."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import Response
from numpy.typing import NDArray

from app.errors import TooLarge
from app.pictures.bounds import Bounds
from app.web.answers.attachments import attachment

MOST_NUMBERS = 100_000
"""Of one array that is written as JSON; as text they take twenty bytes each."""

MOST_FILE_NUMBERS = 1 << 24
"""Of one array that is written into a file: 64 MB of float32."""

_FILE_COPIES = 3
"""How often an array is in memory beside itself while a file is made of it."""

NPZ = "application/x-npz"


def numbers(array: NDArray[Any], hint: str, most: int = MOST_NUMBERS) -> list[Any]:
    """Return an array as nested lists.

    Raises:
        TooLarge: it has more than `most` numbers; `hint` says in which form to ask for it.
    """
    check_numbers(array.shape, hint, most)
    listed: list[Any] = array.tolist()
    return listed


def check_numbers(shape: Sequence[int], hint: str, most: int = MOST_NUMBERS) -> None:
    """Refuse an array that is too long for JSON before it is computed; see `numbers`."""
    _check(shape, "as JSON", hint, most)


def check_file_numbers(shape: Sequence[int], hint: str) -> None:
    """Refuse an array that is too long for a file before it is computed.

    Raises:
        TooLarge: it has more than `MOST_FILE_NUMBERS` numbers; `hint` says what to ask for instead.
    """
    _check(shape, "into a file", hint, MOST_FILE_NUMBERS)


def _check(shape: Sequence[int], form: str, hint: str, most: int) -> None:
    count = math.prod(shape)
    if count > most:
        described = " x ".join(map(str, shape))
        raise TooLarge(f"{described} are {count:,} numbers; at most {most:,} are written {form}: {hint}")


def npz(arrays: Mapping[str, NDArray[Any]], filename: str, bounds: Bounds) -> Response:
    """Return named arrays as the answer that NumPy's `load` reads, made within bounds."""
    with bounds.reserve(_FILE_COPIES * sum(array.nbytes for array in arrays.values())):
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return Response(buffer.getvalue(), media_type=NPZ, headers=attachment(filename))
