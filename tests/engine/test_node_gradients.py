"""Gradients of a score or of the loss in all nodes, against differences."""

from typing import Any

import numpy as np
import pytest

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import Context
from engine.model.gradients import Of, gradients
from engine.recipe.losses import SoftmaxCrossEntropy

CONV: dict[str, Any] = {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"}
ARCHITECTURE = Architecture.model_validate(
    {
        "input_shape": (6, 6, 2),
        "layers": [
            CONV | {"name": "before", "activation": "tanh"},
            # what comes in is read twice: by the body and by the sum
            {"type": "residual", "name": "block", "layers": [CONV | {"activation": "tanh"}, CONV]},
            {"type": "max_pool2d", "pool_size": 2},
            {"type": "flatten"},
            {"type": "dense", "units": 5, "name": "scores"},
        ],
    }
)


@pytest.mark.parametrize("of", ["score", "loss"])
def test_the_gradient_in_a_node_is_what_the_number_changes_by(of: Of) -> None:
    network = Network.build(ARCHITECTURE)
    draw = np.random.default_rng(3)
    weights = {name: draw.normal(0, 0.4, spec.shape) for name, spec in network.weight_specs.items()}
    x = draw.normal(size=(1, 6, 6, 2))
    loss = SoftmaxCrossEntropy()
    found = gradients(network, weights, x, loss, of, index=2)

    def value(changed: dict[str, Any], picture: Any = x) -> float:
        scores = network.forward(changed, picture, Context()).output
        return float(scores[0, 2] if of == "score" else loss.forward(scores, np.eye(5)[[2]])[0][0])

    assert found.value == pytest.approx(value(weights))
    h, checked = 1e-5, 0
    by_name = {node.name: node.output for node in found.nodes}
    for node in network.nodes:
        name = f"{node.name}/bias"
        if name not in weights:
            continue
        # a bias is added to every number of its channel: its gradient is the sum of theirs
        summed = by_name[node.name].reshape(-1, weights[name].size).sum(axis=0)
        for channel in range(weights[name].size):
            step = h * np.eye(weights[name].size)[channel]
            up, down = (value(weights | {name: weights[name] + sign * step}) for sign in (1, -1))
            assert summed[channel] == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-8)
            checked += 1
    assert checked == 4 + 4 + 4 + 5
    place = np.zeros_like(x)
    place[0, 3, 1, 1] = h
    slope = (value(weights, x + place) - value(weights, x - place)) / (2 * h)
    assert by_name["input"][0, 3, 1, 1] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert [node.name for node in found.nodes] == ["input", *(node.name for node in network.nodes)]


def test_the_largest_score_is_taken_where_none_is_named() -> None:
    network = Network.build(ARCHITECTURE)
    draw = np.random.default_rng(4)
    weights = {name: draw.normal(0, 0.4, spec.shape) for name, spec in network.weight_specs.items()}
    x = draw.normal(size=(1, 6, 6, 2))
    scores = network.forward(weights, x, Context()).output[0]
    found = gradients(network, weights, x, SoftmaxCrossEntropy(), "score")
    assert found.index == scores.argmax()
    np.testing.assert_array_equal(found.nodes[-1].output[0], np.eye(5)[scores.argmax()])
