"""A step taken apart: the step that the loop takes, and a check that notices a wrong gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.graph.network import Network
from engine.inputs.batch import Batch
from engine.inputs.feed import Feed
from engine.training.anatomy import check_gradients, dissect
from engine.training.loop import TrainingConfig, check_fit, preparation, start, train
from tests.engine.stripes import data, network


def parts(config: TrainingConfig, net: Network) -> tuple[Network, Any, Batch, Any]:
    state = start(net, config, data())
    feed = Feed(config, data())
    feed.shuffle(1)
    (batch,) = feed.batches(0)
    return check_fit(net, config, (8, 8, 1), 3), state, batch, preparation(config, state.preprocessing)


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"optimizer": {"type": "sgd", "learning_rate": 0.1, "momentum": 0.9}, "clip": {"norm": 0.01}},
        {"augmentations": [{"type": "horizontal_flip"}]},
    ],
)
def test_it_is_the_first_step_of_the_loop(rules: dict[str, Any]) -> None:
    config = TrainingConfig.model_validate({"epochs": 1, "batch_size": 16, "seed": 3, **rules})
    first = next(train(network(), config, data()))
    trained, state, batch, prepared = parts(config, network())
    anatomy = dissect(trained, config, state, batch, prepared)
    for name, weight in first.state.weights.items():
        np.testing.assert_array_equal(anatomy.after[name], weight, err_msg=name)
    assert anatomy.losses.sum() == pytest.approx(first.state.tally.loss)
    for name, largest in first.state.gradients.largest.items():
        (node,) = (node for node in anatomy.nodes if node.name == name)
        assert node.gradient == pytest.approx(largest)


def test_gradients_of_every_kind_of_weight_agree_with_differences() -> None:
    config = TrainingConfig(batch_size=16)
    trained, state, batch, prepared = parts(config, network())
    *_, check = check_gradients(trained, config, state.weights, batch, prepared, entries=60)
    assert check is not None
    assert check.entries + check.kinks == 60
    assert check.entries > 40
    assert check.largest is not None
    assert check.largest.difference < 1e-3


def test_a_wrong_gradient_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainingConfig(batch_size=16)
    trained, state, batch, prepared = parts(config, network())
    right = Network.backward

    def wrong(self: Network, tape: Any, dy: Any) -> dict[str, Any]:
        found = right(self, tape, dy)
        return found | {"dense_1/bias": found["dense_1/bias"] * 1.01}

    monkeypatch.setattr(Network, "backward", wrong)
    *_, check = check_gradients(trained, config, state.weights, batch, prepared, entries=60)
    assert check is not None
    assert check.largest is not None
    assert check.largest.weight == "dense_1/bias"
    assert check.largest.difference == pytest.approx(0.01, rel=0.1)
