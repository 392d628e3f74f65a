"""Runs in stages: the head first, then more of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.recipe.config import EarlyStopping
from engine.recipe.optimizers import Adam
from engine.recipe.schedules import Cosine
from engine.training.checkpoint import checkpoint_bytes, read_checkpoint, read_stage
from engine.training.loop import TrainingConfig, next_stage, start, train
from engine.training.state import Stage, TrainingState
from tests.engine.stripes import LAYERS, data, network, same_bytes

FIRST = TrainingConfig(
    epochs=3,
    batch_size=32,
    seed=2,
    optimizer=Adam(learning_rate=0.01),
    schedule=Cosine(),
    freeze=("conv2d_*", "batch_norm_*"),
)
SECOND = FIRST.model_copy(update={"epochs": 6, "freeze": ()})


def first_stage() -> TrainingState:
    state = start(network(), FIRST, data())
    list(train(network(), FIRST, data(), state))
    return state


def both() -> TrainingState:
    state = next_stage(network(), FIRST, SECOND, first_stage())
    list(train(network(), SECOND, data(), state))
    return state


def test_each_stage_has_a_schedule_of_its_own() -> None:
    before = first_stage()
    state = next_stage(network(), FIRST, SECOND, before)
    assert state.stage == Stage(1, 3, before.step)
    assert set(before.slots) == {"dense_1/weight", "dense_1/bias"} < set(state.slots)
    best = before.best_weights or {}
    for name, weight in state.weights.items():
        np.testing.assert_array_equal(weight, best[name])
        assert weight is not best[name]
    list(train(network(), SECOND, data(), state))
    assert [metrics.epoch for metrics in state.history] == [1, 2, 3, 4, 5, 6]
    rates = [metrics.learning_rate for metrics in state.history]
    assert rates[:3] == pytest.approx(rates[3:])
    best_loss = min(metrics.dev_loss for metrics in state.history if metrics.dev_loss is not None)
    assert state.history[state.best_epoch - 1].dev_loss == best_loss


def test_the_optimizer_begins_anew() -> None:
    """The first step of a stage is that of a new run from the same weights, but for the order of a sum."""
    layers = [layer for layer in LAYERS if layer["type"] != "dropout"]
    layers[0] = {**layers[0], "bias": False}  # before batch norm its gradient is rounding alone
    whole = {"batch_size": 70}
    first, second = FIRST.model_copy(update=whole), SECOND.model_copy(update=whole)
    state = start(network(layers), first, data())
    list(train(network(layers), first, data(), state))
    state = next_stage(network(layers), first, second, state)
    new = start(network(layers), FIRST, data())
    fresh = TrainingState(
        {name: weight.copy() for name, weight in state.weights.items()}, {}, new.preprocessing
    )
    fresh.slots = {name: second.optimizer.first_slots(weight) for name, weight in fresh.weights.items()}
    fresh.slots = {name: slots for name, slots in fresh.slots.items() if "running" not in name}
    next(train(network(layers), second, data(), state))
    next(train(network(layers), second.model_copy(update={"epochs": 3}), data(), fresh))
    for name, weight in fresh.weights.items():
        np.testing.assert_allclose(state.weights[name], weight, rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("steps", [2, 22])
def test_either_stage_goes_on_from_a_checkpoint(tmp_path: Path, steps: int) -> None:
    undisturbed = both()
    state = start(network(), FIRST, data())
    path = tmp_path / "checkpoint.safetensors"
    reports = 0
    for config in (FIRST, SECOND):
        if config is SECOND:
            state = next_stage(network(), FIRST, SECOND, state)
        for _ in train(network(), config, data(), state):
            reports += 1
            if reports == steps:
                path.write_bytes(checkpoint_bytes(state))
    number = read_stage(path)
    again = read_checkpoint(path, network(), (FIRST, SECOND)[number])
    assert again.stage.number == number == (0 if steps == 2 else 1)
    list(train(network(), (FIRST, SECOND)[number], data(), again))
    if not number:
        again = next_stage(network(), FIRST, SECOND, again)
        list(train(network(), SECOND, data(), again))
    assert same_bytes(again, undisturbed)


def test_patience_begins_anew() -> None:
    """A stage that never becomes better than the one before still has as many epochs as it is granted."""
    stopping = {"early_stopping": EarlyStopping(patience=2, min_delta=1000.0)}
    first, second = FIRST.model_copy(update=stopping), SECOND.model_copy(update=stopping)
    state = start(network(), first, data())
    list(train(network(), first, data(), state))
    assert state.epoch == 3
    state = next_stage(network(), first, second, state)
    list(train(network(), second, data(), state))
    assert state.epoch == 6
