"""Folded, pooled inference against the plain executor."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engine.fast.kernels.fold import fold
from engine.fast.layout.gemm import Tuning
from engine.fast.plan import Plan
from engine.fast.serving.pool import PlanPool
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import Context

CONV = {"type": "conv2d", "filters": 16, "padding": "same"}
NORM = {"type": "batch_norm"}
LAYERS = [
    {**CONV, "bias": False},
    {**NORM, "activation": "relu"},
    {"type": "residual", "layers": [CONV, {**NORM, "activation": "relu"}, {**CONV, "bias": False}, NORM]},
    {"type": "residual", "layers": [{**CONV, "stride": 2}, NORM], "shortcut": "projection"},
    NORM,
    {"type": "flatten"},
    {"type": "dense", "units": 5},
]


def network() -> tuple[Network, dict[str, np.ndarray]]:
    """Return a network whose running statistics are not those of the start."""
    built = Network.build(Architecture.model_validate({"input_shape": [8, 8, 3], "layers": LAYERS}))
    draw = np.random.default_rng(0)
    weights = built.initial_weights(1)
    for name, weight in weights.items():
        if "batch_norm" in name:
            weight[...] = draw.uniform(0.5, 1.5, weight.shape)
    return built, weights


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 8, 8, 3)).astype(np.float32)


def test_folding_changes_no_prediction_and_leaves_the_weights_alone() -> None:
    plain, weights = network()
    before = {name: weight.copy() for name, weight in weights.items()}
    folded, inner = fold(plain, weights)
    left = [node.name for node in folded.nodes if node.layer.type == "batch_norm"]
    assert left == ["batch_norm_2"]  # after a sum there is no convolution to fold into
    assert set(inner) == set(folded.weight_specs)
    x = pictures(3)
    np.testing.assert_allclose(
        folded.forward(inner, x, Context()).output,
        plain.forward(weights, x, Context()).output,
        rtol=1e-4,
        atol=1e-4,
    )
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight, before[name])


def test_a_convolution_with_a_second_reader_is_not_folded() -> None:
    layers = [{**CONV, "name": "c"}, NORM, {"type": "add", "inputs": ["c", "batch_norm_1"]}]
    built = Network.build(Architecture.model_validate({"input_shape": [4, 4, 2], "layers": layers}))
    assert len(fold(built, built.initial_weights(0))[0].nodes) == 3


@pytest.mark.parametrize("count", [1, 7, 8, 9, 45])
def test_a_pool_serves_batches_of_any_size(count: int) -> None:
    plain, weights = network()
    x = pictures(count)
    scores = PlanPool(plain, weights, Tuning()).scores(x)
    np.testing.assert_allclose(scores, plain.forward(weights, x, Context()).output, rtol=1e-4, atol=1e-4)


def test_a_prediction_does_not_depend_on_what_else_is_served() -> None:
    plain, weights = network()
    pool = PlanPool(plain, weights, Tuning())
    batches = [pictures(1 + number % 11) for number in range(40)]
    expected = [pool.scores(batch) for batch in batches]
    with ThreadPoolExecutor(8) as threads:
        for found, wanted in zip(threads.map(pool.scores, batches), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("count", [1, 15, 16, 33, 70])
def test_large_batches_are_split_over_threads_and_stay_in_order(count: int) -> None:
    built, weights = network()
    x = pictures(count)
    with ThreadPoolExecutor(2) as executor:
        split = PlanPool(built, weights, Tuning(), executor, ways=3).scores(x)
    np.testing.assert_allclose(split, PlanPool(built, weights, Tuning()).scores(x), rtol=1e-4, atol=1e-5)


def test_maps_of_several_tiles_are_written_where_the_next_convolution_reads_them() -> None:
    layers = [{**CONV, "activation": "relu"}] * 3 + [{"type": "flatten"}, {"type": "dense", "units": 2}]
    built = Network.build(Architecture.model_validate({"input_shape": [16, 16, 16], "layers": layers}))
    weights = built.initial_weights(0)
    plan = Plan(built, 8, Tuning(tile_bytes=1 << 15), training=False)
    plan.prepare(weights)
    assert plan.choices["conv2d_1"] == "winograd/2 relu"
    copied = [call for call in plan._calls if getattr(call, "func", None) is np.copyto]
    assert not copied
    x = np.random.default_rng(0).standard_normal((8, 16, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(
        plan.scores(x), built.forward(weights, x, Context()).output, rtol=1e-4, atol=1e-4
    )
