"""Figures of a classifier, against counting one by one."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from engine.training.metrics import (
    Assessment,
    calibration,
    confusion_matrix,
    expected_calibration_error,
    precision_recall_f1,
    rank,
)

NAMES = ("a", "b", "c", "d", "never")


def predictions(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities with some ties, and labels; nothing is of, or taken for, the last class."""
    draw = np.random.default_rng(3)
    scores = np.round(draw.random((count, 5)) ** 3, 1)
    scores[:, 4] = 0
    scores[:, 0] += 0.01
    labels = draw.integers(0, 4, count)
    scores[np.arange(count), labels] += 0.2 * (draw.random(count) > 0.4)
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32), labels


def slow_top_k(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    right = 0
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        order = sorted(range(len(row)), key=lambda number: (-row[number], number))
        right += label in order[:k]
    return right / len(labels)


def test_a_report_is_what_counting_finds() -> None:
    probabilities, labels = predictions()
    assessment = Assessment(NAMES)
    assessment.add(probabilities[:70], labels[:70])
    assessment.add(probabilities[70:], labels[70:])
    report = assessment.report()
    predicted = [row.index(max(row)) for row in probabilities.tolist()]
    pairs = Counter(zip(labels.tolist(), predicted, strict=True))
    assert report.images == 200
    assert report.accuracy == pytest.approx(sum(pairs[i, i] for i in range(5)) / 200)
    assert report.top_k == {k: pytest.approx(slow_top_k(probabilities, labels, k)) for k in (1, 3, 5)}
    assert report.top_k[1] == report.accuracy
    assert report.confusion == [[pairs[i, j] for j in range(5)] for i in range(5)]
    for number, figures in enumerate(report.classes):
        true = sum(pairs[number, j] for j in range(5))
        taken = sum(pairs[i, number] for i in range(5))
        right = pairs[number, number]
        assert (figures.name, figures.images, figures.predicted) == (NAMES[number], true, taken)
        if figures.name == "never":
            assert (true, taken) == (0, 0)
            assert figures.precision is figures.recall is figures.f1 is None
            continue
        assert figures.precision == pytest.approx(right / taken if taken else 0)
        assert figures.recall == pytest.approx(right / true if true else 0)
        harmonic = figures.precision + figures.recall
        assert figures.f1 == pytest.approx(
            2 * figures.precision * figures.recall / harmonic if harmonic else 0
        )
    # What neither occurs nor was predicted does not count in any mean.
    for figure in ("precision", "recall", "f1"):
        given = [getattr(figures, figure) for figures in report.classes if figures.name != "never"]
        assert getattr(report.macro, figure) == pytest.approx(sum(given) / 4)
    assert json.loads(report.model_dump_json())["images"] == 200


def slow_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> float:
    total = 0.0
    for number in range(bins):
        inside = [
            (max(row), row.index(max(row)) == label)
            for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True)
            if number / bins < max(row) <= (number + 1) / bins
        ]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            confidence = sum(p for p, _ in inside) / len(inside)
            total += abs(accuracy - confidence) * len(inside) / len(labels)
    return total


def test_calibration_error_is_what_counting_finds() -> None:
    probabilities, labels = predictions()
    for bins in (1, 10, 15):
        found = expected_calibration_error(calibration(probabilities, labels, bins))
        assert found == pytest.approx(slow_calibration_error(probabilities, labels, bins))
    report = Assessment(NAMES)
    report.add(probabilities, labels)
    figures = report.report()
    assert figures.expected_calibration_error == pytest.approx(
        slow_calibration_error(probabilities, labels, 15)
    )
    assert sum(entry.images for entry in figures.calibration) == 200
    empty = [entry for entry in figures.calibration if not entry.images]
    assert empty
    assert all(entry.confidence is None for entry in empty)


def test_certainty_falls_into_the_last_bin() -> None:
    binned = calibration(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), np.array([0, 0, 0]), 2)
    np.testing.assert_allclose(binned, [[1, 2], [0.5, 2], [1, 1]])


def test_a_tie_ranks_by_class() -> None:
    scores = np.array([[0.2, 0.4, 0.4], [0.4, 0.4, 0.2]])
    assert rank(scores, np.array([2, 1])).tolist() == [1, 1]
    assert rank(scores, np.array([1, 0])).tolist() == [0, 0]


def test_no_pictures_are_no_fault() -> None:
    report = Assessment(("a", "b")).report()
    assert (report.images, report.accuracy, report.expected_calibration_error) == (0, 0, 0)
    assert report.top_k == {1: 0}
    assert report.macro.f1 is report.macro.precision is report.macro.recall is None


def test_a_class_that_was_only_predicted_counts_against_the_means() -> None:
    assessment = Assessment(("a", "b", "c"))
    assessment.add(np.array([[0.9, 0.1, 0], [0.1, 0.9, 0]], np.float32), np.array([0, 0]))
    report = assessment.report()
    assert [figures.f1 for figures in report.classes] == [pytest.approx(2 / 3), 0, None]
    assert report.macro.f1 == pytest.approx(1 / 3)


def test_confusion_has_a_row_for_each_class() -> None:
    confusion = confusion_matrix(np.array([0, 0, 2]), np.array([0, 1, 2]), 4)
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    precision, recall, f1 = precision_recall_f1(confusion)
    assert precision.tolist() == pytest.approx([1, 0, 1, np.nan], nan_ok=True)
    assert recall.tolist() == pytest.approx([0.5, 0, 1, np.nan], nan_ok=True)
    assert f1.tolist() == pytest.approx([2 / 3, 0, 1, np.nan], nan_ok=True)
