"""Shares of a batch: equal to the whole batch, to the bit from run to run, and clean when one fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from engine.architecture import Architecture
from engine.execution import Pass, PlainExecution
from engine.fast.gemm import Tuning
from engine.fast.shares import SharedExecution
from engine.layers import Context
from engine.losses import SoftmaxCrossEntropy
from engine.network import Network
from engine.training import one_hot

NETWORK = Network.build(
    Architecture.model_validate(
        {
            "input_shape": [8, 8, 3],
            "layers": [
                {"type": "conv2d", "filters": 16, "padding": "same", "bias": False},
                {"type": "batch_norm", "activation": "relu"},
                {
                    "type": "residual",
                    "layers": [{"type": "conv2d", "filters": 16, "padding": "same"}, {"type": "batch_norm"}],
                },
                {"type": "max_pool2d"},
                {"type": "flatten"},
                {"type": "dropout", "rate": 0.3},
                {"type": "dense", "units": 5},
            ],
        }
    )
)
LOSS = SoftmaxCrossEntropy()


@pytest.fixture
def executions() -> Iterator[Any]:
    made: list[SharedExecution] = []

    def make(shares: int) -> SharedExecution:
        made.append(SharedExecution(NETWORK, LOSS, Tuning(), shares))
        return made[-1]

    yield make
    for execution in made:
        execution.close()


def run(execution: Any, pictures: int = 10, dtype: type = np.float32) -> Pass:
    weights = {name: weight.astype(dtype) for name, weight in NETWORK.initial_weights(1).items()}
    draw = np.random.default_rng(0)
    x = draw.standard_normal((pictures, 8, 8, 3)).astype(dtype)
    targets = one_hot(draw.integers(0, 5, pictures), 5).astype(dtype)
    return execution.train(weights, x, targets, 20, Context(training=True, seed=4, step=3, first_sample=7))


@pytest.mark.parametrize("pictures", [1, 2, 7, 10])
@pytest.mark.parametrize("shares", [1, 2, 3])
def test_shares_give_what_the_whole_batch_gives(executions: Any, shares: int, pictures: int) -> None:
    found, wanted = (
        run(executions(shares), pictures),
        run(PlainExecution(NETWORK, LOSS), pictures, np.float64),
    )
    for what in ("scores", "losses"):
        np.testing.assert_allclose(getattr(found, what), getattr(wanted, what), rtol=1e-4, atol=1e-4)
    for what in ("gradients", "updates"):
        ours, theirs = getattr(found, what), getattr(wanted, what)
        assert set(ours) == set(theirs)
        for name, value in ours.items():
            np.testing.assert_allclose(value, theirs[name], rtol=1e-3, atol=2e-5, err_msg=name)


def test_the_same_shares_give_the_same_bytes(executions: Any) -> None:
    first, second = run(executions(2)), run(executions(2))
    for name, gradient in first.gradients.items():
        assert gradient.tobytes() == second.gradients[name].tobytes()


def test_inference_in_shares(executions: Any) -> None:
    weights = NETWORK.initial_weights(1)
    x = np.random.default_rng(0).standard_normal((9, 8, 8, 3)).astype(np.float32)
    expected = PlainExecution(NETWORK, LOSS).scores(weights, x)
    np.testing.assert_allclose(executions(2).scores(weights, x), expected, rtol=1e-4, atol=1e-5)


def test_a_share_that_fails_takes_the_step_down_and_the_next_step_works(executions: Any) -> None:
    execution = executions(2)
    weights = NETWORK.initial_weights(1)
    x = np.zeros((4, 8, 8, 3), np.float32)
    short = np.zeros((2, 5), np.float32)  # the second share lacks its targets
    with pytest.raises(ValueError, match=r"shape|operand|dimension"):
        execution.train(weights, x, short, 4, Context(training=True))
    assert np.isfinite(run(execution).losses).all()


def test_what_changes_bits_is_pinned(executions: Any) -> None:
    assert executions(2).pins == {"shares": "2", "tuning": Tuning().model_dump_json()}
