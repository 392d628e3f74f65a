"""What a plan is expected to hold is held against what it allocates."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from engine.fast.estimate import pass_bytes
from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning
from engine.fast.plan import Plan
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import Context
from engine.presets import find
from engine.workspace import Workspace
from tests.machines import machine

MOST = 2.5
"""How many times what is needed an estimate may be; less than what is needed it may not."""
SLACK = 1 << 19
"""Bytes of objects that are no arrays."""
CONVOLUTION = {"type": "conv2d", "kernel_size": 3, "padding": "same"}

PRESETS = ("lenet-5", "resnet-20", "tiny-vgg")
WRITTEN: dict[str, dict[str, Any]] = {
    # maps whose number of pixels has no divisors but itself: products cannot be cut as one would like
    "many channels, odd size": {
        "input_shape": [13, 13, 64],
        "layers": [CONVOLUTION | {"filters": 256}, CONVOLUTION | {"filters": 256}],
    },
    "many channels, winograd": {
        "input_shape": [8, 8, 256],
        "layers": [CONVOLUTION | {"filters": 256}, CONVOLUTION | {"filters": 256}],
    },
    "batch norms of large maps": {
        "input_shape": [256, 256, 8],
        "layers": [
            {"type": "batch_norm", "activation": "relu6"},
            {"type": "batch_norm", "activation": "relu6"},
            CONVOLUTION | {"filters": 4, "bias": False},
        ],
    },
    "separable, in bands": {
        "input_shape": [96, 96, 8],
        "layers": [
            CONVOLUTION | {"kernel_size": 1, "filters": 96, "activation": "relu6"},
            {"type": "depthwise_conv2d", "kernel_size": 3, "stride": 2, "padding": 1, "activation": "relu6"},
            CONVOLUTION | {"kernel_size": 1, "filters": 16},
            CONVOLUTION | {"kernel_size": 1, "filters": 48, "activation": "relu6"},
            {"type": "depthwise_conv2d", "kernel_size": 3, "padding": 1, "activation": "relu6"},
            CONVOLUTION | {"kernel_size": 1, "filters": 32},
            CONVOLUTION | {"filters": 32},  # which wants its rows apart
        ],
    },
    "many vectors": {
        "input_shape": [4, 4, 8],
        "layers": [
            {"type": "flatten"},
            {"type": "dense", "units": 512, "activation": "relu6"},
            {"type": "dense", "units": 512, "activation": "relu6"},
        ],
    },
    "frozen in the middle": {
        "input_shape": [16, 16, 16],
        "layers": [
            CONVOLUTION | {"filters": 64},
            CONVOLUTION | {"filters": 64, "trainable": False},
            {"type": "batch_norm", "activation": "relu6", "trainable": False},
            {"type": "depthwise_conv2d", "kernel_size": 3, "padding": "same", "trainable": False},
            {"type": "flatten"},
            {"type": "dense", "units": 64, "trainable": False},
        ],
    },
    "nothing but pools": {
        "input_shape": [64, 64, 16],
        "layers": [{"type": "max_pool2d"}, {"type": "max_pool2d"}],
    },
    "no plan has a step for these": {
        "input_shape": [48, 48, 16],
        "layers": [
            {"type": "depthwise_conv2d", "kernel_size": 3, "padding": "same"},
            {"type": "layer_norm"},
            {"type": "gelu"},
            {"type": "dropout", "rate": 0.2},
            {"type": "max_pool2d", "pool_size": 3, "stride": 1},
            {"type": "average_pool2d", "pool_size": 2},
        ],
    },
}


PICTURES = {"batch norms of large maps": 2, "many vectors": 4096}
FEW = 5


def network(name: str) -> Network:
    if name in WRITTEN:
        return Network.build(Architecture.model_validate(WRITTEN[name]))
    preset = find(name)
    assert preset is not None
    return Network.build(preset.architecture()).without_final("softmax")


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("edge", [0, OPENBLAS_EDGE])
@pytest.mark.parametrize("name", [*PRESETS, *WRITTEN])
def test_a_plan_holds_what_was_expected(name: str, edge: int, training: bool) -> None:
    net, pictures = network(name), PICTURES.get(name, FEW)
    peak = held(net, pictures, Tuning(gemm_edge=edge), training=training)
    expected = pass_bytes(net, pictures, training=training)
    assert peak - SLACK <= expected <= MOST * peak + SLACK


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("transform", [0.1, 1e4], ids=["columns", "winograd"])
@pytest.mark.parametrize("name", ["lenet-5", "resnet-20", "vgg-small"])
def test_no_choice_by_figures_takes_more_than_was_expected(
    name: str, transform: float, training: bool
) -> None:
    """Jobs are admitted by what the rule's kernels take."""
    net = network(name)
    tuning = Tuning.of(machine(transform=transform))
    peak = held(net, FEW, tuning, training=training)
    assert peak - SLACK <= pass_bytes(net, FEW, training=training)


def held(net: Network, pictures: int, tuning: Tuning, *, training: bool) -> int:
    """Return the most bytes that a plan holds while it is made and runs a batch."""
    weights = net.initial_weights(0)
    x = np.zeros((pictures, *net.input_shape), np.float32)
    dy = np.zeros((pictures, *net.output_shape), np.float32)
    tracemalloc.start()
    try:
        plan = Plan(net, pictures, tuning, training=training)
        plan.prepare(weights)
        if training:
            tape = plan.forward(x, Context(statistics="batch", records=True, workspace=Workspace()))
            plan.backward(tape, dy)
        else:
            plan.scores(x)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
