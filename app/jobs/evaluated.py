"""What an evaluation of classes keeps of each picture: one row of numbers a picture, in an npy file."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.files import paths
from app.files.artifacts import Artifacts

ROW = np.dtype(
    [
        ("number", "<i4"),  # of the picture in the data set
        ("label", "<i4"),  # classes are those of the model
        ("predicted", "<i4"),
        ("probability", "<f4"),  # of what was predicted
        ("label_probability", "<f4"),
    ]
)


def rows_of(
    numbers: NDArray[np.int64], labels: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> NDArray[np.void]:
    """Return a row for each picture, (n,).

    Args:
        numbers: of the pictures in the data set, (n,).
        labels: what is true, (n,).
        probabilities: what was predicted, (n, K).
    """
    rows = np.empty(len(numbers), ROW)
    predicted = probabilities.argmax(axis=1)
    each = np.arange(len(numbers))
    rows["number"], rows["label"], rows["predicted"] = numbers, labels, predicted
    rows["probability"], rows["label_probability"] = (
        probabilities[each, predicted],
        probabilities[each, labels],
    )
    return rows


def write_rows(artifacts: Artifacts, job_id: str, rows: Sequence[NDArray[np.void]]) -> None:
    """Write the rows of a job, the pictures in the order of their numbers."""
    buffer = io.BytesIO()
    together = np.concatenate([np.empty(0, ROW), *rows])
    np.lib.format.write_array(buffer, together, allow_pickle=False)
    artifacts.write(paths.evaluated(job_id), buffer.getvalue())


def read_rows(artifacts: Artifacts, job_id: str) -> NDArray[np.void] | None:
    """Return the rows of a job, (n,), mapped; None where it has none.

    Raises:
        OSError, ValueError: they cannot be read.
    """
    name = paths.evaluated(job_id)
    if not artifacts.exists(name):
        return None
    rows: NDArray[np.void] = np.lib.format.open_memmap(artifacts.local_path(name), mode="r")
    if rows.dtype != ROW or rows.ndim != 1:
        raise ValueError(f"it holds {rows.dtype} in {rows.ndim} dimensions")
    return rows
