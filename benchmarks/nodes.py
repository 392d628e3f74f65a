"""`python -m benchmarks.nodes resnet-20`: what the exchange between the nodes of a training job takes of a step.

The nodes are processes of this machine that talk as those of a job do. Rounds of steps on them alternate with rounds of
the same steps in as many shares of one process, which meet in memory; the fastest round of each counts. What the first
node spends in its connections is timed as well: that includes waiting for the slower node. From compute, bytes and
waits follows what a step would take over other lines, and from which network on nodes pay.
"""

from __future__ import annotations

import argparse
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read by NumPy when it loads

import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.machine import processor
from benchmarks.pictures import Pictures
from benchmarks.sides import network as network_of
from engine.execution.protocol import Execution
from engine.fast.layout.gemm import Tuning
from engine.fast.nodes.channel import Channel
from engine.fast.nodes.gate import Gate, join
from engine.fast.nodes.leader import NodesExecution
from engine.fast.nodes.member import serve
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.shares import execution
from engine.graph.network import Network
from engine.inputs.feed import Feed, TrainingData
from engine.recipe.config import TrainingConfig
from engine.recipe.optimizers import SGD
from engine.training.descent import Stepper
from engine.training.loop import check_fit, first_state, preparation, train_statistics

PATIENCE = 120.0
LINES = (
    ("1 Gbit/s, 0.2 ms", 125e6, 2e-4),
    ("10 Gbit/s, 0.1 ms", 1.25e9, 1e-4),
    ("100 Gbit/s, 0.02 ms", 1.25e10, 2e-5),
)
NODES = (2, 4)


class Timed:
    """A channel that adds up how long it is used, how much goes through it, and how often it is waited for."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        self.seconds, self.bytes, self.waits = 0.0, 0, 0

    def send(self, document: dict[str, Any]) -> None:
        """Send a document."""
        self._during(self._channel.send, document)

    def send_array(self, array: np.ndarray) -> None:
        """Send an array."""
        self.bytes += array.nbytes
        self._during(self._channel.send_array, array)

    def receive(self) -> dict[str, Any]:
        """Wait for a document."""
        return self._channel.receive()

    def receive_array(self, room: np.ndarray) -> None:
        """Wait for an array."""
        self.bytes += room.nbytes
        self.waits += 1
        self._during(self._channel.receive_array, room)

    def close(self) -> None:
        """End it."""
        self._channel.close()

    def _during(self, call: Callable[[Any], None], value: Any) -> None:
        began = time.perf_counter()
        call(value)
        self.seconds += time.perf_counter() - began


@dataclass(frozen=True)
class Case:
    """What is trained."""

    network: Network
    data: TrainingData
    config: TrainingConfig

    @classmethod
    def of(cls, preset: str, batch: int, steps: int) -> Case:
        """Return a preset on pictures of nothing, as many as so many steps take."""
        network = network_of(preset)
        classes = network.output_shape[0]
        data = Pictures.noise(batch * steps, network.input_shape, classes)
        names = tuple(map(str, range(classes)))
        config = TrainingConfig(epochs=1, batch_size=batch, optimizer=SGD(learning_rate=0.01))
        return cls(network, TrainingData(data, data, data, names, network.input_shape), config)


def main() -> None:
    """Print what was found, as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__)
    parser.add_argument("preset")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--join", nargs=2, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    case = Case.of(given.preset, given.batch, given.steps)
    if given.join:
        number, port = given.join
        serve(join("127.0.0.1", port, bytes.fromhex(sys.stdin.readline()), number, PATIENCE), case.data)
        return
    compare(given, case)


