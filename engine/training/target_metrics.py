"""How good a model of labels or of values is: counts and sums over pictures that it has not seen.

As in `engine.training.metrics`, an assessment takes predictions batch by batch, and `report` turns them into figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.arrays import Array
from engine.recipe.targets import THRESHOLD
from engine.training.figures import ClassFigures, LabelReport, ValueFigures, ValueReport
from engine.training.metrics import given, macro, shares


class LabelAssessment:
    """Counts of labels that were predicted, and of those that should have been."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._both, self._true, self._predicted = (np.zeros(len(self._labels), np.int64) for _ in range(3))
        self._images = self._right = 0

    def add(self, probabilities: Array, targets: Array) -> int:
        """Count a batch, and return of how many pictures not all labels are right.

        Args:
            probabilities: of each label (N, K).
            targets: 1 for the labels that a picture has, else 0 (N, K).
        """
        predicted, true = probabilities >= THRESHOLD, targets > 0.5
        self._both += np.count_nonzero(predicted & true, axis=0)
        self._true += np.count_nonzero(true, axis=0)
        self._predicted += np.count_nonzero(predicted, axis=0)
        right = int(np.count_nonzero((predicted == true).all(axis=1)))
        self._images += len(targets)
        self._right += right
        return len(targets) - right

    def report(self) -> LabelReport:
        """Return the figures of all that was counted."""
        precision, recall, f1 = shares(self._both, self._true, self._predicted)
        return LabelReport(
            images=self._images,
            accuracy=self._right / max(self._images, 1),
            classes=[
                ClassFigures(
                    name=name,
                    images=int(self._true[place]),
                    predicted=int(self._predicted[place]),
                    precision=given(precision[place]),
                    recall=given(recall[place]),
                    f1=given(f1[place]),
                )
                for place, name in enumerate(self._labels)
            ],
            macro=macro(precision, recall, f1),
        )


class ValueAssessment:
    """Sums over the distances between predictions and targets."""

    def __init__(self, values: Sequence[str]) -> None:
        self._values = tuple(values)
        self._errors, self._distances, self._squares = (np.zeros(len(self._values)) for _ in range(3))
        # Of the values themselves the mean, and the sum of the squared distances from it (Chan et al. 1979).
        self._mean, self._spread = (np.zeros(len(self._values)) for _ in range(2))
        self._images = 0

    def add(self, predictions: Array, targets: Array) -> None:
        """Add a batch: predictions (N, K) and targets (N, K)."""
        true = targets.astype(np.float64)
        errors = predictions - true
        self._errors += errors.sum(axis=0)
        self._distances += np.abs(errors).sum(axis=0)
        self._squares += np.square(errors).sum(axis=0)
        before, count = self._images, len(true)
        self._images += count
        apart = true.mean(axis=0) - self._mean
        self._spread += np.square(true - true.mean(axis=0)).sum(axis=0)
        self._spread += np.square(apart) * before * count / self._images
        self._mean += apart * count / self._images

    def report(self) -> ValueReport:
        """Return the figures of all that was added."""
        count = max(self._images, 1)
        return ValueReport(
            images=self._images,
            values=[
                ValueFigures(
                    name=name,
                    mean_absolute_error=float(self._distances[place] / count),
                    root_mean_squared_error=float(np.sqrt(self._squares[place] / count)),
                    bias=float(self._errors[place] / count),
                    r2=float(1 - self._squares[place] / self._spread[place]) if self._spread[place] else None,
                )
                for place, name in enumerate(self._values)
            ],
        )
