"""Depthwise convolutions between 1x1 convolutions, in bands, against the plain executor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.fast.kernels.fold import fold
from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning
from engine.fast.plan import Plan
from engine.graph.network import Network
from engine.layers import Context
from engine.presets import find
from tests.engine.fast.nets import build

SMALL_TILES = [
    Tuning(tile_bytes=30),
    Tuning(gemm_edge=5_000, tile_bytes=1_000),
    Tuning(gemm_edge=OPENBLAS_EDGE),
]
POINT = {"type": "conv2d", "kernel_size": 1, "filters": 12, "activation": "relu6"}
DEPTHWISE = {"type": "depthwise_conv2d", "kernel_size": 3, "padding": 1, "activation": "relu6"}
ACTIVATION = st.sampled_from([None, "relu", "relu6"])


def compare(net: Network, batch: int, tuning: Tuning) -> Plan:
    """Run a batch twice by a plan, whose memory is used again, and once by the plain executor in float64."""
    draw = np.random.default_rng(0)
    weights = {
        name: draw.standard_normal(weight.shape, dtype=np.float32)
        for name, weight in net.initial_weights(0).items()
    }
    x = draw.standard_normal((batch, *net.input_shape), dtype=np.float32)
    exact = {name: weight.astype(np.float64) for name, weight in weights.items()}
    wanted = net.forward(exact, x.astype(np.float64), Context()).output
    plan = Plan(net, batch, tuning, training=False)
    plan.prepare(weights)
    for _ in range(2):
        assert np.abs(plan.scores(x) - wanted).max() < 3e-6 * max(np.abs(wanted).max(), 1)
    return plan


@given(st.data(), st.integers(1, 5), st.sampled_from(SMALL_TILES))
@settings(max_examples=60)
def test_any_separable_convolution_is_right(data: st.DataObject, batch: int, tuning: Tuning) -> None:
    draw = data.draw
    shape = draw(st.integers(2, 17)), draw(st.integers(2, 60)), draw(st.integers(2, 9))
    common = {"bias": draw(st.booleans())}
    pad = st.integers(0, 3)
    layers: list[dict[str, Any]] = [
        {
            **common,
            "type": "depthwise_conv2d",
            "kernel_size": [draw(st.integers(1, 4)), draw(st.integers(1, 4))],
            "stride": [draw(st.integers(1, 3)), draw(st.integers(1, 3))],
            "padding": draw(
                st.sampled_from(["same", "valid"]) | st.tuples(st.tuples(pad, pad), st.tuples(pad, pad))
            ),
            "activation": draw(ACTIVATION),
        },
        {**POINT, **common, "filters": draw(st.integers(1, 9)), "activation": draw(ACTIVATION)},
    ]
    if draw(st.booleans()):
        layers.insert(0, {**POINT, "filters": draw(st.integers(2, 20)), "activation": draw(ACTIVATION)})
    if draw(st.booleans()):  # which wants rows of its input apart
        layers.append({"type": "conv2d", "kernel_size": 3, "filters": 16, "padding": "same"})
    try:
        net = build(shape, layers)
    except EngineError:
        assume(False)
    plan = compare(net, batch, tuning)
    assert next(iter(plan.choices.values())).startswith("separable/")


@pytest.mark.parametrize("stride", [1, 2])
def test_a_map_that_a_sum_reads_too(stride: int) -> None:
    block = {"type": "residual", "layers": [POINT, {**DEPTHWISE, "stride": stride}, {**POINT, "filters": 8}]}
    shortcut = {"shortcut": "projection"} if stride == 2 else {}
    layers = [
        {**POINT, "filters": 8},
        block | shortcut,
        {**POINT, "filters": 5},
        {"type": "global_average_pool2d"},
    ]
    plan = compare(build((15, 18, 3), layers), 3, Tuning(tile_bytes=3_000))
    assert "separable/1" in plan.choices.values()


@pytest.mark.parametrize(
    "layers",
    [
        [DEPTHWISE],
        [POINT, DEPTHWISE],
        [POINT, DEPTHWISE, {**POINT, "kernel_size": 3}],
        [{**POINT, "kernel_size": 3}, POINT, {**POINT, "stride": 2}],
        [{**DEPTHWISE, "dilation": 2}, POINT],
    ],
)
def test_other_chains_are_computed_one_by_one(layers: list[dict[str, Any]]) -> None:
    plan = compare(build((9, 9, 4), layers), 2, Tuning())
    assert not any(choice.startswith("separable") for choice in plan.choices.values())


def test_the_blocks_of_mobile_networks_are_computed_in_one_go() -> None:
    preset = find("mobilenet-v2")
    assert preset is not None
    network = Network.build(preset.architecture())
    net, _ = fold(network, network.initial_weights(0))
    plan = Plan(net, 1, Tuning(), training=False)
    assert sum(choice.startswith("separable/") for choice in plan.choices.values()) == 17
