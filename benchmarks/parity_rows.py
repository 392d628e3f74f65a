"""The largest differences found, and what may be found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.arrays import Array

DTYPES = {"float32": np.float32, "float64": np.float64}
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}

Arrays = dict[str, Array]


@dataclass
class Row:
    """The largest differences found for one kind of layer, loss or optimizer."""

    cases: int = 0
    worst: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, dtype: str, ours: Arrays, theirs: Arrays) -> None:
        """Compare two sets of answers.

        Raises:
            ValueError: they differ in more than numbers.
        """
        for name in ours.keys() | theirs.keys():
            found = [
                f"{array.dtype} {array.shape}"
                for array in (ours.get(name), theirs.get(name))
                if array is not None
            ]
            if len(found) != 2 or found[0] != found[1] or not found[0].startswith(dtype):
                raise ValueError(f"{name} is {' here and '.join(found)} there, in {dtype}")
        largest = max(float(np.abs(array).max()) for array in theirs.values())
        for name, array in ours.items():
            part = "forward" if name == "y" or name.startswith(("new ", "w ")) else "gradients"
            found = difference(array, theirs[name], largest / 100)
            self.worst[part, dtype] = max(self.worst.get((part, dtype), 0.0), found)


def difference(ours: Array, theirs: Array, least: float) -> float:
    """Return the largest difference as a share of the largest number, but of `least` where all are next to 0."""
    if not ours.size:
        return 0.0
    return float(np.abs(ours - theirs).max()) / max(float(np.abs(theirs).max()), least)
