"""Two evaluations of the same pictures side by side: which is better, and whether that may be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.api.evaluations import Interval
from app.jobs.evaluated import Evaluated
from app.text import percent
from engine.training.chance import mcnemar, wilson

SURE = 0.05
"""The p-value below which a difference is not taken for chance."""


@dataclass(frozen=True)
class Comparison:
    """What two models made of the same pictures.

    Attributes:
        rows: where the pictures that count are among those of the first and of the second, (n,) each.
        right: which of them each is right about, (n,) each.
        left_out: how many pictures were seen by one only, or were said to show different things.
    """

    rows: tuple[NDArray[np.int64], NDArray[np.int64]]
    right: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    left_out: int

    def __len__(self) -> int:
        return len(self.rows[0])

    def only(self, which: int) -> NDArray[np.int64]:
        """Return at which places only the first (0) or the second (1) is right."""
        return np.flatnonzero(self.right[which] & ~self.right[1 - which])

    @property
    def p_value(self) -> float:
        """How probable so large a difference is between two equally good models."""
        return mcnemar(len(self.only(0)), len(self.only(1)))


def compare(first: Evaluated, second: Evaluated) -> Comparison:
    """Return what two models of classes or of labels made of the pictures that both have seen.

    Raises:
        ValueError: their targets differ, or are values, of which none is right or wrong.
    """
    wrong = first.wrong, second.wrong
    if first.target != second.target or wrong[0] is None or wrong[1] is None:
        raise ValueError("two models of classes or two of labels are compared")
    _, *rows = np.intersect1d(first.numbers, second.numbers, assume_unique=True, return_indices=True)
    same = _truth(first, rows[0], second.names) == _truth(second, rows[1], second.names)
    same = same if same.ndim == 1 else same.all(axis=1)
    one, other = rows[0][same], rows[1][same]
    left_out = len(first) + len(second) - len(rows[0]) - len(one)
    return Comparison((one, other), (~wrong[0][one], ~wrong[1][other]), left_out)


def _truth(evaluated: Evaluated, rows: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.int64]:
    """Return what pictures are said to show classes (n,) by their places in `names`, or labels (n, K)."""
    if evaluated.target == "labels":
        of_labels: NDArray[np.int64] = (evaluated.rows["truth"][rows] > 0).astype(np.int64)
        return of_labels
    places = {name: place for place, name in enumerate(names)}
    known = np.array([places.get(name, -1) for name in evaluated.names])
    of_class: NDArray[np.int64] = known[evaluated.rows["label"][rows]]
    return of_class


def words(comparison: Comparison, models: Sequence[str]) -> list[str]:
    """Say in sentences what a comparison means, the most important first."""
    images = len(comparison)
    if not images:
        return ["No picture was seen by both: nothing can be compared."]
    rights = [int(np.count_nonzero(right)) for right in comparison.right]
    only = [len(comparison.only(0)), len(comparison.only(1))]
    better = int(rights[1] > rights[0])
    said = [
        f"Of {images} pictures model `{models[0]}` is right about {rights[0]} ({percent(rights[0] / images, 1)}), "
        f"model `{models[1]}` about {rights[1]} ({percent(rights[1] / images, 1)})."
    ]
    if not sum(only):
        said.append("Both are right about the same pictures.")
    else:
        said.append(f"{only[0]} are recognised by the first alone, {only[1]} by the second alone.")
    chance = f"two equally good models would differ at least so much with a probability of {comparison.p_value:.2g}"
    if rights[0] == rights[1]:
        said.append("There is no difference between them on these pictures.")
    elif comparison.p_value < SURE:
        said.append(f"Model `{models[better]}` is better: {chance}.")
    else:
        said.append(f"That can be chance: {chance}. More pictures would tell.")
    if comparison.left_out:
        said.append(
            f"{comparison.left_out} pictures are not compared: one alone has seen them, or they were corrected since."
        )
    return said


def interval(right: int, of: int) -> Interval | None:
    """Return where a share lies with a probability of 95 %; None of nothing."""
    found = wilson(right, of)
    return None if found is None else Interval(low=found[0], high=found[1])
