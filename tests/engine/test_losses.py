"""What every loss promises, and that each is the formula that it says it is."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from engine.errors import EngineError, ShapeError
from engine.recipe.losses import (
    LOSSES,
    AnyLoss,
    BinaryCrossEntropy,
    Loss,
    MeanSquaredError,
    SoftmaxCrossEntropy,
    Target,
)
from engine.spec import descriptions
from tests.engine.reference import numeric_gradient

PARSE = TypeAdapter(AnyLoss)
CASES = [
    pytest.param(PARSE.validate_python(example), example, id=f"{kind.tag()}-{number}")
    for kind in LOSSES
    for number, example in enumerate(kind.examples)
]


def scores_and_targets(dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Return four samples of three classes: two plain ones, a mixture, and one with several labels."""
    scores = np.random.default_rng(0).standard_normal((4, 3)) * 2
    targets = np.array([[0, 1, 0], [1, 0, 0], [0.3, 0, 0.7], [1, 0, 1]])
    return scores.astype(dtype), targets.astype(dtype)


@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_tells_formula_source_and_purpose(kind: type[Loss]) -> None:
    assert kind.__doc__
    assert kind.formula
    assert kind.source
    assert kind.link
    assert set(kind.model_fields) - {"type"} <= set(descriptions(kind))


@pytest.mark.parametrize(("loss", "example"), CASES)
def test_an_example_survives_json(loss: Loss, example: dict[str, Any]) -> None:
    assert PARSE.validate_json(loss.model_dump_json()) == loss
    with pytest.raises(ValidationError, match="extra_forbidden"):
        PARSE.validate_python({**example, "no_such_key": 1})


@pytest.mark.parametrize(("loss", "example"), CASES)
def test_the_gradient_is_the_numeric_one_and_divides_by_the_whole_batch(
    loss: Loss, example: dict[str, Any]
) -> None:
    scores, targets = scores_and_targets()
    losses, saved = loss.forward(scores, targets)
    assert losses.shape == (4,)
    assert (losses >= 0).all()
    expected = numeric_gradient(lambda: loss.forward(scores, targets)[0], scores, np.full(4, 1 / 7))
    np.testing.assert_allclose(loss.backward(saved, 7), expected, atol=1e-8)


@pytest.mark.parametrize(("loss", "example"), CASES)
def test_dtype_stays_and_inputs_too(loss: Loss, example: dict[str, Any]) -> None:
    for dtype in (np.float32, np.float64):
        scores, targets = scores_and_targets(dtype)
        before = scores.copy(), targets.copy()
        losses, saved = loss.forward(scores, targets)
        gradient = loss.backward(saved, 4)
        assert losses.dtype == gradient.dtype == loss.predict(scores).dtype == dtype
        np.testing.assert_array_equal(scores, before[0])
        np.testing.assert_array_equal(targets, before[1])


@pytest.mark.parametrize(("loss", "example"), CASES)
def test_large_scores_have_finite_losses_and_predictions(loss: Loss, example: dict[str, Any]) -> None:
    scores = np.array([[1000, 0, -1000], [-1000, 1000, 0]], np.float32)
    losses, saved = loss.forward(scores, np.eye(3, dtype=np.float32)[[2, 1]])
    assert np.isfinite(losses).all()
    assert np.isfinite(loss.backward(saved, 2)).all()
    assert np.isfinite(loss.predict(scores)).all()


@pytest.mark.parametrize(("loss", "example"), CASES)
def test_an_output_that_does_not_fit_is_refused(loss: Loss, example: dict[str, Any]) -> None:
    loss.check((3,), 3)
    loss.check_classes(3)
    with pytest.raises(ShapeError, match="4x4x3 but there are 3 classes"):
        loss.check((4, 4, 3), 3)
    if any(isinstance(value, list) for value in example.values()):
        with pytest.raises(ShapeError, match="has 3 numbers but there are 4 classes") as caught:
            loss.check_classes(4)
        assert caught.value.path[0] in example


def test_softmax_cross_entropy_is_its_formula() -> None:
    scores, targets = scores_and_targets()
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    losses, _ = SoftmaxCrossEntropy().forward(scores, targets)
    np.testing.assert_allclose(losses, -(targets * np.log(probabilities)).sum(axis=1))
    smooth = SoftmaxCrossEntropy(label_smoothing=0.3, class_weights=(1.0, 0.5, 4.0))
    spread = 0.7 * targets + 0.1
    expected = -(np.array([1, 0.5, 4]) * spread * np.log(probabilities)).sum(axis=1)
    np.testing.assert_allclose(smooth.forward(scores, targets)[0], expected)
    np.testing.assert_allclose(smooth.predict(scores), probabilities)


def test_binary_cross_entropy_is_its_formula() -> None:
    scores, targets = scores_and_targets()
    p = 1 / (1 + np.exp(-scores))
    losses, _ = BinaryCrossEntropy(positive_weights=(1.0, 2.0, 3.0)).forward(scores, targets)
    expected = -(np.array([1, 2, 3]) * targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(axis=1)
    np.testing.assert_allclose(losses, expected)
    np.testing.assert_allclose(BinaryCrossEntropy().predict(scores), p)


def test_mean_squared_error_is_its_formula() -> None:
    scores, targets = scores_and_targets()
    losses, _ = MeanSquaredError().forward(scores, targets)
    np.testing.assert_allclose(losses, ((scores - targets) ** 2).mean(axis=1))
    assert MeanSquaredError().predict(scores) is scores


def test_what_is_right_depends_on_the_question() -> None:
    scores = np.array([[2.0, 1.0, -1.0], [2.0, -1.0, -1.0]])
    targets = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert SoftmaxCrossEntropy().right(scores, targets).tolist() == [True, True]  # type: ignore[union-attr]
    assert BinaryCrossEntropy().right(scores, targets).tolist() == [False, True]  # type: ignore[union-attr]
    assert MeanSquaredError().right(scores, targets) is None


@pytest.mark.parametrize("target", ["class", "labels", "values"])
def test_a_loss_says_which_data_it_is_for(target: Target) -> None:
    fitting = [loss for loss in LOSSES if target in loss.targets]
    assert fitting
    for kind in LOSSES:
        if kind in fitting:
            kind().check_target(target)
        else:
            with pytest.raises(EngineError) as caught:
                kind().check_target(target)
            assert {loss.tag() for loss in fitting} == set(
                re.findall(r'"type": "(\w+)"', caught.value.hint or "")
            )
