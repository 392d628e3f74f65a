"""How good a classifier is: counts over pictures it has not seen.

An `Assessment` takes predictions batch by batch and keeps counts only, so that a data set of any size
can be judged; `report` turns them into figures. The functions below it are the figures' definitions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.arrays import Array, Indices
from engine.training.figures import CalibrationBin, ClassFigures, MacroFigures, Report

Counts = NDArray[np.int64]

BINS = 15
"""Bins of the calibration error, as in Guo et al. 2017."""


class Assessment:
    """Counts of predictions, right and wrong."""

    def __init__(self, classes: Sequence[str], top_k: Sequence[int] = (1, 3, 5), bins: int = BINS) -> None:
        self._classes = tuple(classes)
        self._top = {k: 0 for k in sorted(top_k) if k <= len(self._classes)}
        self._confusion = np.zeros((len(self._classes), len(self._classes)), np.int64)
        self._bins = np.zeros((3, bins))

    def add(self, probabilities: Array, labels: Indices) -> None:
        """Count a batch.

        Args:
            probabilities: of each class (N, K).
            labels: the true classes (N,).
        """
        ranks = rank(probabilities, labels)
        for k in self._top:
            self._top[k] += int(np.count_nonzero(ranks < k))
        self._confusion += confusion_matrix(labels, probabilities.argmax(axis=1), len(self._classes))
        self._bins += calibration(probabilities, labels, self._bins.shape[1])

    def report(self) -> Report:
        """Return the figures of all that was counted."""
        images = int(self._confusion.sum())
        precision, recall, f1 = precision_recall_f1(self._confusion)
        counts, confidences, rights = self._bins
        return Report(
            images=images,
            accuracy=float(np.trace(self._confusion)) / max(images, 1),
            top_k={k: right / max(images, 1) for k, right in self._top.items()},
            confusion=self._confusion.tolist(),
            classes=[
                ClassFigures(
                    name=name,
                    images=int(self._confusion[number].sum()),
                    predicted=int(self._confusion[:, number].sum()),
                    precision=given(precision[number]),
                    recall=given(recall[number]),
                    f1=given(f1[number]),
                )
                for number, name in enumerate(self._classes)
            ],
            macro=macro(precision, recall, f1),
            expected_calibration_error=expected_calibration_error(self._bins),
            calibration=[
                CalibrationBin(
                    lowest=number / len(counts),
                    images=int(count),
                    confidence=float(confidences[number] / count) if count else None,
                    accuracy=float(rights[number] / count) if count else None,
                )
                for number, count in enumerate(counts)
            ],
        )


def confusion_matrix(labels: Indices, predicted: Indices, classes: int) -> Counts:
    """Return how many pictures of class i (row) were taken for class j (column), (K, K)."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def rank(scores: Array, labels: Indices) -> Indices:
    """Return how many classes come before the true one, (N,); of equal scores the first class comes first."""
    own = scores[np.arange(len(labels)), labels][:, np.newaxis]
    before = np.arange(scores.shape[1]) < labels[:, np.newaxis]
    ranks: Indices = ((scores > own) | ((scores == own) & before)).sum(axis=1)
    return ranks


def precision_recall_f1(confusion: Counts) -> tuple[Array, Array, Array]:
    """Return precision, recall and F1 of each class, (K,) each; see `shares`."""
    right = np.diagonal(confusion)
    return shares(right, confusion.sum(axis=1), confusion.sum(axis=0))


def shares(right: Counts, images: Counts, predicted: Counts) -> tuple[Array, Array, Array]:
    """Return precision, recall and F1 of classes or labels, (K,) each.

    One that neither occurs nor was predicted has none, NaN: it would only lower the means. Of the others a share of
    nothing is 0. That is how scikit-learn counts by default, whose means are over what occurs or was predicted.

    Args:
        right: how often each was predicted where it is true, (K,).
        images: how many pictures show it, (K,).
        predicted: for how many it was predicted, (K,).
    """
    both = right.astype(np.float64)
    precision, recall = both / np.maximum(predicted, 1), both / np.maximum(images, 1)
    f1 = 2 * both / np.maximum(images + predicted, 1)
    missing = images + predicted == 0
    return tuple(np.where(missing, np.nan, figure) for figure in (precision, recall, f1))  # type: ignore[return-value]


def macro(precision: Array, recall: Array, f1: Array) -> MacroFigures:
    """Return the means over the classes or labels that have figures."""

    def mean(figures: Array) -> float | None:
        present = figures[~np.isnan(figures)]
        return float(present.mean()) if len(present) else None

    return MacroFigures(precision=mean(precision), recall=mean(recall), f1=mean(f1))


def given(figure: float) -> float | None:
    """Return a figure, None for one that there is not."""
    return None if np.isnan(figure) else float(figure)


def calibration(probabilities: Array, labels: Indices, bins: int = BINS) -> Array:
    """Return, for each bin of confidence, how many predictions it has, the sum of their confidences, and how many are
    right: (3, bins). Bin b holds confidences above b / bins and up to (b + 1) / bins.
    """  # noqa: D205
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return np.stack([np.bincount(place, weights, bins) for weights in (None, confidence, right)])


def expected_calibration_error(binned: Array) -> float:
    """Return sum_b |accuracy(b) - confidence(b)| * n_b / n, from what `calibration` returned.

    Guo et al. 2017, On calibration of modern neural networks, equation 3.
    """
    counts, confidences, rights = binned
    return float(np.abs(rights - confidences).sum() / max(counts.sum(), 1))
