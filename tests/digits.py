"""The packaged digits as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PACKAGED = Path(__file__).parents[1] / "app" / "builtin" / "digits.npz"


class Digits(NamedTuple):
    """The pictures, their class indices and their split codes."""

    images: NDArray[np.uint8]  # (10000, 28, 28, 1)
    labels: NDArray[np.int64]  # (10000,)
    splits: NDArray[np.uint8]  # (10000,), see app.datasets.readers.splits


def load_digits() -> Digits:
    with np.load(PACKAGED) as file:
        return Digits(file["images"], file["labels"].astype(np.int64), file["splits"])
