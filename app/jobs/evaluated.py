"""What an evaluation keeps of each picture: one row of numbers a picture, in an npy file, and what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Conflict, Damaged
from app.files import paths
from app.files.artifacts import Artifacts, Written
from app.jobs.findings import found_file
from app.jobs.kinds import EVALUATION
from app.states import JobStatus
from app.store.records import JobRecord, Json
from engine.recipe.targets import THRESHOLD, Target

_SPLIT_SAMPLE = 10_000
"""Pictures of each other split that its error is measured on, spread evenly over it."""

ROW = np.dtype(
    [
        ("number", "<i4"),  # of the picture in the data set
        ("label", "<i4"),  # classes are those of the model
        ("predicted", "<i4"),
        ("probability", "<f4"),  # of what was predicted
        ("label_probability", "<f4"),
    ]
)


def looked_at(images: int, *, is_chosen: bool) -> int:
    """Return how many pictures of a split are looked at.

    Args:
        images: how many it has.
        is_chosen: whether it is the one that is looked at closely.
    """
    return images if is_chosen else min(images, _SPLIT_SAMPLE)


def row_type(target: Target, names: int) -> np.dtype[np.void]:
    """Return what a row is made of: of labels and values all that is true and all that was predicted, (K,) each."""
    if target == "class":
        return ROW
    return np.dtype([("number", "<i4"), ("truth", "<f4", (names,)), ("found", "<f4", (names,))])


def rows_of(
    target: Target, numbers: NDArray[np.int64], truth: NDArray[Any], found: NDArray[np.float32]
) -> NDArray[np.void]:
    """Return a row for each picture, (n,).

    Args:
        target: what the model tells.
        numbers: of the pictures in the data set, (n,).
        truth: the classes (n,), or the labels as 0 and 1 or the values, (n, K).
        found: the probabilities of classes or labels, or the values, (n, K).
    """
    rows = np.empty(len(numbers), row_type(target, found.shape[1]))
    rows["number"] = numbers
    if target != "class":
        rows["truth"], rows["found"] = truth, found
        return rows
    predicted = found.argmax(axis=1)
    each = np.arange(len(numbers))
    rows["label"], rows["predicted"] = truth, predicted
    rows["probability"], rows["label_probability"] = found[each, predicted], found[each, truth]
    return rows


@dataclass(frozen=True)
class Evaluated:
    """What was predicted for the pictures of a split.

    Attributes:
        target: what the model tells.
        names: the classes of the model, or the labels or values of the data set.
        rows: one for each picture, in the order of their numbers, (n,).
    """

    target: Target
    names: Sequence[str]
    rows: NDArray[np.void]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def numbers(self) -> NDArray[np.int32]:
        """The numbers of the pictures, (n,)."""
        numbers: NDArray[np.int32] = self.rows["number"]
        return numbers

    @cached_property
    def wrong(self) -> NDArray[np.bool_] | None:
        """Which pictures have another class, or not just these labels, (n,); None of values, which are never exact."""
        if self.target == "values":
            return None
        if self.target == "class":
            other: NDArray[np.bool_] = self.rows["label"] != self.rows["predicted"]
            return other
        return np.asarray(((self.rows["truth"] > 0) != (self.rows["found"] >= THRESHOLD)).any(axis=1))

    @cached_property
    def truth_probability(self) -> NDArray[np.float32] | None:
        """How probable the class was found, or the truth about the label where that is least, (n,); None of values."""
        if self.target == "values":
            return None
        if self.target == "class":
            own: NDArray[np.float32] = self.rows["label_probability"]
            return own
        found = self.rows["found"]
        return np.asarray(np.where(self.rows["truth"] > 0, found, 1 - found).min(axis=1, initial=1))

    @cached_property
    def error(self) -> NDArray[np.float64] | None:
        """The root of the mean squared error of each picture's values, (n,); None of classes and labels."""
        return None if self.target != "values" else np.sqrt(np.square(self._off()).mean(axis=1))

    def order(self, value: int | None = None) -> NDArray[np.int64]:
        """Return the rows from the one that the model is furthest off, (n,); of one value only, by its distance."""
        off: NDArray[Any] | None
        if value is not None:
            off = -np.abs(self._off()[:, value])
        else:
            off = self.truth_probability if self.error is None else -self.error
        if off is None:
            raise AssertionError("every target has a measure of how far off a prediction is")
        return np.argsort(off, kind="stable")

    def worst(self, most: int) -> NDArray[np.int64]:
        """Return the rows that the model is wrong about, or furthest off, the worst first, (at most `most`,)."""
        order = self.order()
        return (order if self.wrong is None else order[self.wrong[order]])[:most]

    def having(self, name: int) -> NDArray[np.bool_]:
        """Return which pictures are of a class or have a label, (n,)."""
        of: NDArray[np.bool_] = (
            self.rows["label"] == name if self.target == "class" else self.rows["truth"][:, name] > 0
        )
        return of

    def predicted(self, name: int) -> NDArray[np.bool_]:
        """Return for which pictures a class or label was predicted, (n,)."""
        of: NDArray[np.bool_] = (
            self.rows["predicted"] == name
            if self.target == "class"
            else self.rows["found"][:, name] >= THRESHOLD
        )
        return of

    def said(self, place: int) -> Json:
        """Return what is true of the picture in a row and what was predicted, in the words of `Mistake`."""
        row = self.rows[place]
        if self.target == "class":
            return {
                "label": self.names[row["label"]],
                "predicted": self.names[row["predicted"]],
                "probability": float(row["probability"]),
                "label_probability": float(row["label_probability"]),
            }
        pairs = zip(self.names, row["truth"].tolist(), row["found"].tolist(), strict=True)
        if self.error is not None:
            values = [{"name": name, "value": true, "predicted": found} for name, true, found in pairs]
            return {"values": values, "error": float(self.error[place])}
        labels = [
            {"name": name, "true": true > 0, "predicted": found >= THRESHOLD, "probability": found}
            for name, true, found in pairs
            if true > 0 or found >= THRESHOLD
        ]
        probability = None if self.truth_probability is None else float(self.truth_probability[place])
        return {"labels": labels, "label_probability": probability}

    def _off(self) -> NDArray[np.float64]:
        off: NDArray[np.float64] = self.rows["found"].astype(np.float64) - self.rows["truth"]
        return off


