"""Shares of a batch: equal to the whole batch, to the bit from run to run, and clean when one fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.augmentations.colour import Contrast
from engine.augmentations.geometry import Rotation
from engine.augmentations.mixing import Mixup
from engine.augmentations.noise import GaussianNoise
from engine.execution.protocol import Pass, PlainExecution
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.parts import ShareLost
from engine.fast.parallel.processes import ProcessExecution
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.threads import ThreadExecution
from engine.fast.plan import REVISION
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.batch import Batch
from engine.inputs.preparation import Preparation
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.recipe.losses import SoftmaxCrossEntropy
from engine.training.loop import one_hot
from tests.processes import is_running, running

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
PREPARATION = Preparation(
    augmentations=(Rotation(degrees=20), Contrast(strength=0.5), GaussianNoise(deviation=0.02), Mixup()),
    seed=9,
    preprocessing=Preprocessing(mean=(0.5,) * 3, deviation=(0.3,) * 3),
)


KINDS = ("threads", "processes")


def setup(shares: int) -> Setup:
    return Setup(NETWORK, LOSS, PREPARATION, Tuning(), shares, 10)


@pytest.fixture(scope="module")
def executions() -> Iterator[Any]:
    made: dict[tuple[str, int], Any] = {}
    for kind, shares in product(KINDS, (1, 2, 3)):
        if kind == "threads":
            made[kind, shares] = ThreadExecution(setup(shares))
        else:
            made[kind, shares] = ProcessExecution(setup(shares))
    yield made
    for execution in made.values():
        execution.close()


@pytest.fixture
def processes() -> Iterator[ProcessExecution]:
    execution = ProcessExecution(setup(3))
    yield execution
    execution.close()


def run(execution: Any, pictures: int = 10, dtype: type = np.float32) -> Pass:
    weights = {name: weight.astype(dtype) for name, weight in NETWORK.initial_weights(1).items()}
    return execution.train(
        weights,
        batch(pictures),
        20,
        Context(statistics="batch", records=True, seed=4, step=3, first_sample=7),
    )


def batch(pictures: int, classes: int = 5) -> Batch:
    """Return pictures of which each is mixed with the next."""
    draw = np.random.default_rng(0)
    return Batch(
        images=draw.integers(0, 256, (pictures + 1, 8, 8, 3), np.uint8),
        targets=one_hot(draw.integers(0, classes, pictures + 1), classes),
        samples=draw.permutation(100)[: pictures + 1],
        epoch=2,
        one_class=True,
        partners=1,
    )


@pytest.mark.parametrize("pictures", [1, 2, 7, 10])
@pytest.mark.parametrize("shares", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_shares_give_what_the_whole_batch_gives(
    executions: Any, kind: str, shares: int, pictures: int
) -> None:
    found, wanted = (
        run(executions[kind, shares], pictures),
        run(PlainExecution(NETWORK, LOSS, PREPARATION), pictures, np.float64),
    )
    for what in ("scores", "losses", "targets"):
        np.testing.assert_allclose(getattr(found, what), getattr(wanted, what), rtol=1e-4, atol=1e-4)
    for what in ("gradients", "updates"):
        ours, theirs = getattr(found, what), getattr(wanted, what)
        assert set(ours) == set(theirs)
        for name, value in ours.items():
            np.testing.assert_allclose(value, theirs[name], rtol=1e-3, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("pictures", [2, 9])
@pytest.mark.parametrize("shares", [2, 3])
def test_processes_give_the_bytes_of_threads_every_time(executions: Any, shares: int, pictures: int) -> None:
    passes = [
        {
            name: gradient.tobytes()
            for name, gradient in run(executions[kind, shares], pictures).gradients.items()
        }
        for kind in (*KINDS, *KINDS)
    ]
    assert all(one == passes[0] for one in passes)


@pytest.mark.parametrize("kind", KINDS)
def test_inference_in_shares(executions: Any, kind: str) -> None:
    weights = NETWORK.initial_weights(1)
    x = batch(8).images
    expected = PlainExecution(NETWORK, LOSS, PREPARATION).scores(weights, x)
    np.testing.assert_allclose(executions[kind, 2].scores(weights, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_that_fails_takes_the_step_down_and_the_next_step_works(executions: Any, kind: str) -> None:
    execution = executions[kind, 2]
    weights = NETWORK.initial_weights(1)
    with pytest.raises(ValueError, match=r"shape|operand|dimension|broadcast"):
        execution.train(weights, batch(4, classes=2), 4, Context(statistics="batch", records=True))
    assert np.isfinite(run(execution).losses).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_changes_bits_is_pinned(executions: Any, kind: str) -> None:
    # word for word what runs pinned before machines had figures: they go on
    expected = {"shares": "2", "tuning": '{"gemm_edge":0,"tile_bytes":524288}', "plan": str(REVISION)}
    assert executions[kind, 2].pins == expected


def test_a_batch_beyond_what_was_announced_is_refused(executions: Any) -> None:
    with pytest.raises(ValueError, match="11 pictures"):
        run(executions["processes", 2], 11)


def members(of: int) -> list[int]:
    """Return the processes that a process has started as shares."""
    return [
        process.pid
        for process in running()
        if process.parent == of and "engine.fast.parallel.member" in process.command
    ]


def test_a_process_that_dies_takes_the_step_down_and_the_others_with_it(processes: ProcessExecution) -> None:
    run(processes)
    mine = {member.pid for member in processes.members}
    victim = max(mine)
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(ShareLost):
        run(processes)
    processes.close()
    assert not mine & set(members(os.getpid()))


def test_processes_end_with_the_one_that_started_them(
    tmp_path: Path, begin: Callable[..., subprocess.Popen[bytes]]
) -> None:
    script = tmp_path / "holder.py"
    script.write_text(
        "import time\n"
        "from engine.graph.architecture import Architecture\n"
        "from engine.fast.layout.gemm import Tuning\n"
        "from engine.fast.parallel.processes import ProcessExecution\n"
        "from engine.fast.parallel.setup import Setup\n"
        "from engine.recipe.losses import SoftmaxCrossEntropy\n"
        "from engine.graph.network import Network\n"
        "from engine.inputs.preparation import Preparation\n"
        "from engine.inputs.preprocessing import Preprocessing\n"
        "layers = [{'type': 'flatten'}, {'type': 'dense', 'units': 2}]\n"
        "network = Network.build(Architecture.model_validate({'input_shape': [2, 2, 1], 'layers': layers}))\n"
        "preparation = Preparation(preprocessing=Preprocessing(mean=(0.5,), deviation=(0.5,)))\n"
        "setup = Setup(network, SoftmaxCrossEntropy(), preparation, Tuning(), 2, 4)\n"
        "execution = ProcessExecution(setup)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    holder = begin([sys.executable, str(script)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    (member,) = members(holder.pid)
    holder.kill()
    deadline = time.monotonic() + 60
    while is_running(member):
        assert time.monotonic() < deadline
        time.sleep(0.05)
