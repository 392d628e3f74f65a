"""Normalisation over a single number is refused before anything is trained in vain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import ShapeError
from engine.layers import Context
from engine.training.loop import TrainingConfig, train
from engine.training.normalised import check_batches, check_layers
from tests.engine.stripes import data, network

DENSE: list[dict[str, Any]] = [
    {"type": "flatten"},
    {"type": "dense", "units": 4},
    {"type": "batch_norm", "activation": "relu"},
    {"type": "dense", "units": 3},
]
POINT: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 4, "kernel_size": 8},
    {"type": "batch_norm", "name": "norm"},
    {"type": "flatten"},
    {"type": "dense", "units": 3},
]
MAP: list[dict[str, Any]] = [{"type": "conv2d", "filters": 4}, *POINT[1:]]


def test_of_single_numbers_nothing_is_learned() -> None:
    """Why it is refused: no gradient reaches what lies before, and the running variance becomes 0."""
    net = network(DENSE)
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 1)).astype(np.float32)
    context = Context(statistics="batch", records=True)
    tape = net.forward(net.initial_weights(0), x, context)
    gradients = net.backward(tape, np.ones_like(tape.output))
    assert not gradients["dense_1/weight"].any()
    assert context.updates["batch_norm_1/running_variance"] == pytest.approx(0.9)


@pytest.mark.parametrize("layers", [DENSE, POINT], ids=["dense", "map of one pixel"])
@pytest.mark.parametrize(
    ("rules", "pictures", "better"),
    [
        ({"batch_size": 1}, 70, 2),
        ({"batch_size": 1, "accumulate": 8}, 70, 2),
        ({"batch_size": 64}, 65, 63),
        ({"batch_size": 8, "accumulate": 4}, 65, 7),
        ({"batch_size": 2}, 5, 3),
        ({"batch_size": 2}, 3, 3),
        ({"batch_size": 64}, 1, None),
    ],
)
def test_a_batch_of_one_is_refused_with_a_size_that_will_do(
    layers: list[dict[str, Any]], rules: dict[str, int], pictures: int, better: int | None
) -> None:
    config = TrainingConfig.model_validate(rules)
    with pytest.raises(ShapeError, match="a single number") as caught:
        check_batches(network(layers), config, pictures)
    assert caught.value.path == ("batch_size",)
    hint = caught.value.hint or ""
    if better is None:
        assert "more pictures" in hint
    else:
        assert f"batch_size of {better}," in hint
        check_batches(network(layers), config.model_copy(update={"batch_size": better}), pictures)


@pytest.mark.parametrize(
    ("layers", "rules", "pictures"),
    [
        (DENSE, {"batch_size": 64}, 66),
        (DENSE, {"batch_size": 64}, 128),
        (DENSE, {"batch_size": 64}, 2),
        (MAP, {"batch_size": 1}, 70),
        (POINT, {"batch_size": 1, "freeze": ["norm"]}, 70),
        ([{"type": "flatten"}, {"type": "dense", "units": 3}], {"batch_size": 1}, 70),
    ],
)
def test_what_can_learn_is_let_through(
    layers: list[dict[str, Any]], rules: dict[str, Any], pictures: int
) -> None:
    check_layers(network(layers))
    check_batches(network(layers), TrainingConfig.model_validate(rules), pictures)


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "group_norm", "groups": 4},
        {"type": "instance_norm"},
        {"type": "layer_norm"},
    ],
)
def test_a_layer_of_single_numbers_is_refused_whatever_the_batch(layer: dict[str, Any]) -> None:
    filters = 1 if layer["type"] == "layer_norm" else 4
    layers = [{"type": "conv2d", "filters": filters, "kernel_size": 8}, layer, *POINT[2:]]
    with pytest.raises(ShapeError, match="a single number") as caught:
        check_layers(network(layers))
    assert caught.value.path == ("layers", 1)
    assert caught.value.hint


def test_a_run_that_was_accepted_before_goes_on() -> None:
    """What is refused of a new job is no reason to fail one that is under way."""
    next(train(network(DENSE), TrainingConfig(batch_size=1), data(train_images=3)))
