"""Numerical traps that other engines fell into."""

from __future__ import annotations

import numpy as np
import pytest

from engine import draws
from engine.inputs.preprocessing import ChannelStatistics, Preprocessing
from engine.layers import Context
from engine.layers.dropout import Dropout
from engine.layers.normalization import BatchNorm
from engine.ops import activation, reduction
from engine.recipe.losses import SoftmaxCrossEntropy
from tests.engine.reference import numeric_gradient


def test_softmax_of_large_scores_is_finite() -> None:
    y = activation.softmax(np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32))
    np.testing.assert_array_equal(y, [[1, 0], [0.5, 0.5]])


def test_cross_entropy_of_a_certain_mistake_is_finite() -> None:
    losses, saved = SoftmaxCrossEntropy().forward(
        np.array([[1000.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    )
    assert losses.tolist() == [1000]
    np.testing.assert_array_equal(SoftmaxCrossEntropy().backward(saved, 1), [[1, -1]])


def test_cross_entropy_gradient_is_the_numeric_one_and_divides_by_the_whole_batch() -> None:
    draw = np.random.default_rng(0)
    scores, targets = draw.standard_normal((3, 4)), np.eye(4)[[1, 0, 3]] * 0.9 + 0.025
    losses, saved = SoftmaxCrossEntropy().forward(scores, targets)
    expected = numeric_gradient(
        lambda: SoftmaxCrossEntropy().forward(scores, targets)[0], scores, np.full(3, 1 / 7)
    )
    np.testing.assert_allclose(SoftmaxCrossEntropy().backward(saved, 7), expected, atol=1e-8)
    assert losses.shape == (3,)


def test_a_channel_without_variance_normalises_to_its_shift() -> None:
    layer = BatchNorm()
    weights = {name: np.ones(2, np.float32) for name in layer.weights((4, 4, 2))}
    x = np.full((3, 4, 4, 2), 7, np.float32)
    context = Context(statistics="batch", records=True, node="n")
    y, saved = layer.forward(weights, x, context=context)
    assert (y == 1).all()
    (dx,), _ = layer.backward(weights, saved, np.ones_like(y), context=context)
    assert np.isfinite(dx).all()


def test_variance_is_exact_beside_a_large_mean() -> None:
    layer = BatchNorm()
    weights = {name: np.ones(1, np.float32) for name in layer.weights((8, 8, 1))}
    x = (10_000 + np.random.default_rng(0).standard_normal((16, 8, 8, 1))).astype(np.float32)
    y, _ = layer.forward(weights, x, context=Context(statistics="batch", records=True, node="n"))
    assert y.std() == pytest.approx(1, abs=1e-3)


def test_running_statistics_follow_pytorch() -> None:
    """The new value weighs `momentum`, and the variance is the unbiased one."""
    layer = BatchNorm(momentum=0.25)
    x = np.array([1.0, 2.0, 6.0]).reshape(3, 1)
    weights = {name: np.full(1, 2.0) for name in layer.weights((1,))}
    context = Context(statistics="batch", records=True, node="n")
    layer.forward(weights, x, context=context)
    assert context.updates["n/running_mean"] == pytest.approx(2 + 0.25 * (3 - 2))
    assert context.updates["n/running_variance"] == pytest.approx(2 + 0.25 * (7 - 2))


def test_dropout_keeps_the_mean_and_is_still_in_inference() -> None:
    x = np.ones((50, 40, 10), np.float32)
    dropped, _ = Dropout(rate=0.3).forward({}, x, context=Context(statistics="batch", records=True, node="n"))
    assert np.mean(dropped == 0) == pytest.approx(0.3, abs=0.02)
    assert dropped.mean() == pytest.approx(1, abs=0.03)
    still, _ = Dropout(rate=0.3).forward({}, x, context=Context(node="n"))
    np.testing.assert_array_equal(still, x)


def test_dropout_differs_by_step_node_and_seed() -> None:
    x = np.ones((2, 1000), np.float32)
    masks = [
        Dropout().forward(
            {}, x, context=Context(statistics="batch", records=True, node=node, step=step, seed=seed)
        )[0]
        for node, step, seed in (("a", 0, 0), ("b", 0, 0), ("a", 1, 0), ("a", 0, 1))
    ]
    for number, mask in enumerate(masks):
        assert all((mask != other).any() for other in masks[number + 1 :])
    assert (masks[0][0] != masks[0][1]).any()


@pytest.mark.parametrize("name", ["order", "weight", "augment", "dropout"])
def test_no_name_of_a_layer_leads_into_another_stream(name: str) -> None:
    """Whatever a layer is called, its draws are not those that shuffle, augment or initialise."""
    number = 3  # a step, an epoch and an augmentation's place
    x = np.ones((1, 10_000), np.float32)
    context = Context(statistics="batch", records=True, node=name, step=number)
    kept = Dropout(rate=0.5).forward({}, x, context=context)[0][0] > 0
    streams = [
        draws.generator(0, "order", number),
        draws.generator(0, "weight", name),
        draws.generator(0, "augment", number, number),
        draws.generator(0, "augment", number),
    ]
    for stream in streams:
        same = np.mean((stream.random(x.size, dtype=np.float32) >= 0.5) == kept)
        assert same == pytest.approx(0.5, abs=0.05)


def test_draws_of_a_purpose_do_not_depend_on_who_drew_before() -> None:
    first = draws.generator(1, "order", 2).permutation(100)
    draws.generator(1, "weight", "x").standard_normal(10)
    np.testing.assert_array_equal(draws.generator(1, "order", 2).permutation(100), first)
    assert (draws.generator(1, "order", 3).permutation(100) != first).any()


def test_a_long_sum_in_float32_stays_accurate() -> None:
    x = np.full((64, 64, 64, 1), 0.1, np.float32)
    assert reduction.channel_sum(x)[0] == pytest.approx(x.size * float(np.float32(0.1)), rel=1e-6)


def test_statistics_are_those_of_the_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 5, 4, 3), dtype=np.uint8)
    images[..., 2] = 9
    statistics = ChannelStatistics(3)
    statistics.add(images[:7])
    statistics.add(images[7:])
    preprocessing = statistics.preprocessing()
    scaled = images / 255
    np.testing.assert_allclose(preprocessing.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(preprocessing.deviation[:2], scaled.std(axis=(0, 1, 2))[:2], rtol=1e-9)
    assert preprocessing.deviation[2] == 1
    applied = preprocessing.apply(images)
    assert applied.dtype == np.float32
    np.testing.assert_allclose(applied.mean(axis=(0, 1, 2)), 0, atol=1e-5)


def test_preprocessing_of_one_picture_is_that_of_a_batch() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 3, 1), dtype=np.uint8)
    preprocessing = Preprocessing(mean=(0.2,), deviation=(0.3,))
    np.testing.assert_array_equal(preprocessing.apply(images)[2:3], preprocessing.apply(images[2:3]))
