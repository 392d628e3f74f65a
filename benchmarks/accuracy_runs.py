"""One training run on each side: ours, and PyTorch's from the same weights on the same arrays."""

from __future__ import annotations

import gzip
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks import torch_layers
from benchmarks.pictures import Pictures
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.shares import execution
from engine.graph.network import Network
from engine.inputs.feed import Feed, TrainingData
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.recipe.config import TrainingConfig
from engine.recipe.optimizers import SGD
from engine.recipe.schedules import Moment
from engine.training.loop import check_fit, evaluated_at_once, preparation, start, steps_per_epoch, train

EVALUATION_BATCH = 250


@dataclass
class Run:
    """What a run left behind."""

    losses: list[float] = field(default_factory=list)
    """Mean loss of each step's batch, before the step."""
    accuracies: list[float] = field(default_factory=list)
    """On the test pictures, after each epoch."""
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return it JSON-ready, with no more digits than mean something."""
        return {**asdict(self), "losses": [float(f"{loss:.7g}") for loss in self.losses]}


def mnist(directory: Path) -> TrainingData:
    """Read the four IDX files of MNIST; nothing is selected on the test pictures, they only show the way."""
    sets = []
    for name in ("train", "t10k"):
        with gzip.open(directory / f"{name}-images-idx3-ubyte.gz") as file:
            images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
        with gzip.open(directory / f"{name}-labels-idx1-ubyte.gz") as file:
            labels = np.frombuffer(file.read(), np.uint8, offset=8)
        sets.append(Pictures(images, labels))
    return TrainingData(sets[0], sets[1], sets[1], tuple("0123456789"), (28, 28, 1))


def cifar(file: Path) -> TrainingData:
    """Read a part of CIFAR-10."""
    with np.load(file) as arrays:
        sets = [Pictures(arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")]
    classes = tuple(str(number) for number in range(10))
    return TrainingData(sets[0], sets[1], sets[1], classes, (32, 32, 3))


def first(data: TrainingData, pictures: int) -> TrainingData:
    """Return a data set with the first so many pictures of each split, for trying things out."""
    sets = [Pictures(*part.read(np.arange(min(pictures, len(part))))) for part in (data.train, data.test)]
    return TrainingData(sets[0], sets[1], sets[1], data.classes, data.image_shape)


def ours(network: Network, config: TrainingConfig, data: TrainingData) -> Run:
    """Train with the engine, as a job does: by plans, in a share of the batch for each core."""
    run, seen, total = Run(), 0, 0.0
    trained = check_fit(network, config, data.image_shape, len(data.classes))
    most = max(config.batch_size, evaluated_at_once(trained.input_shape))
    made = []

    def execute(*given: Any) -> Any:
        made.append(execution(Setup(*given, Tuning.measure(), torch.get_num_threads(), most)))
        return made[0]

    for report in train(network, config, data, execute=execute):
        if report.kind == "step":
            tally = report.state.tally
            run.losses.append((tally.loss - total) / (tally.images - seen))
            seen, total = tally.images, tally.loss
        if report.metrics is not None:
            run.accuracies.append(report.metrics.dev_accuracy or 0.0)
            run.seconds += report.metrics.seconds
            seen, total = 0, 0.0
    made[0].close()
    return run


def theirs(network: Network, config: TrainingConfig, data: TrainingData) -> Run:
    """Train with PyTorch: its layers, its loss and its SGD."""
    optimizer = config.optimizer
    if not isinstance(optimizer, SGD):
        raise TypeError("the comparison is written for SGD")
    network = check_fit(network, config, data.image_shape, len(data.classes))
    state = start(network, config, data)
    weights = {name: torch.from_numpy(weight) for name, weight in state.weights.items()}
    groups: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    for name, spec in network.weight_specs.items():
        if spec.trainable:
            groups[spec.decays].append(weights[name].requires_grad_())
    descent = torch.optim.SGD(
        [
            {"params": groups[True], "weight_decay": optimizer.weight_decay},
            {"params": groups[False], "weight_decay": 0.0},
        ],
        lr=optimizer.learning_rate,
        momentum=optimizer.momentum,
        nesterov=optimizer.nesterov,
    )
    per_epoch = steps_per_epoch(config, len(data.train))
    feed, run, step = Feed(config, data), Run(), 0
    prepared = preparation(config, state.preprocessing)
    for epoch in range(1, config.epochs + 1):
        since = time.perf_counter()
        feed.shuffle(epoch)
        for position in range(per_epoch):
            rate = optimizer.learning_rate * config.schedule.factor(
                Moment(step, per_epoch * config.epochs, per_epoch)
            )
            for group in descent.param_groups:
                group["lr"] = rate
            (batch,) = feed.batches(position)
            images, targets = prepared.training(batch)
            x = torch.from_numpy(images)
            context = Context(statistics="batch", records=True, seed=config.seed, step=step)
            loss = functional.cross_entropy(
                torch_layers.run(network, weights, x, context), torch.from_numpy(targets)
            )
            descent.zero_grad(set_to_none=True)
            loss.backward()
            descent.step()
            for name, value in context.updates.items():
                weights[name].copy_(torch.from_numpy(value))
            run.losses.append(float(loss.detach()))
            step += 1
        run.accuracies.append(accuracy(network, weights, state.preprocessing, data))
        run.seconds += time.perf_counter() - since
    return run


@torch.no_grad()
def accuracy(
    network: Network, weights: dict[str, torch.Tensor], preprocessing: Preprocessing, data: TrainingData
) -> float:
    """Return PyTorch's share of right answers on the test pictures."""
    right = 0
    for begin in range(0, len(data.test), EVALUATION_BATCH):
        images, labels = data.test.read(np.arange(begin, min(begin + EVALUATION_BATCH, len(data.test))))
        x = torch.from_numpy(preprocessing.apply(images))
        scores = torch_layers.run(network, weights, x, Context())
        right += int((scores.numpy().argmax(axis=1) == labels).sum())
    return right / len(data.test)
