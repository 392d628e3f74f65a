"""Norms of gradients and weights: what the arrays give, whatever is stopped, and what vanishes is named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.arrays import Array
from engine.execution.protocol import Pass, PlainExecution
from engine.training.checkpoint import checkpoint_bytes, read_checkpoint
from engine.training.loop import TrainingConfig, train
from engine.training.norms import NodeNorms, node_lengths
from tests.engine.stripes import data, network, run


class Noting(PlainExecution):
    """Keeps the gradients of every batch."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.found: list[dict[str, Array]] = []

    def train(self, *given: Any) -> Pass:
        done = super().train(*given)
        self.found.append({name: array.astype(np.float64) for name, array in done.gradients.items()})
        return done


def norms_of(config: TrainingConfig, **given: Any) -> list[dict[str, NodeNorms]]:
    return [report.norms for report in run(config, **given) if report.norms is not None]


def length(arrays: dict[str, Array], node: str) -> float:
    own = [array for name, array in arrays.items() if name.rpartition("/")[0] == node]
    return math.sqrt(sum(float((array.astype(np.float64) ** 2).sum()) for array in own))


@pytest.mark.parametrize(("batch_size", "measured"), [(64, [0, 1]), (32, [0, 2]), (16, [0, 4])])
def test_they_are_the_lengths_of_what_was_computed(batch_size: int, measured: list[int]) -> None:
    made: list[Noting] = []

    def execute(*given: Any) -> Noting:
        made.append(Noting(*given))
        return made[0]

    # clipping changes what is done with a gradient and not what it was
    config = TrainingConfig.model_validate({"epochs": 1, "batch_size": batch_size, "clip": {"norm": 1e-3}})
    (report,) = (report for report in run(config, execute=execute) if report.norms is not None)
    assert list(report.norms) == ["conv2d_1", "batch_norm_1", "dense_1"]
    for node, norms in report.norms.items():
        lengths = [length(made[0].found[step], node) for step in measured]
        assert norms.gradient == pytest.approx(np.mean(lengths), rel=1e-5)
        assert norms.largest_gradient == pytest.approx(max(lengths), rel=1e-5)
        trained = {
            name: array for name, array in report.state.weights.items() if "running" not in name
        }  # statistics are no parameters
        assert norms.weight == pytest.approx(length(trained, node), rel=1e-5)


def test_batches_of_one_step_are_one_gradient() -> None:
    (whole,) = norms_of(TrainingConfig(epochs=1, batch_size=70))
    layers = [{"type": "flatten"}, {"type": "dense", "units": 3}]
    found = []
    for batch_size, accumulate in ((70, 1), (35, 2)):
        config = TrainingConfig(epochs=1, batch_size=batch_size, accumulate=accumulate)
        reports = train(network(layers), config, data())
        (norms,) = (report.norms for report in reports if report.norms is not None)
        found.append(norms["dense_1"].gradient)
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert len(whole) == 3


def test_frozen_nodes_have_none() -> None:
    (norms,) = norms_of(TrainingConfig(epochs=1, freeze=("conv2d_*",)))
    assert list(norms) == ["batch_norm_1", "dense_1"]


def test_norms_after_a_stop_are_those_without_one(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=2, batch_size=16)
    undisturbed = norms_of(config)
    path = tmp_path / "checkpoint"
    reports = train(network(), config, data())
    for _ in range(3):  # in the middle of the first epoch
        report = next(reports)
    path.write_bytes(checkpoint_bytes(report.state))
    assert norms_of(config, state=read_checkpoint(path, network(), config)) == undisturbed


def test_a_checkpoint_of_an_earlier_version_goes_on_with_what_is_measured_from_there(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1, batch_size=16)
    reports = train(network(), config, data())
    for _ in range(3):
        report = next(reports)
    document = report.state.document
    report.state.document = lambda: {  # type: ignore[method-assign]
        name: value for name, value in document().items() if name != "gradients"
    }
    path = tmp_path / "checkpoint"
    path.write_bytes(checkpoint_bytes(report.state))
    state = read_checkpoint(path, network(), config)
    assert state.gradients.steps == 0
    (norms,) = norms_of(config, state=state)
    assert norms["dense_1"].gradient > 0


@pytest.mark.parametrize("size", [1e-25, 1e-12, 1.0, 1e12, 1e25])
def test_neither_small_nor_large_numbers_are_lost(size: float) -> None:
    array = np.full((3, 3), size, np.float32)
    found = node_lengths({"a/b/weight": array, "a/b/bias": array, "c/weight": array * 0})
    assert found["a/b"] == pytest.approx(math.sqrt(18) * size, rel=1e-5)
    assert found["c"] == 0


def test_what_vanishes_and_what_explodes() -> None:
    def norms(gradient: float, weight: float = 1.0) -> NodeNorms:
        return NodeNorms(gradient=gradient, largest_gradient=gradient, weight=weight)

    assert norms(0.9e-3).vanishes(longest=1.0)
    assert not norms(1.1e-3).vanishes(longest=1.0)
    assert norms(5.0).explodes(longest=0.4)
    assert not norms(5.0).explodes(longest=0.6)
    assert norms(5.0, weight=0.4).explodes(longest=1.0)


def test_ten_layers_of_sigmoid_vanish_and_of_relu_do_not() -> None:
    vanishing = {}
    for psi in ("sigmoid", "relu"):
        hidden = [{"type": "dense", "units": 16, "activation": psi}] * 10
        layers = [{"type": "flatten"}, *hidden, {"type": "dense", "units": 3}]
        reports = train(network(layers), TrainingConfig(epochs=1), data())
        (norms,) = (report.norms for report in reports if report.norms is not None)
        longest = max(found.gradient for found in norms.values())
        vanishing[psi] = [name for name, found in norms.items() if found.vanishes(longest)]
    assert vanishing["relu"] == []
    assert vanishing["sigmoid"][:3] == ["dense_1", "dense_2", "dense_3"]
    assert "dense_10" not in vanishing["sigmoid"]
