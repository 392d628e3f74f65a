"""Starting from another network's weights, and keeping some of them as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import GraphError, ShapeError
from engine.execution.protocol import PlainExecution
from engine.graph.architecture import Architecture
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.model.model_file import Model
from engine.training.checkpoint import checkpoint_bytes, read_checkpoint
from engine.training.loop import TrainingConfig, start, train
from engine.training.transfer import freeze
from tests.engine.stripes import LAYERS, data, in_two_threads, network, run

OTHER_HEAD = [*LAYERS[:-1], {"type": "dense", "units": 2, "name": "dense_1"}]


def model(layers: list[dict[str, Any]] = LAYERS) -> Model:
    architecture = Architecture.model_validate({"input_shape": [8, 8, 1], "layers": layers})
    weights = {name: weight + 1 for name, weight in network(layers).initial_weights(7).items()}
    preprocessing = Preprocessing(mean=(0.4,), deviation=(0.2,))
    return Model(architecture, ("x", "y", "z"), preprocessing, TrainingConfig().loss, weights)


def test_frozen_weights_stay_as_they_are() -> None:
    config = TrainingConfig(epochs=2, freeze=("conv2d_*", "batch_norm_1"))
    first = network().initial_weights(0)
    state = run(config)[-1].state
    for name, weight in state.weights.items():
        assert (weight == first[name]).all() == name.startswith(("conv2d", "batch_norm")), name
    assert set(state.slots) == {"dense_1/weight", "dense_1/bias"}


def test_a_frozen_batch_norm_keeps_its_running_statistics_and_uses_them() -> None:
    """By plans as by the plain executor: what is trained behind it sees the maps that inference will see."""
    layers = [layer for layer in LAYERS if layer["type"] != "dropout"]
    given = model(layers)
    names = [f"batch_norm_1/{name}" for name in network(layers).nodes[1].weights]
    assert {"batch_norm_1/running_mean", "batch_norm_1/running_variance"} < set(names)
    config = TrainingConfig(epochs=1, batch_size=16, freeze=("conv2d_*", "batch_norm_*"))
    plans = in_two_threads()
    ends = []
    for execute in (PlainExecution, plans):
        state = start(network(layers), config, data(), given)
        list(train(network(layers), config, data(), state, execute))
        for name in names:
            np.testing.assert_array_equal(state.weights[name], given.weights[name], err_msg=name)
        ends.append(state.weights)
    plans.close()
    for name, weight in ends[0].items():
        np.testing.assert_allclose(ends[1][name], weight, rtol=1e-4, atol=1e-5, err_msg=name)

    frozen = freeze(network(layers), config.freeze)
    x = np.random.default_rng(0).standard_normal((3, 8, 8, 1)).astype(np.float32)
    training, inference = Context(statistics="batch", records=True), Context()
    np.testing.assert_array_equal(
        frozen.forward(ends[0], x, training).output, frozen.forward(ends[0], x, inference).output
    )


def test_patterns_reach_into_blocks() -> None:
    block = {
        "type": "residual",
        "layers": [{"type": "conv2d", "filters": 1, "kernel_size": 3, "padding": "same"}],
    }
    net = network([block, block, {"type": "flatten"}, {"type": "dense", "units": 3}])
    frozen = freeze(net, ["residual_1/*"])
    learning = {node.name for node in frozen.nodes if node.trainable_parameters}
    assert learning == {"residual_2/body/conv2d_1", "dense_1"}
    assert freeze(net, ()) is net


@pytest.mark.parametrize(
    ("patterns", "path", "words"),
    [
        (["conv2d_1", "no_such_*"], ("freeze", 1), "no_such"),
        (["max_pool2d_1"], ("freeze", 0), "no layer with weights"),
        (["*"], ("freeze",), "nothing is left"),
    ],
)
def test_patterns_that_make_no_sense_are_refused(
    patterns: list[str], path: tuple[str | int, ...], words: str
) -> None:
    with pytest.raises(GraphError, match=words) as caught:
        freeze(network(), patterns)
    assert caught.value.path == path
    assert caught.value.hint


def test_arrays_of_the_same_name_and_shape_are_taken() -> None:
    given = model(OTHER_HEAD)
    state = start(network(), TrainingConfig(seed=3), data(), given)
    assert state.drawn == ("dense_1/weight", "dense_1/bias")
    assert set(state.taken) | set(state.drawn) == set(state.weights)
    drawn = network().initial_weights(3)
    for name, weight in state.weights.items():
        np.testing.assert_array_equal(weight, given.weights[name] if name in state.taken else drawn[name])
        assert weight is not given.weights[name]
    assert state.preprocessing == given.preprocessing
    assert start(network(), TrainingConfig(), data()).taken == ()


def test_a_model_without_anything_in_common_is_refused() -> None:
    other = [{"type": "flatten"}, {"type": "dense", "units": 5, "name": "elsewhere"}]
    with pytest.raises(ShapeError, match="none of the model's weights") as caught:
        start(network(), TrainingConfig(), data(), model(other))
    assert caught.value.path == ("initial_weights",)
    assert "elsewhere/weight" in (caught.value.hint or "")


def test_a_fine_tuned_run_resumes_and_remembers_what_it_took(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=2, batch_size=16, freeze=("conv2d_1",))
    state = start(network(), config, data(), model(OTHER_HEAD))
    reports = train(network(), config, data(), state)
    for _ in range(3):
        next(reports)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(checkpoint_bytes(state))
    again = read_checkpoint(path, network(), config)
    assert again.taken == state.taken
    last = list(train(network(), config, data(), again))[-1].state
    undisturbed = start(network(), config, data(), model(OTHER_HEAD))
    list(train(network(), config, data(), undisturbed))
    for name, weight in undisturbed.weights.items():
        np.testing.assert_array_equal(weight, last.weights[name])
