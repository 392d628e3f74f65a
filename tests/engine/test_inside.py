"""What nodes put out and the filters that they have, apart from the service."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import Context
from engine.model.activations import activation, activations, head, pictures_at_once, spread
from engine.model.filters import filters


def network(*layers: dict[str, Any], side: int = 8) -> Network:
    return Network.build(Architecture.model_validate({"input_shape": [side, side, 3], "layers": layers}))


def picture(side: int = 8) -> Any:
    return np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)


def test_the_input_comes_first_and_then_each_node() -> None:
    net = network(
        {"type": "conv2d", "filters": 4, "kernel_size": 3, "activation": "relu"}, {"type": "flatten"}
    )
    weights, x = net.initial_weights(0), picture()
    found = list(activations(net, weights, x))
    assert [each.name for each in found] == ["input", "conv2d_1", "conv2d_1/activation", "flatten_1"]
    assert [each.type for each in found] == ["input", "conv2d", "relu", "flatten"]
    np.testing.assert_array_equal(found[-1].output, net.forward(weights, x, Context()).output)
    np.testing.assert_array_equal(activation(net, weights, x, "conv2d_1"), found[1].output)
    with pytest.raises(KeyError):
        activation(net, weights, x, "conv2d_2")


def test_memory_does_not_grow_with_the_number_of_layers() -> None:
    def peak(depth: int) -> int:
        net = network(*[{"type": "conv2d", "filters": 8, "kernel_size": 1}] * depth, side=64)
        weights, x = net.initial_weights(0), picture(64)
        tracemalloc.start()
        for each in activations(net, weights, x):
            spread(each.output)
        measured = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return measured

    peak(2)
    assert peak(24) < 1.5 * peak(4)


def test_numbers_are_spread_as_numpy_says() -> None:
    numbers = np.random.default_rng(1).normal(100, 0.5, (3, 700, 900)).astype(np.float32)
    numbers[0] = 0
    found = spread(numbers)
    exact = numbers.astype(np.float64)
    assert found.minimum == numbers.min()
    assert found.maximum == numbers.max()
    assert found.mean == pytest.approx(exact.mean(), rel=1e-5)
    assert found.deviation == pytest.approx(exact.std(), rel=1e-4)
    assert found.zeros == pytest.approx(1 / 3)


def test_the_head_is_the_last_layer_that_connects_by_parameters() -> None:
    dense = network({"type": "flatten"}, {"type": "dense", "units": 3}, {"type": "softmax"})
    normalised = network({"type": "conv2d", "filters": 4, "kernel_size": 3}, {"type": "batch_norm"})
    nothing = network({"type": "max_pool2d", "pool_size": 2}, {"type": "batch_norm"})
    heads = [head(net) for net in (dense, normalised, nothing)]
    assert [node.name if node else None for node in heads] == ["dense_1", "conv2d_1", None]


def test_fewer_pictures_are_run_at_once_where_maps_are_large() -> None:
    small = network({"type": "flatten"})
    large = network({"type": "conv2d", "filters": 64, "kernel_size": 1}, side=256)
    assert (pictures_at_once(small), pictures_at_once(large)) == (64, 1)


@pytest.mark.parametrize(
    ("layer", "bank"),
    [
        ({"type": "conv2d", "filters": 4, "kernel_size": [2, 3]}, (2, 3, 3, 4)),
        ({"type": "conv2d", "filters": 6, "kernel_size": 1, "groups": 3}, (1, 1, 1, 6)),
        ({"type": "depthwise_conv2d", "kernel_size": 3}, (3, 3, 1, 3)),
        ({"type": "transposed_conv2d", "filters": 5, "kernel_size": 2}, (2, 2, 3, 5)),
    ],
)
def test_filters_are_banks_with_one_for_each_output(layer: dict[str, Any], bank: tuple[int, ...]) -> None:
    net = network(layer, {"type": "global_average_pool2d"}, {"type": "dense", "units": 2, "bias": False})
    weights = net.initial_weights(0)
    first, dense = filters(net, weights)
    assert first.bank.shape == bank
    assert first.count == net.nodes[0].output_shape[2]
    np.testing.assert_array_equal(first.by_filter[1], first.bank[..., 1].reshape(-1))
    assert first.bias is not None
    assert dense.bias is None
    np.testing.assert_array_equal(dense.bank[0, 0], weights["dense_1/weight"])
