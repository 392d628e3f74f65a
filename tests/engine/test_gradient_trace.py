"""How gradients at numbers of a network's nodes come about, against the pass back."""

from typing import Any

import numpy as np
import pytest

from engine.errors import ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.model.gradient_trace import trace_gradients
from engine.model.gradients import Of, gradients
from engine.recipe.losses import SoftmaxCrossEntropy

CONV: dict[str, Any] = {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"}
ARCHITECTURE = Architecture.model_validate(
    {
        "input_shape": (6, 6, 2),
        "layers": [
            CONV | {"name": "first", "activation": "relu"},
            {"type": "residual", "name": "block", "layers": [CONV | {"activation": "silu"}, CONV]},
            {"type": "inception", "filters_1x1": 2, "filters_3x3": 1, "filters_5x5": 1, "batch_norm": True},
            {"type": "squeeze_and_excitation", "reduction": 2},
            {"type": "group_norm", "groups": 2},
            {"type": "max_pool2d", "pool_size": 3, "stride": 2},
            {"type": "flatten"},
            {"type": "dense", "units": 5, "name": "scores"},
        ],
    }
)
LOSS = SoftmaxCrossEntropy()


def drawn() -> tuple[Network, dict[str, Any], Any]:
    """Return a network, its weights and a picture, in float64."""
    network = Network.build(ARCHITECTURE)
    draw = np.random.default_rng(3)
    weights = {name: np.abs(draw.normal(0, 0.4, spec.shape)) for name, spec in network.weight_specs.items()}
    weights |= {name: draw.normal(0, 0.4, w.shape) for name, w in weights.items() if name.endswith("/weight")}
    return network, weights, draw.normal(size=(1, 6, 6, 2))


@pytest.mark.parametrize("of", ["score", "loss"])
def test_what_the_readers_give_sums_to_the_gradient_in_every_node(of: Of) -> None:
    network, weights, x = drawn()
    expected = gradients(network, weights, x, LOSS, of, index=2)
    for node in expected.nodes:
        positions = list(np.ndindex(node.output.shape[1:]))
        found, traces = trace_gradients(network, weights, x, LOSS, of, 2, node.name, positions)
        assert (found.of, found.index, found.value) == (of, 2, expected.value)
        for position, trace in zip(positions, traces, strict=True):
            assert (trace.node, trace.type, trace.position) == (node.name, node.type, position)
            np.testing.assert_allclose(trace.gradient, node.output[0, *position], rtol=1e-9, atol=1e-12)
            assert trace.expression.split(" = ")[-1] == f"{trace.gradient + 0.0:.4g}"
            reading = {each.name for each in network.nodes if node.name in each.inputs}
            assert {reader.node for reader in trace.readers} <= reading
            for reader in trace.readers:
                np.testing.assert_array_equal(reader.products, reader.gradients * reader.derivatives)
                assert reader.sum == pytest.approx(reader.products.sum())


def test_a_number_that_is_read_twice_has_two_readers() -> None:
    network, weights, x = drawn()
    _, (trace,) = trace_gradients(network, weights, x, LOSS, "loss", 1, "first/activation", [(2, 3, 1)])
    body, around = trace.readers
    assert (body.node, body.type, body.input) == ("block/body/conv2d_1", "conv2d", 0)
    assert (around.node, around.type, around.input) == ("block/add", "add", 1)
    # every filter sees the number in nine windows; the sum takes it as it is
    assert (body.begins, body.products.shape) == ((1, 2, 0), (3, 3, 4))
    np.testing.assert_array_equal(body.derivatives, weights["block/body/conv2d_1/weight"][::-1, ::-1, 1])
    assert (around.begins, around.derivatives.tolist()) == ((2, 3, 1), [[[1.0]]])


def test_the_way_back_begins_at_the_scores() -> None:
    network, weights, x = drawn()
    _, of_score = trace_gradients(network, weights, x, LOSS, "score", 2, "scores", [(2,), (3,)])
    assert [(each.gradient, each.expression, each.readers) for each in of_score] == [
        (1, "1", ()),
        (0, "0", ()),
    ]


def test_a_position_outside_is_refused() -> None:
    network, weights, x = drawn()
    with pytest.raises(ShapeError, match=r"\[6, 0, 0\] of an output of 6x6x2"):
        trace_gradients(network, weights, x, LOSS, "loss", 0, "input", [(6, 0, 0)])