def compare(given: argparse.Namespace, case: Case) -> None:
    """Time both ways, round by round."""
    trained = check_fit(case.network, case.config, case.data.image_shape, len(case.data.classes))
    preprocessing = train_statistics(case.data.train, case.data.image_shape[2])
    prepared = preparation(case.config, preprocessing)
    channels, processes = gathered(given)
    common = (trained, case.config.loss, prepared, Tuning.measure())
    alone = execution(Setup(*common, 1, given.batch))
    one = execution(Setup(*common, given.nodes, given.batch))
    several = NodesExecution(Setup(*common, 1, given.batch), channels)  # type: ignore[arg-type]
    seconds: dict[str, list[float]] = {"alone": [], "one": [], "several": []}
    exchange = []
    for _ in range(given.rounds):
        for name, way in (("alone", alone), ("one", one), ("several", several)):
            for channel in channels:
                channel.forget()
            seconds[name].append(steps(case, trained, preprocessing, way))
        exchange.append(sum(channel.seconds for channel in channels) / given.steps)
    moved = sum(channel.bytes for channel in channels) / given.steps
    waits = sum(channel.waits for channel in channels) / given.steps / len(channels)
    for way in (alone, one, several):
        way.close()
    for channel in channels:
        channel.close()
    for process in processes:
        process.wait()
    fastest = {name: min(times) for name, times in seconds.items()}
    best = int(np.argmin(seconds["several"]))
    print(f"{processor()}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(
        f"{given.preset}, batches of {given.batch}, {given.nodes} nodes with a share each, milliseconds a step\n"
    )
    print("| what | ms |\n|---|---|")
    print(f"| one share alone | {1e3 * fastest['alone']:.1f} |")
    print(f"| {given.nodes} shares of one machine | {1e3 * fastest['one']:.1f} |")
    print(f"| {given.nodes} nodes | {1e3 * fastest['several']:.1f} |")
    print(f"| of that in connections of the first node | {1e3 * exchange[best]:.1f} |")
    print(
        f"\n{100 * exchange[best] / fastest['several']:.0f} % of the step; {moved / 1e6:.2f} MB and ", end=""
    )
    print(f"{waits:.0f} waits a step for each other node\n")
    predict(fastest["alone"], moved / len(channels), waits)


def gathered(given: argparse.Namespace) -> tuple[list[Timed], list[subprocess.Popen[str]]]:
    """Start the other nodes, and wait until they are there."""
    token = secrets.token_bytes(32)
    gate = Gate("127.0.0.1", token, given.nodes, PATIENCE)
    processes = []
    about = [given.preset, "--batch", str(given.batch), "--steps", str(given.steps)]
    for number in range(1, given.nodes):
        words = [sys.executable, "-m", "benchmarks.nodes", *about, "--join", str(number), str(gate.port)]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            words, stdin=subprocess.PIPE, text=True
        )
        print(token.hex(), file=process.stdin, flush=True)
        processes.append(process)
    gate.look(PATIENCE)
    gate.close()
    if gate.missing:
        raise SystemExit("not all nodes have come")
    return [Timed(channel) for channel in gate.channels], processes


def steps(case: Case, trained: Network, preprocessing: Any, way: Execution) -> float:
    """Return the seconds of a step, the first one left out: it makes the plans."""
    state = first_state(case.network, case.config, preprocessing)
    feed = Feed(case.config, case.data)
    feed.shuffle(1)
    per_epoch = len(case.data.train) // case.config.batch_size
    stepper = Stepper(trained, case.config, per_epoch, way)
    stepper.step(state, feed.batches(0, way.reads), case.config.batch_size)
    began = time.perf_counter()
    for position in range(1, per_epoch):
        stepper.step(state, feed.batches(position, way.reads), case.config.batch_size)
    return (time.perf_counter() - began) / max(1, per_epoch - 1)


def predict(compute: float, moved: float, waits: float) -> None:
    """Print what a step would take on nodes of one core over other lines: compute shared out, and what is moved."""
    print("| line | " + " | ".join(f"{nodes} nodes, ms | times one" for nodes in NODES) + " |")
    print("|---|" + "---|---|" * len(NODES))
    for name, rate, latency in LINES:
        cells = []
        for nodes in NODES:
            # all that goes to and from the others passes the line of the first one
            step = compute / nodes + (nodes - 1) * moved / rate + waits * 2 * latency
            cells.append(f"{1e3 * step:.1f} | {compute / step:.2f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
