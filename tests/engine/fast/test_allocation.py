"""A step in the steady state works in the memory of the steps before it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from engine.augmentations.geometry import HorizontalFlip, Rotation
from engine.fast.estimate import pass_bytes
from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.share import Share
from engine.fast.plan import Plan
from engine.graph.network import Network
from engine.inputs.batch import Batch
from engine.inputs.preparation import Preparation
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.layers.base import alone
from engine.presets import find
from engine.recipe.losses import SoftmaxCrossEntropy
from engine.training.loop import one_hot

PICTURES = 8


@pytest.mark.parametrize(
    "name",
    [
        "lenet-5",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("vgg-small", "resnet-20", "mobilenet-v2")),
    ],
)
def test_nothing_large_is_allocated(name: str) -> None:
    preset = find(name)
    if preset is None:
        pytest.fail(f"there is no preset {name}")
    shape = (32, 32, 3) if preset.input_shape[0] > 32 else None
    network = Network.build(preset.architecture(shape, classes=10))
    channels = network.input_shape[2]
    preparation = Preparation(
        augmentations=(Rotation(degrees=10), HorizontalFlip()),
        preprocessing=Preprocessing(mean=(0.5,) * channels, deviation=(0.5,) * channels),
    )
    setup = Setup(network, SoftmaxCrossEntropy(), preparation, Tuning(gemm_edge=OPENBLAS_EDGE), 1, PICTURES)
    share = Share(setup)
    weights = network.initial_weights(0)
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (PICTURES, *network.input_shape), np.uint8)
    batch = Batch(images, one_hot(draw.integers(0, 10, PICTURES), 10), np.arange(PICTURES), 1, one_class=True)

    def step() -> None:
        share.train(weights, batch, PICTURES, Context(statistics="batch", records=True), alone)

    for _ in range(2):
        step()
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    held = pass_bytes(network, PICTURES, training=True)
    largest = max(weight.nbytes for weight in weights.values())
    # some filters are turned round on the way back, and vectors of channels come and go
    assert peak < held / 50 + largest


@pytest.mark.parametrize("name", ["lenet-5", pytest.param("resnet-20", marks=pytest.mark.slow)])
def test_new_weights_for_predictions_allocate_no_maps(name: str) -> None:
    """An evaluation takes the weights anew for each of its batches."""
    preset = find(name)
    assert preset is not None
    network = Network.build(preset.architecture(classes=10))
    plan = Plan(network, PICTURES, Tuning(), training=False)
    weights = network.initial_weights(0)
    x = np.random.default_rng(0).standard_normal((PICTURES, *network.input_shape)).astype(np.float32)
    plan.prepare(weights)
    plan.scores(x)
    others = network.initial_weights(1)
    tracemalloc.start()
    plan.prepare(others)
    found = plan.scores(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < pass_bytes(network, PICTURES, training=False) / 10
    expected = network.forward(others, x, Context()).output
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
