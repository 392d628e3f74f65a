"""The training loop: it learns, it can be stopped anywhere, and going on changes no byte."""

from __future__ import annotations

import json
import math
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.augmentations import AUGMENTATIONS
from engine.errors import ModelFileError, NonFiniteError, ShapeError
from engine.execution.protocol import PlainExecution
from engine.recipe.losses import LOSSES
from engine.recipe.optimizers import OPTIMIZERS, SGD, Adam
from engine.recipe.schedules import SCHEDULES, Cosine
from engine.training.checkpoint import checkpoint_bytes, read_checkpoint
from engine.training.loop import (
    TrainingConfig,
    check_fit,
    evaluate,
    kept_weights,
    one_hot,
    preparation,
    train,
)
from engine.training.state import Tally
from tests.engine.stripes import (
    LAYERS,
    InShares,
    arrays,
    data,
    in_two_processes,
    in_two_threads,
    network,
    run,
    same_bytes,
)


def test_it_learns() -> None:
    config = TrainingConfig(epochs=8, batch_size=16, optimizer=Adam(learning_rate=0.01), schedule=Cosine())
    reports = run(config)
    assert [report.metrics.epoch for report in reports if report.metrics] == list(range(1, 9))
    state = reports[-1].state
    assert (state.step, state.epoch) == (8 * math.ceil(70 / 16), 8)
    tally = Tally()
    prepared = preparation(config, state.preprocessing)
    execution = PlainExecution(network().without_final("softmax"), config.loss, prepared)
    for _ in evaluate(execution, state.weights, config.loss, data().test, tally):
        pass
    assert tally.images == 30
    assert tally.accuracy > 0.9


AUGMENTED = [example for kind in AUGMENTATIONS if kind.channels is None for example in kind.examples]
RULES = [
    *({"optimizer": example} for kind in OPTIMIZERS for example in kind.examples),
    *({"schedule": example} for kind in SCHEDULES for example in kind.examples),
    *({"loss": example} for kind in LOSSES for example in kind.examples),
    {"augmentations": AUGMENTED},
    {"accumulate": 3, "clip": {"norm": 0.5, "value": 0.1}, "weight_average": {"decay": 0.9}},
    {"freeze": ["conv2d_*"]},
]


@pytest.mark.parametrize("rules", RULES, ids=json.dumps)
def test_a_run_stopped_after_any_report_goes_on_to_the_same_bytes(
    tmp_path: Path, rules: dict[str, Any]
) -> None:
    config = TrainingConfig.model_validate({"epochs": 3, "batch_size": 16, **rules})
    reports_of_all = run(config)
    undisturbed = reports_of_all[-1].state
    for stop in range(
        1, len(reports_of_all), 4
    ):  # in the middle of an epoch, between evaluation and epoch, at its end
        reports = train(network(), config, data())
        for _ in range(stop):
            report = next(reports)
        path = tmp_path / f"{stop}.safetensors"
        path.write_bytes(checkpoint_bytes(report.state))
        reports.close()
        resumed = run(config, read_checkpoint(path, network(), config))[-1].state
        assert same_bytes(resumed, undisturbed), f"stopped after report {stop}"


@pytest.mark.parametrize(
    ("execute", "stop"),
    [(in_two_threads, 2), (in_two_threads, 6), (in_two_processes, 6), (in_two_threads, 11)],
)
def test_resuming_in_shares_changes_no_byte_either(tmp_path: Path, execute: InShares, stop: int) -> None:
    config = TrainingConfig.model_validate({"epochs": 3, "batch_size": 16, "augmentations": AUGMENTED})
    with closing(execute()) as shares:
        undisturbed = run(config, execute=shares)[-1].state
    with closing(execute()) as shares:
        reports = train(network(), config, data(), execute=shares)
        for _ in range(stop):
            report = next(reports)
        path = tmp_path / "checkpoint.safetensors"
        path.write_bytes(checkpoint_bytes(report.state))
    with closing(execute()) as shares:
        resumed = run(config, read_checkpoint(path, network(), config), shares)[-1].state
    assert same_bytes(resumed, undisturbed)


def test_plans_and_shares_learn_what_the_plain_executor_learns() -> None:
    # not Adam: it blows the rounding in a gradient that should be 0 (a bias before batch norm) up to a step
    config = TrainingConfig(epochs=2, batch_size=16, optimizer=SGD(learning_rate=0.05))
    with closing(in_two_threads()) as shares:
        plain, shared = run(config)[-1].state, run(config, execute=shares)[-1].state
    for name, weight in plain.weights.items():
        np.testing.assert_allclose(shared.weights[name], weight, rtol=1e-3, atol=1e-4, err_msg=name)


def test_another_seed_is_another_run() -> None:
    assert not same_bytes(
        run(TrainingConfig(epochs=1))[-1].state, run(TrainingConfig(epochs=1, seed=1))[-1].state
    )


