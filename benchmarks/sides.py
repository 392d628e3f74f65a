"""What is timed on our side: training steps and inference of presets, as jobs and requests do them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.arrays import Array
from engine.config import TrainingConfig
from engine.descent import Batch, Stepper
from engine.fast.gemm import Tuning
from engine.fast.serving import PlanPool
from engine.fast.shares import execution
from engine.network import Network
from engine.optimizers import SGD
from engine.preprocessing import Preprocessing
from engine.presets import find
from engine.state import TrainingState
from engine.training import one_hot


def network(preset: str) -> Network:
    """Build a preset for ten classes."""
    found = find(preset)
    if found is None:
        raise ValueError(f"there is no preset {preset!r}")
    return Network.build(found.architecture(classes=10))


def training_step(preset: str, batch: int, shares: int) -> Callable[[], None]:
    """Return a step of stochastic gradient descent with momentum, from bytes to changed weights."""
    built = network(preset)
    config = TrainingConfig(batch_size=batch, optimizer=SGD())
    weights = built.initial_weights(0)
    slots = {
        name: {"velocity": np.zeros_like(weights[name])}
        for name, spec in built.weight_specs.items()
        if spec.trainable
    }
    channels = built.input_shape[2]
    state = TrainingState(weights, slots, Preprocessing(mean=(0.5,) * channels, deviation=(0.25,) * channels))
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (batch, *built.input_shape), dtype=np.uint8)
    targets = one_hot(draw.integers(0, 10, batch), 10)
    stepper = Stepper(built, config, 1000, execution(built, config.loss, Tuning.measure(), shares, batch))

    def step() -> None:
        state.position = state.step = 0
        stepper.step(state, [Batch(images, targets, True, 0)], batch)

    return step


def inference(preset: str, batch: int) -> Callable[[], Array]:
    """Return the scores of a batch of preprocessed pictures."""
    built = network(preset)
    pool = PlanPool(built, built.initial_weights(0), Tuning.measure())
    x = np.random.default_rng(0).standard_normal((batch, *built.input_shape)).astype(np.float32)
    return lambda: pool.scores(x)
