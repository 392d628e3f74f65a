"""What is right for pictures: names, indices or values of a request, as the arrays that a loss takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.errors import Invalid
from app.operations.numbers import quoted
from app.text import did_you_mean
from engine.arrays import Array
from engine.inputs.feed import as_targets, one_hot
from engine.recipe.targets import Target

_MOST_NAMES = 20
_LARGEST = 3.4e38  # of float32


def read_targets(
    sent: Sequence[Any] | None, stored: Array | None, classes: Sequence[str], target: Target, count: int
) -> tuple[Array, bool]:
    """Return targets (N, K) in float32, and whether each picture is of one class.

    Args:
        sent: for each picture what the request says; None where it says nothing.
        stored: classes (N,) or targets (N, K) of the data set that the pictures come from.
        classes: names of classes, labels or values.
        target: which of them.
        count: how many pictures there are.

    Raises:
        Invalid: some are missing, or are none of those.
    """
    if sent is None:
        if stored is None:
            raise Invalid.at("targets", "this key is required", "say what is right for each picture")
        return as_targets(stored, len(classes)), stored.ndim == 1
    if len(sent) != count:
        raise Invalid.at("targets", f"{len(sent)} targets for {count} pictures", "give one for each")
    if target == "class":
        indices = [_index(value, classes, ("targets", row), "class") for row, value in enumerate(sent)]
        return one_hot(np.array(indices, np.int64), len(classes)), True
    read = _labels if target == "labels" else _values
    return np.stack([read(value, classes, row) for row, value in enumerate(sent)]), False


def _labels(value: Any, classes: Sequence[str], row: int) -> Array:
    if not isinstance(value, list):
        detail = f"{quoted(value)} is no list of labels"
        raise Invalid.at(("targets", row), detail, "give a list of names or indices; an empty one for none")
    targets = np.zeros(len(classes), np.float32)
    for number, label in enumerate(value):
        targets[_index(label, classes, ("targets", row, number), "label")] = 1
    return targets


def _values(value: Any, classes: Sequence[str], row: int) -> Array:
    wanted = f"give {len(classes)} numbers: {_names(classes)}"
    if not isinstance(value, list) or len(value) != len(classes):
        raise Invalid.at(("targets", row), f"{quoted(value)} is no list of {len(classes)} values", wanted)
    for number, each in enumerate(value):
        if isinstance(each, bool) or not isinstance(each, int | float) or abs(each) > _LARGEST:
            raise Invalid.at(("targets", row, number), f"{quoted(each)} is no value", "write a finite number")
    return np.array(value, np.float32)


def _index(value: Any, classes: Sequence[str], place: tuple[str | int, ...], noun: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < len(classes):
            return value
        detail, hint = f"there is no {noun} {quoted(value)}", f"indices go from 0 to {len(classes) - 1}"
        raise Invalid.at(place, detail, hint, code="unknown-class")
    if not isinstance(value, str):
        detail = f"{quoted(value)} is neither the name nor the index of a {noun}"
        raise Invalid.at(place, detail, f"name one of {_names(classes)}")
    if value in classes:
        return list(classes).index(value)
    hint = did_you_mean(value, classes, f"name one of {_names(classes)}", 3)
    raise Invalid.at(place, f"there is no {noun} {value[:100]!r}", hint, code="unknown-class")


def _names(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - _MOST_NAMES} more" if len(classes) > _MOST_NAMES else ""
    return ", ".join(classes[:_MOST_NAMES]) + more
