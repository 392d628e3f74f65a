"""What a pass through a network takes of memory stays below what is expected of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from engine import presets
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.model.activations import activations, passing_bytes
from engine.model.explanations.score import Score, batch_size, step_bytes
from engine.model.gradients import gradients
from engine.recipe.losses import SoftmaxCrossEntropy


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "name", ["lenet-5", "resnet-20", pytest.param("mobilenet-v2", marks=pytest.mark.slow)]
)
def test_no_pass_takes_more_than_is_expected(name: str) -> None:
    preset = presets.find(name)
    assert preset is not None
    shape = preset.input_shape
    layers = list(preset.layers(preset.classes))
    network = Network.build(Architecture.model_validate({"input_shape": list(shape), "layers": layers}))
    weights = network.initial_weights(0, np.float32)
    x = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    forward = peak(lambda: [None for _ in activations(network, weights, x)])
    assert forward < passing_bytes(network) < 3 * forward
    plain = Preprocessing(mean=(0.0,) * shape[2], deviation=(1.0,) * shape[2])
    scoring = network.without_final("softmax")
    batch = np.repeat(x, batch_size(scoring), axis=0)
    assert peak(lambda: Score(scoring, weights, plain, 0).slope(batch)) < step_bytes(scoring)
    loss = SoftmaxCrossEntropy()
    assert peak(lambda: gradients(scoring, weights, x, loss, "score")) < step_bytes(scoring)
