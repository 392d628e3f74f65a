"""What readers share about labels and values: how many numbers are taken, their names, and where a picture counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.base import MAX_CLASSES
from app.errors import Invalid, TooLarge
from engine.recipe.targets import NOUNS, Target

Targets = NDArray[np.float32]

MAX_TARGETS = 50_000_000
"""Numbers of all pictures of an upload, which are held in memory."""


def check_size(images: int, names: int, target: Target) -> None:
    """Refuse more numbers than are held.

    Raises:
        TooLarge: there are too many names, or too many pictures for so many.
    """
    if names > MAX_CLASSES:
        raise TooLarge(f"the file holds {names} {NOUNS[target]}; at most {MAX_CLASSES} are taken")
    if images * names > MAX_TARGETS:
        raise TooLarge(
            f"the file holds {images} pictures with {names} {NOUNS[target]} each; at most {MAX_TARGETS} numbers "
            f"are taken: send {MAX_TARGETS // names} pictures, or fewer {NOUNS[target]}"
        )


def check_array(shape: Sequence[int], dtype: np.dtype[Any], images: int, target: Target) -> None:
    """Refuse, by its header, an array that cannot be that of labels (N, K) or values (N,) or (N, K).

    Raises:
        Invalid: it has another shape or type.
        TooLarge: it holds more than is held.
    """
    wanted, kinds = ("(N, K) of 0 and 1", "biuf") if target == "labels" else ("numbers (N,) or (N, K)", "iuf")
    dimensions = (2,) if target == "labels" else (1, 2)
    if len(shape) not in dimensions or shape[0] != images or shape[-1] < 1 or dtype.kind not in kinds:
        found = f"it is {dtype} {'x'.join(map(str, shape))} for {images} images"
        raise unfit(f"labels is not an array of {target}: {found}", f"write {wanted}")
    check_size(images, shape[1] if len(shape) == 2 else 1, target)


def read_array(values: NDArray[Any], target: Target) -> Targets:
    """Return an array of labels or values as targets (N, K).

    Raises:
        Invalid: labels that are not 0 or 1, or values that are not finite.
    """
    with np.errstate(over="ignore"):
        targets = values.reshape(len(values), -1).astype(np.float32)
    if target == "labels" and not np.isin(values, (0, 1)).all():
        raise unfit("labels holds numbers that are neither 0 nor 1", "write 1 where a picture has a label")
    if not np.isfinite(targets).all():
        raise Invalid("labels holds numbers that are not finite", code="unusable-arrays")
    return targets


def strata(targets: Targets, target: Target) -> NDArray[np.int64]:
    """Return by what each picture is drawn into a split, (N,).

    Of labels that is the first one that it has, K for none; values are drawn all alike, 0.
    """
    if target == "values":
        return np.zeros(len(targets), np.int64)
    first: NDArray[np.int64] = targets.argmax(axis=1).astype(np.int64)
    first[~targets.any(axis=1)] = targets.shape[1]
    return first


def count_strata(stratum: NDArray[np.integer], names: int, target: Target) -> NDArray[np.int64]:
    """Count the pictures of each stratum: one for each class; K + 1 of labels, one of values."""
    number = {"class": names, "labels": names + 1, "values": 1}[target]
    return np.bincount(stratum, minlength=number)


def unfit(detail: str, hint: str) -> Invalid:
    """Make the error for a file that has not what `target` asks for."""
    return Invalid.at("target", detail, hint, code="other-target")
