"""Our side of a head: epochs over features, as a job behind a frozen trunk takes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.features import split
from benchmarks.sides import network
from engine.execution.protocol import PlainExecution
from engine.inputs.feed import TrainingData
from engine.inputs.preprocessing import Preprocessing
from engine.recipe.config import TrainingConfig
from engine.recipe.optimizers import Adam
from engine.training.loop import first_state, train
from engine.training.trunk import UNCHANGED, FeatureSet

_EPOCHS = 100_000
_DEV = 100


def features(vectors: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers as they come out of ReLU6 and a mean, and classes."""
    rng = np.random.default_rng(0)
    return rng.random((vectors, width), np.float32), rng.integers(0, 10, vectors)


def head(vectors: int, batch: int) -> Callable[[], None]:
    """Return what takes an epoch of MobileNetV2's head, and judges a few others."""
    whole = network("mobilenet-v2", 32)
    rate = Adam(learning_rate=0.0003)
    parts, config = split(whole, TrainingConfig(batch_size=batch, epochs=_EPOCHS, optimizer=rate))
    x, y = features(vectors + _DEV, *parts.trunk.output_shape)
    sets = FeatureSet(x[:vectors], y[:vectors]), FeatureSet(x[vectors:], y[vectors:])
    classes = tuple(map(str, range(10)))
    data = TrainingData(sets[0], sets[1], sets[1], classes, x.shape[1:])
    state = parts.narrowed(first_state(whole, config, Preprocessing(mean=(0.0,) * 3, deviation=(1.0,) * 3)))
    execute = lambda trained, loss, prepared: PlainExecution(trained, loss, UNCHANGED)  # noqa: E731
    run = train(parts.rest, parts.config(config), data, state, execute)

    def epoch() -> None:
        while next(run).metrics is None:
            pass

    return epoch
