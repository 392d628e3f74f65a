"""The figures of models of labels and of values are those of their definitions, however the pictures come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.training.target_metrics import LabelAssessment, ValueAssessment

PARTS = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@given(seed=st.integers(0, 1000), parts=PARTS)
def test_labels(seed: int, parts: list[int]) -> None:
    draw = np.random.default_rng(seed)
    probabilities = draw.random((sum(parts), 3), np.float32)
    targets = draw.integers(0, 2, (sum(parts), 3)).astype(np.float32)
    assessment = LabelAssessment(("a", "b", "c"))
    ends = np.cumsum(parts)
    wrong = sum(
        assessment.add(probabilities[end - part : end], targets[end - part : end])
        for part, end in zip(parts, ends, strict=True)
    )
    report = assessment.report()
    told, true = probabilities >= 0.5, targets == 1
    assert report.images == sum(parts)
    assert report.accuracy == pytest.approx((told == true).all(axis=1).mean())
    assert wrong == sum(parts) - round(report.accuracy * sum(parts))
    for place, figures in enumerate(report.classes):
        both = int((told & true)[:, place].sum())
        assert (figures.images, figures.predicted) == (true[:, place].sum(), told[:, place].sum())
        if not figures.images + figures.predicted:
            assert figures.precision is figures.recall is figures.f1 is None
            continue
        assert figures.precision == pytest.approx(both / max(figures.predicted, 1))
        assert figures.recall == pytest.approx(both / max(figures.images, 1))
        sums = figures.precision + figures.recall
        assert figures.f1 == pytest.approx(2 * figures.precision * figures.recall / sums if sums else 0)
    for name in ("precision", "recall", "f1"):
        given = [figure for figures in report.classes if (figure := getattr(figures, name)) is not None]
        assert getattr(report.macro, name) == (pytest.approx(np.mean(given)) if given else None)


@given(seed=st.integers(0, 1000), parts=PARTS, offset=st.sampled_from([0.0, 1000.0]))
def test_values(seed: int, parts: list[int], offset: float) -> None:
    draw = np.random.default_rng(seed)
    targets = (draw.normal(size=(sum(parts), 2)) + offset).astype(np.float32)
    predictions = (targets + draw.normal(size=targets.shape)).astype(np.float32)
    assessment = ValueAssessment(("a", "b"))
    ends = np.cumsum(parts)
    for part, end in zip(parts, ends, strict=True):
        assessment.add(predictions[end - part : end], targets[end - part : end])
    errors = predictions.astype(np.float64) - targets
    spread = np.square(targets.astype(np.float64) - targets.astype(np.float64).mean(axis=0)).sum(axis=0)
    for place, figures in enumerate(assessment.report().values):
        assert figures.mean_absolute_error == pytest.approx(np.abs(errors[:, place]).mean())
        assert figures.root_mean_squared_error == pytest.approx(np.sqrt(np.square(errors[:, place]).mean()))
        assert figures.bias == pytest.approx(errors[:, place].mean(), abs=1e-9)
        if sum(parts) == 1:
            assert figures.r2 is None
        else:
            wanted = 1 - np.square(errors[:, place]).sum() / spread[place]
            assert figures.r2 == pytest.approx(wanted, rel=1e-6)


def test_nothing_seen() -> None:
    assert LabelAssessment(("a",)).report().accuracy == 0
    assert ValueAssessment(("a",)).report().values[0].r2 is None
