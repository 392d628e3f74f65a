"""What is timed on our side: training steps, inference, single layers and epochs, as jobs and requests do them."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pictures import Pictures
from engine.arrays import Array
from engine.fast.kernels.fold import fold
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning
from engine.fast.layout.places import close
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.shares import execution
from engine.fast.plan import Plan, lay_out
from engine.fast.serving.cut import cut
from engine.fast.serving.halves import Halves
from engine.fast.serving.pool import PlanPool
from engine.fast.steps.base import Current, Task
from engine.fast.steps.convolution import ConvolutionStep
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.batch import Batch
from engine.inputs.feed import Feed, TrainingData
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.presets import find
from engine.recipe.config import TrainingConfig
from engine.recipe.optimizers import SGD
from engine.training.descent import Stepper
from engine.training.loop import one_hot, preparation, start, steps_per_epoch
from engine.training.state import TrainingState

SHARES = 2
MNIST: dict[str, Any] = {
    "batch_size": 64,
    "optimizer": {"type": "sgd", "learning_rate": 0.02},
    "augmentations": [{"type": "random_crop", "padding": 2}, {"type": "rotation", "degrees": 10}],
}
"""The epoch that is timed against a DataLoader doing the same."""


def network(preset: str, size: int | None = None) -> Network:
    """Build a preset for ten classes, on request for square pictures of another size."""
    found = find(preset)
    if found is None:
        raise ValueError(f"there is no preset {preset!r}")
    shape = None if size is None else (size, size, 3)
    return Network.build(found.architecture(shape, classes=10))


def stack(size: int, channels: int, depth: int) -> Network:
    """Build so many 3x3 convolutions in a row, for scaling."""
    layers: list[dict[str, Any]] = [
        {"type": "conv2d", "filters": channels, "padding": "same", "activation": "relu"} for _ in range(depth)
    ]
    layers += [{"type": "global_average_pool2d"}, {"type": "dense", "units": 10}]
    return Network.build(Architecture.model_validate({"input_shape": [size, size, 3], "layers": layers}))


def training_step(
    batch: int, preset: str = "", size: int | None = None, grid: tuple[int, int, int] | None = None
) -> Callable[[], None]:
    """Return a step of stochastic gradient descent with momentum, from a batch of bytes to changed weights."""
    built = network(preset, size) if grid is None else stack(*grid)
    config = TrainingConfig(batch_size=batch, optimizer=SGD())
    weights = built.initial_weights(0)
    slots = {
        name: {"velocity": np.zeros_like(weights[name])}
        for name, spec in built.weight_specs.items()
        if spec.trainable
    }
    draw = np.random.default_rng(0)
    identity = Preprocessing(mean=(0.0,) * built.input_shape[2], deviation=(1.0,) * built.input_shape[2])
    state = TrainingState(weights, slots, identity)
    # turning bytes into floats is part of our step, while the other sides are given floats
    images = draw.integers(0, 256, (batch, *built.input_shape), dtype=np.uint8)
    targets = one_hot(draw.integers(0, 10, batch), 10)
    prepared = preparation(config, identity)
    shares = execution(Setup(built, config.loss, prepared, Tuning.measure(), SHARES, batch))
    stepper = Stepper(built, config, 1000, shares)

    def step() -> None:
        state.position = state.step = 0
        stepper.step(state, [Batch(images, targets, np.arange(batch), 1, one_class=True)], batch)

    return step


def inference(preset: str, batch: int, size: int | None = None) -> Callable[[], Array]:
    """Return the scores of a batch of preprocessed pictures: one on one core, many on two."""
    built = network(preset, size)
    executor = ThreadPoolExecutor(SHARES - 1)
    pool = PlanPool(built, built.initial_weights(0), Tuning.measure(), executor, SHARES)
    x = np.random.default_rng(0).standard_normal((batch, *built.input_shape)).astype(np.float32)
    return lambda: pool.scores(x)


def halves(preset: str) -> Callable[[], Array]:
    """Return the scores of a preprocessed picture, by two processes that compute half of the rows each."""
    built, weights = fold(network(preset), network(preset).initial_weights(0))
    found = cut(built)
    if found is None:
        raise ValueError(f"{preset} cannot be cut")
    both = Halves(found, weights, Tuning.measure())
    while not both.ready:
        time.sleep(0.01)
    x = np.random.default_rng(0).standard_normal((1, *built.input_shape)).astype(np.float32)
    return lambda: both.scores(x)


def layer(case: list[int], *, backward: bool) -> Callable[[], object]:
    """Return one convolution, forward or forward and backward, on one core."""
    pictures, size, channels, filters, kernel, stride, padding = case
    convolution = {
        "type": "conv2d",
        "filters": filters,
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
    }
    built = Network.build(
        Architecture.model_validate({"input_shape": [size, size, channels], "layers": [convolution]})
    )
    weights = built.initial_weights(0)
    draw = np.random.default_rng(0)
    x = draw.standard_normal((pictures, size, size, channels)).astype(np.float32)
    if not backward:
        plan = Plan(built, pictures, Tuning.measure(), training=False)
        plan.prepare(weights)
        return lambda: plan.scores(x)
    node, tuning = built.nodes[0], Tuning.measure()
    step = ConvolutionStep((node,), Task(pictures, tuning, training=True, wants_dx=True, wants_dw=True))
    arena = Arena(training=True)
    lay_out([step], arena, pictures)
    arena.fill()
    kept, _ = lay_out([step], arena, pictures)
    dy = draw.standard_normal((pictures, *built.output_shape)).astype(np.float32)
    context = Context(statistics="batch", records=True)

    current = Current(np.zeros((1, dy[0].size), np.float32), weights, context)
    calls = step.prepare(current)
    calls += step.bind((close(x),), close(kept[step.output]), current)[0]

    def run() -> object:
        for call in calls:
            call()
        return step.backward(dy, context)

    return run


def product(rows: int) -> Callable[[], Array]:
    """Return a square product of matrices: what this machine's BLAS can do on one core."""
    a = np.random.default_rng(0).standard_normal((rows, rows)).astype(np.float32)
    return lambda: a @ a


