"""A node of a run that is not the first: `python -m tests.engine.fast.node_program TASK HOST PORT NUMBER`.

It reads the token of the run from its input, and knows the tasks that tests train on.
"""

from __future__ import annotations

import sys

import numpy as np

from app.builtin.digits import DIGITS_SHAPE
from engine.fast.nodes.gate import join
from engine.fast.nodes.member import serve
from engine.inputs.feed import TrainingData
from tests.digits import load_digits
from tests.engine import stripes

SECONDS = 120.0


class Some:
    """Some pictures of the digits; each set notes which of them were read."""

    def __init__(self, first: int, last: int) -> None:
        digits = load_digits()
        self._images, self._labels = digits.images[first:last], digits.labels[first:last]
        self.read_places: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._labels)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.read_places.append(np.array(indices))
        return self._images[indices], self._labels[indices]


def digits() -> TrainingData:
    """Return a few of the digits."""
    return TrainingData(
        Some(0, 150), Some(150, 220), Some(220, 260), tuple(map(str, range(10))), DIGITS_SHAPE
    )


TASKS = {"stripes": stripes.data, "digits": digits}


def main() -> None:
    task, host, port, number = sys.argv[1:]
    token = bytes.fromhex(sys.stdin.readline())
    serve(join(host, int(port), token, int(number), SECONDS), TASKS[task]())


if __name__ == "__main__":
    main()