def test_the_last_smaller_batch_is_trained_as_it_is() -> None:
    steps = [
        report.images for report in run(TrainingConfig(epochs=1, batch_size=64)) if report.kind == "step"
    ]
    assert steps == [64, 6]


def test_best_keeps_the_epoch_with_the_lowest_dev_loss() -> None:
    config = TrainingConfig(epochs=6, batch_size=8, optimizer=SGD(learning_rate=0.2))
    losses, snapshots = [], []
    for report in train(network(), config, data()):
        if report.metrics:
            losses.append(report.metrics.dev_loss)
            snapshots.append({name: weight.copy() for name, weight in report.state.weights.items()})
    weights, epoch = kept_weights(config, report.state)
    assert epoch == int(np.argmin(losses)) + 1
    assert all((weights[name] == snapshots[epoch - 1][name]).all() for name in weights)
    last, epoch = kept_weights(config.model_copy(update={"select": "last"}), report.state)
    assert epoch == 6
    assert last is report.state.weights


def test_accuracy_is_steadied_and_ties_go_to_the_lower_loss() -> None:
    config = TrainingConfig(epochs=12, batch_size=8, optimizer=SGD(learning_rate=0.2), select="accuracy")
    reports = [report for report in train(network(), config, data()) if report.metrics]
    history = [report.metrics for report in reports if report.metrics]

    def steadied(epoch: int) -> tuple[float, float]:
        recent = history[max(0, epoch - 3) : epoch]
        accuracy = np.mean([figures.dev_accuracy for figures in recent if figures.dev_accuracy is not None])
        loss = np.mean([figures.dev_loss for figures in recent if figures.dev_loss is not None])
        return float(accuracy), -float(loss)

    _, kept = kept_weights(config, reports[-1].state)
    assert kept == max(range(1, 13), key=steadied)


def test_without_dev_pictures_the_last_epoch_is_kept() -> None:
    config = TrainingConfig(epochs=2)
    state = list(train(network(), config, data(dev_images=0)))[-1].state
    assert state.history[-1].dev_loss is None
    assert kept_weights(config, state)[1] == 2


def test_a_loss_that_is_not_finite_stops_before_the_weights_change() -> None:
    config = TrainingConfig(epochs=50, optimizer=SGD(learning_rate=1e30, momentum=0.0))
    plain = network(
        [
            {"type": "flatten"},
            {"type": "dense", "units": 9, "activation": "relu"},
            {"type": "dense", "units": 3},
        ]
    )
    state = None
    before: dict[str, np.ndarray] = {}
    with pytest.raises(NonFiniteError, match="step") as caught:  # noqa: PT012
        for report in train(plain, config, data()):
            state = report.state
            before = {name: weight.copy() for name, weight in state.weights.items()}
    assert caught.value.hint
    assert state is not None
    for name, weight in state.weights.items():
        np.testing.assert_array_equal(weight, before[name])
        assert np.isfinite(weight).all()


def test_a_state_that_is_not_finite_is_not_stored() -> None:
    state = run(TrainingConfig(epochs=1))[-1].state
    state.weights["dense_1/bias"][0] = np.nan
    with pytest.raises(NonFiniteError, match="dense_1/bias"):
        checkpoint_bytes(state)


def test_everything_stays_float32() -> None:
    state = run(TrainingConfig(epochs=1))[-1].state
    assert {array.dtype for _, array in arrays(state)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "rules", [{}, RULES[-3], {**RULES[-2], "optimizer": {"type": "rmsprop", "momentum": 0.5}}], ids=json.dumps
)
def test_steady_steps_allocate_nothing_large(rules: dict[str, Any]) -> None:
    config = TrainingConfig.model_validate({"epochs": 60, "batch_size": 35, "select": "last", **rules})
    reports = train(network(), config, data())
    for _ in range(6):
        report = next(reports)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(60):
        report = next(reports)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.state.epoch > 5
    assert after - before < 64_000
    assert peak - before < 1_000_000


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ([{"type": "flatten"}, {"type": "dense", "units": 4}], ("layers",)),
        ([{"type": "conv2d", "filters": 3}], ("layers",)),
    ],
)
def test_an_output_that_does_not_fit_the_classes_is_refused(
    layers: list[dict[str, Any]], path: tuple[str, ...]
) -> None:
    with pytest.raises(ShapeError, match="3 classes") as caught:
        check_fit(network(layers), TrainingConfig(), (8, 8, 1), 3)
    assert caught.value.path == path
    with pytest.raises(ShapeError, match="8x8x1 pictures but the data set holds 9x8x1"):
        check_fit(network(), TrainingConfig(), (9, 8, 1), 3)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(checkpoint_bytes(run(config)[-1].state))
    other = network([*LAYERS[:-1], {"type": "dense", "units": 4}])
    with pytest.raises(ModelFileError, match="dense_1"):
        read_checkpoint(path, other, config)


def test_one_hot_rows_hold_one_one() -> None:
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