def epoch(data: str, steps: int) -> Callable[[], None]:
    """Return so many steps of an epoch of LeNet-5 on MNIST, with reading, augmentation and normalisation."""
    pictures = mnist(Path(data))
    config = TrainingConfig.model_validate(MNIST)
    sets = TrainingData(pictures, pictures, pictures, tuple("0123456789"), (28, 28, 1))
    built = network("lenet-5")
    state = start(built, config, sets)
    per_epoch = steps_per_epoch(config, len(pictures))
    prepared = preparation(config, state.preprocessing)
    shares = execution(Setup(built, config.loss, prepared, Tuning.measure(), SHARES, config.batch_size))
    stepper = Stepper(built, config, per_epoch, shares)
    feed = Feed(config, sets)
    feed.shuffle(1)

    def run() -> None:
        for _ in range(steps):
            state.position %= per_epoch - 1
            stepper.step(state, feed.batches(state.position), feed.pictures(state.position))

    return run


def mnist(directory: Path, name: str = "train") -> Pictures:
    """Read one pair of the IDX files of MNIST."""
    with gzip.open(directory / "mnist" / f"{name}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(directory / "mnist" / f"{name}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return Pictures(images, labels)


def step_memory(
    batch: int, preset: str = "", size: int | None = None, grid: tuple[int, int, int] | None = None
) -> Callable[[], int]:
    """Return what tells the bytes that training steps have taken from the system, both shares together."""
    before = resident()
    step = training_step(batch, preset, size, grid)
    for _ in range(3):
        step()
    children = [int(name) for name in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return lambda: resident() - before + sum(resident(child) for child in children)


def resident(process: int | str = "self") -> int:
    """Return the bytes of a process that are in memory."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
