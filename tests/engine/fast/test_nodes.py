"""A run over several nodes, in real processes: the bytes of one with as many shares on one machine, whatever dies."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.augmentations.geometry import Rotation
from engine.augmentations.mixing import Mixup
from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning
from engine.fast.nodes.gate import Gate
from engine.fast.nodes.leader import NodesExecution
from engine.fast.parallel.parts import ShareLost
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.share import pins
from engine.fast.parallel.shares import execution
from engine.graph.network import Network
from engine.inputs.feed import TrainingData
from engine.inputs.preparation import Preparation
from engine.presets.lenet import LENET_5
from engine.recipe.losses import Loss
from engine.training.checkpoint import checkpoint_bytes, read_checkpoint
from engine.training.loop import Progress, TrainingConfig, train
from engine.training.state import TrainingState
from tests.engine import stripes
from tests.engine.fast.node_program import TASKS, Some
from tests.engine.stripes import same_bytes

ROOT = Path(__file__).resolve().parents[3]
TUNING = Tuning(gemm_edge=OPENBLAS_EDGE)
NETWORKS = {"stripes": stripes.network(), "digits": Network.build(LENET_5.architecture())}
CONFIGS = {
    "stripes": TrainingConfig(
        epochs=2,
        batch_size=16,
        accumulate=2,
        augmentations=(Rotation(degrees=20), Mixup()),
        weight_average={"decay": 0.9},
    ),
    "digits": TrainingConfig(epochs=2, batch_size=32),
}
PATIENCE = 60.0

RARER = [("stripes", 2, 1), ("stripes", 3, 1), ("digits", 2, 1), ("digits", 2, 2)]

Begin = Callable[..., "subprocess.Popen[Any]"]


class Nodes:
    """The other nodes of a run, and what runs its batches on them."""

    def __init__(self, processes: list[subprocess.Popen[Any]], gate: Gate, shares: int) -> None:
        self.processes, self.channels, self._shares = processes, gate.channels, shares
        self._made: list[NodesExecution] = []

    def __call__(self, network: Network, loss: Loss, preparation: Any) -> NodesExecution:
        made = NodesExecution(Setup(network, loss, preparation, TUNING, self._shares, 256), self.channels)
        self._made.append(made)
        return made

    def close(self) -> None:
        for made in self._made:
            made.close()
        for channel in self.channels:
            channel.close()


@contextmanager
def several(begin: Begin, task: str, nodes: int, shares: int, patience: float = PATIENCE) -> Iterator[Nodes]:
    """Start the other nodes of a run, and wait until they are in."""
    token = secrets.token_bytes(32)
    gate = Gate("127.0.0.1", token, nodes, patience)
    processes = []
    for number in range(1, nodes):
        program = ["-m", "tests.engine.fast.node_program", task, "127.0.0.1", str(gate.port), str(number)]
        process = begin([sys.executable, *program], stdin=subprocess.PIPE, cwd=ROOT, text=True)
        assert process.stdin is not None
        process.stdin.write(token.hex() + "\n")
        process.stdin.flush()
        processes.append(process)
    gate.look(PATIENCE)
    gate.close()
    assert not gate.missing
    found = Nodes(processes, gate, shares)
    try:
        yield found
    finally:
        found.close()


def run(
    task: str, execute: Any, state: TrainingState | None = None, data: TrainingData | None = None
) -> Iterator[Progress]:
    return train(NETWORKS[task], CONFIGS[task], data or TASKS[task](), state, execute)


def last(reports: Iterator[Progress]) -> TrainingState:
    return list(reports)[-1].state


@pytest.fixture(scope="module")
def on_one_machine() -> Iterator[Callable[[str, int], TrainingState]]:
    """The state at the end of a run in so many shares on one machine."""
    found: dict[tuple[str, int], TrainingState] = {}

    def state(task: str, shares: int) -> TrainingState:
        if (task, shares) not in found:
            made = []

            def execute(*given: Any) -> Any:
                made.append(execution(Setup(*given, TUNING, shares, 256)))
                return made[-1]

            found[task, shares] = last(run(task, execute))
            for each in made:
                each.close()
        return found[task, shares]

    return state


@pytest.mark.parametrize(
    ("task", "nodes", "shares"),
    [
        ("stripes", 2, 2),
        pytest.param("digits", 3, 1, marks=pytest.mark.slow),
        *(pytest.param(*rest, marks=pytest.mark.slow) for rest in RARER),
    ],
)
def test_nodes_give_the_bytes_of_as_many_shares_on_one_machine(
    begin: Begin, on_one_machine: Callable[[str, int], TrainingState], task: str, nodes: int, shares: int
) -> None:
    with several(begin, task, nodes, shares) as others:
        found = last(run(task, others))
        for process in others.processes:
            assert process.poll() is None
    assert same_bytes(found, on_one_machine(task, nodes * shares))
    for process in others.processes:
        assert process.wait(PATIENCE) == 0  # with the connection


def test_what_changes_bits_is_the_number_of_all_shares(begin: Begin) -> None:
    with several(begin, "stripes", 2, 2) as others:
        config = CONFIGS["stripes"]
        network = NETWORKS["stripes"].without_final(config.loss.link)
        made = others(network, config.loss, Preparation(preprocessing=None))
        assert made.pins == pins(4, TUNING)


def test_each_node_reads_its_own_part_of_the_pictures(begin: Begin) -> None:
    data = TASKS["digits"]()
    with several(begin, "digits", 3, 1) as others:
        reports = run("digits", others, data=data)
        for _ in range(3):
            next(reports)
    assert isinstance(data.train, Some)
    # those of a batch of 32 that are computed here; before that, all of them for their mean and deviation
    assert [len(places) for places in data.train.read_places[-3:]] == [10, 10, 10]


@pytest.mark.slow
def test_a_node_that_is_killed_ends_the_step_and_the_run_goes_on_from_its_checkpoint(
    begin: Begin, on_one_machine: Callable[[str, int], TrainingState], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint"
    with several(begin, "stripes", 3, 1) as others:
        reports = run("stripes", others)
        for _ in range(2):
            path.write_bytes(checkpoint_bytes(next(reports).state))
        os.kill(others.processes[1].pid, signal.SIGKILL)
        with pytest.raises(ShareLost, match="node 3 is gone"):
            list(reports)
        assert others.processes[0].wait(PATIENCE) == 0  # the other one is let go of
    state = read_checkpoint(path, NETWORKS["stripes"], CONFIGS["stripes"])
    assert state.step == 2
    with several(begin, "stripes", 3, 1) as others:
        assert same_bytes(last(run("stripes", others, state)), on_one_machine("stripes", 3))


def test_a_node_that_is_frozen_is_found_in_time(begin: Begin) -> None:
    with several(begin, "stripes", 2, 1, patience=2.0) as others:
        reports = run("stripes", others)
        next(reports)
        others.processes[0].send_signal(signal.SIGSTOP)
        with pytest.raises(ShareLost, match="node 2 gave no sign of life for 2"):
            list(reports)


def test_a_node_ends_with_the_first_one(begin: Begin) -> None:
    with several(begin, "stripes", 2, 1) as others:
        reports = run("stripes", others)
        next(reports)
        for channel in others.channels:
            channel._socket.close()  # as the system does for a process that was killed
        assert others.processes[0].wait(PATIENCE) == 0


def test_a_node_says_why_it_could_not(begin: Begin, capfd: pytest.CaptureFixture[str]) -> None:
    data = stripes.data(train_images=200)  # the other node has 70
    with several(begin, "stripes", 2, 1) as others:
        with pytest.raises(ShareLost, match="node 2 failed: IndexError"):
            list(run("stripes", others, data=data))
        assert others.processes[0].wait(PATIENCE) == 1
    assert "IndexError" in capfd.readouterr().err
