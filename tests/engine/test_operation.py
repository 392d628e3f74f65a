"""One layer by itself: the same numbers as in a network, right gradients, and no more memory than was estimated."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from engine.errors import GraphError, LimitError, ShapeError
from engine.graph.architecture import Architecture
from engine.graph.differences import check
from engine.graph.network import Network
from engine.graph.operation import Operation
from engine.layers import LAYERS, AnyLayer, Block, Context, Example, LayerRecord
from tests.engine.reference import numeric_gradient

PARSE: TypeAdapter[Any] = TypeAdapter(AnyLayer)
CASES = [
    pytest.param(kind, example, id=f"{kind.tag()}-{number}")
    for kind in LAYERS
    for number, example in enumerate(kind.examples)
]

LARGE: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"type": "conv2d", "filters": 8, "kernel_size": 5, "padding": 2}, (64, 64, 6)),
    (
        {"type": "conv2d", "filters": 8, "kernel_size": 5, "padding": 9, "dilation": 3, "groups": 2},
        (64, 64, 6),
    ),
    ({"type": "conv2d", "filters": 2, "kernel_size": 9, "activation": "gelu"}, (96, 96, 2)),
    ({"type": "depthwise_conv2d", "kernel_size": 5, "padding": "same"}, (96, 96, 6)),
    ({"type": "depthwise_conv2d", "multiplier": 2}, (96, 96, 6)),
    ({"type": "transposed_conv2d", "filters": 6, "kernel_size": 5, "stride": 2}, (48, 48, 4)),
    ({"type": "max_pool2d", "pool_size": 80, "padding": 79, "stride": 30}, (100, 100, 2)),
    ({"type": "average_pool2d", "pool_size": 80, "padding": 79, "stride": 30}, (100, 100, 2)),
    ({"type": "average_pool2d"}, (200, 200, 4)),
    ({"type": "adaptive_average_pool2d", "output_size": [300, 2]}, (200, 200, 4)),
    ({"type": "upsample2d", "factor": 8, "mode": "bilinear"}, (30, 30, 4)),
    ({"type": "upsample2d", "factor": 8}, (30, 30, 4)),
    ({"type": "upsample2d", "size": [300, 20], "mode": "bicubic"}, (60, 80, 4)),
    ({"type": "upsample2d", "size": [90, 31], "coordinates": "align_corners"}, (60, 80, 4)),
    ({"type": "slice", "rows": [None, None, 2], "channels": [None, None, -1]}, (60, 60, 14)),
    ({"type": "channel_shuffle", "groups": 7}, (60, 60, 14)),
    ({"type": "affine"}, (60, 60, 14)),
    ({"type": "affine", "per_pixel": True}, (60, 60, 14)),
    ({"type": "prelu", "per_pixel": True, "shared": True}, (60, 60, 14)),
    ({"type": "erf"}, (60, 60, 14)),
    ({"type": "log_softmax"}, (60, 60, 14)),
    ({"type": "hard_sigmoid"}, (60, 60, 14)),
    ({"type": "clip"}, (60, 60, 14)),
    ({"type": "max_pool2d", "pool_size": 9, "stride": 1, "dilation": 6, "padding": 40}, (100, 100, 2)),
    (
        {"type": "transposed_conv2d", "filters": 6, "groups": 2, "kernel_size": 5, "stride": 2},
        (48, 48, 4),
    ),
    ({"type": "pad2d", "padding": 30, "mode": "wrap"}, (60, 60, 14)),
    ({"type": "local_response_norm"}, (60, 60, 14)),
    ({"type": "batch_norm"}, (60, 60, 14)),
    ({"type": "layer_norm"}, (60, 60, 14)),
    ({"type": "gelu"}, (60, 60, 14)),
    ({"type": "softplus"}, (60, 60, 14)),
    ({"type": "pad2d", "padding": 30, "mode": "reflect"}, (60, 60, 14)),
    ({"type": "dense", "units": 200}, (3000,)),
    ({"type": "dense_block", "depth": 4, "growth": 8}, (40, 40, 8)),
    ({"type": "inception", "filters_1x1": 8, "filters_3x3": 8, "filters_5x5": 8}, (40, 40, 8)),
    ({"type": "squeeze_and_excitation", "reduction": 2}, (60, 60, 14)),
]


def drawn(shape: tuple[int, ...], seed: int = 3) -> np.ndarray:
    """Return numbers that are all different, and none of which is 0."""
    values = np.linspace(-1, 1, int(np.prod(shape))) + 0.0005
    return np.random.default_rng(seed).permutation(values).reshape(shape)


def build(layer: dict[str, Any], *shapes: tuple[int, ...]) -> Operation:
    return Operation.build(PARSE.validate_python(layer), shapes)


@pytest.mark.parametrize(("kind", "example"), CASES)
def test_gradients_of_inputs_and_weights_are_those_of_slow_differences(
    kind: type[LayerRecord], example: Example
) -> None:
    operation = build(example.layer, *example.inputs)
    xs = [drawn(shape, seed) for seed, shape in enumerate(example.inputs)]
    # away from the kinks of zeros and ones
    noise = np.random.default_rng(2)
    weights = {
        name: array + 0.1 * noise.random(array.shape)
        for name, array in operation.initial_weights(1, np.float64).items()
    }
    dy = drawn(operation.output_shape, 9)
    output, dxs, dweights = operation.gradients(weights, xs, dy, Context())

    def compute() -> np.ndarray:
        y: np.ndarray = operation.forward(weights, xs, Context()).output[0]
        return y

    np.testing.assert_array_equal(output, compute())
    assert set(dweights) == {name for name, spec in operation.weight_specs.items() if spec.trainable}
    picture = operation.picture(xs)
    for part, x in zip(operation.parts(picture), xs, strict=True):
        np.testing.assert_array_equal(part, x)
    # those of blocks are sums of what is tested layer by layer
    if not issubclass(kind, Block):
        for x, dx in zip(xs, dxs, strict=True):
            np.testing.assert_allclose(dx, numeric_gradient(compute, x, dy), rtol=1e-5, atol=1e-7)
    for name, dweight in dweights.items():
        np.testing.assert_allclose(
            dweight, numeric_gradient(compute, weights[name], dy), rtol=1e-5, atol=1e-7
        )


def test_weights_are_those_of_a_network_that_begins_with_the_layer() -> None:
    layer = {"type": "conv2d", "filters": 3, "activation": "prelu"}
    network = Network.build(Architecture.model_validate({"input_shape": [5, 5, 2], "layers": [layer]}))
    expected = network.initial_weights(7)
    found = build(layer, (5, 5, 2)).initial_weights(7, np.float32)
    assert set(found) == {"weight", "bias", "activation/slope"}
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[f"conv2d_1/{name}"])


@pytest.mark.parametrize(("layer", "shape"), LARGE, ids=[layer["type"] for layer, _ in LARGE])
@pytest.mark.parametrize("records", [False, True])
def test_memory_stays_within_the_estimate(
    layer: dict[str, Any], shape: tuple[int, ...], records: bool
) -> None:
    operation = build(layer, shape)
    weights = operation.initial_weights(0, np.float64)
    x, dy = drawn(shape), np.ones(operation.output_shape)
    context = Context(statistics="batch")
    tracemalloc.start()
    try:
        if records:
            operation.gradients(weights, [x], dy, context)
        else:
            operation.forward(weights, [x], context)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * operation.work(records=records).numbers


@pytest.mark.parametrize(
    ("layer", "shape", "most"),
    [
        # each cell of a window is a pass over the map, however small that is
        ({"type": "max_pool2d", "pool_size": 16384, "padding": 16383, "stride": 16384}, (1, 1, 1), 1e12),
        ({"type": "average_pool2d", "pool_size": 16384, "padding": "same", "stride": 1}, (64, 64, 1), 1e12),
        ({"type": "conv2d", "filters": 1, "kernel_size": 7000, "padding": 3500}, (1, 1, 1), 1e11),
        ({"type": "pad2d", "padding": 5 * 10**5, "mode": "replicate"}, (1, 1, 1), 8e9),
    ],
)
def test_work_that_shapes_hide_is_counted(layer: dict[str, Any], shape: tuple[int, ...], most: float) -> None:
    assert build(layer, shape).work(records=False).operations > most


def test_a_wrong_gradient_is_found_and_kinks_are_left_out() -> None:
    x = np.array([-1.0, 0.0, 2.0])
    dy = np.array([1.0, 2.0, 3.0])
    right = np.array([0.0, 0.0, 3.0])
    found = check(lambda: np.maximum(x, 0), [x], [right], dy, 10)
    assert (found.entries, found.kinks) == (2, 1)
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-9
    wrong = check(lambda: np.maximum(x, 0), [x], [right + 0.25], dy, 10)
    assert wrong.largest_difference == pytest.approx(0.25)
    np.testing.assert_array_equal(x, [-1, 0, 2])


def test_a_sample_is_bounded_and_takes_from_every_array() -> None:
    arrays = [np.ones(1000), np.ones(2), np.ones((30, 30))]
    gradients = [np.ones_like(array) for array in arrays]
    gradients[1][1] = 5
    found = check(lambda: np.array([sum(a.sum() for a in arrays)]), arrays, gradients, np.ones(1), 20)
    assert found.entries == 20
    assert found.largest_difference == pytest.approx(4)
    assert check(lambda: np.zeros(1), [np.zeros(0)], [np.zeros(0)], np.ones(1), 5).largest_difference is None


def test_faults_lead_into_the_layer_s_own_document() -> None:
    with pytest.raises(ShapeError) as wide:
        build({"type": "conv2d", "filters": 1, "kernel_size": 7}, (4, 4, 1))
    assert wide.value.path == ("kernel_size",)
    with pytest.raises(ShapeError) as inner:
        build({"type": "residual", "layers": [{"type": "conv2d", "filters": 1, "kernel_size": 7}]}, (4, 4, 1))
    assert inner.value.path == ("layers", 0, "kernel_size")
    with pytest.raises(ShapeError) as vector:
        build({"type": "max_pool2d"}, (4,))
    assert vector.value.path == ()
    with pytest.raises(GraphError, match="add takes 2 or more inputs but receives 1"):
        build({"type": "add"}, (4,))
    with pytest.raises(LimitError, match="a layer of filters 21474836470"):
        build({"type": "dense_block", "depth": 1, "growth": 2**31 - 1, "bottleneck": 10}, (4, 4, 1))
    with pytest.raises(LimitError):
        Operation.build(PARSE.validate_python({"type": "dense", "units": 10}), [(10,)], max_parameters=100)