def caption(said: Json) -> str:
    """Say in a few words what a picture is and what it was taken for."""
    if "label" in said:
        return f"{said['label']} as {said['predicted']}"
    if "values" in said:
        furthest = max(said["values"], key=lambda value: abs(value["predicted"] - value["value"]))
        return f"{furthest['name']} {furthest['value']:.3g} as {furthest['predicted']:.3g}"
    missed = [f"-{label['name']}" for label in said["labels"] if not label["predicted"]]
    invented = [f"+{label['name']}" for label in said["labels"] if not label["true"]]
    return " ".join([*missed, *invented])


def write_rows(artifacts: Artifacts, name: str, evaluated: Evaluated) -> Written:
    """Write the rows of a job to a file, and return that."""

    def write(file: IO[bytes]) -> None:
        np.lib.format.write_array(file, evaluated.rows, allow_pickle=False)

    return artifacts.write(name, write)


def check_finished(record: JobRecord) -> None:
    """Refuse an evaluation that has not succeeded.

    Raises:
        Conflict: that is so.
    """
    if record.status is not JobStatus.SUCCEEDED:
        detail = f"evaluation {record.id!r} is {record.status} and has found nothing"
        raise Conflict(detail, code="not-finished")


def findings(record: JobRecord, artifacts: Artifacts) -> Json:
    """Return what the worker of an evaluation has written about all pictures together.

    Raises:
        Conflict: it has not succeeded.
        Damaged: it cannot be read.
    """
    check_finished(record)
    try:
        found: Json = json.loads(found_file(paths.report, record, artifacts).read_bytes())
    except (OSError, ValueError) as error:
        raise Damaged.of(EVALUATION.noun, record.id, "the file of its findings cannot be read") from error
    return found


def read_rows(record: JobRecord, artifacts: Artifacts) -> Evaluated:
    """Return what an evaluation found of each picture, mapped.

    Raises:
        Conflict: it has not succeeded, or kept nothing of each picture.
        Damaged: it cannot be read.
    """
    document = findings(record, artifacts)
    target, names = document.get("target", "class"), document.get("classes", ())
    path = found_file(paths.evaluated, record, artifacts)
    try:
        rows: NDArray[np.void] = np.lib.format.open_memmap(path, mode="r")
        if rows.dtype != row_type(target, len(names)) or rows.ndim != 1:
            raise ValueError(f"it holds {rows.dtype} in {rows.ndim} dimensions")
    except FileNotFoundError:
        detail = f"evaluation {record.id!r} has no predictions of single pictures: it was made by an earlier version"
        raise Conflict(detail, code="no-predictions") from None
    except (OSError, ValueError) as error:
        raise Damaged.of(EVALUATION.noun, record.id, "the file of its predictions cannot be read") from error
    return Evaluated(target, names, rows)
