"""The learning algorithm: forward propagation, the loss, backpropagation, a descent step, again.

`train` is a generator over a `TrainingState` that is complete: it can be dropped between any two
steps, and going on from a stored state gives the same bytes as never having stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import Field

from engine import draws
from engine.arrays import Array, Bytes, Indices, Shape
from engine.errors import NonFiniteError, ShapeError
from engine.layers import Context
from engine.losses import AnyLoss, Loss, SoftmaxCrossEntropy
from engine.network import Network
from engine.optimizers import Adam, AnyOptimizer
from engine.preprocessing import ChannelStatistics, Preprocessing
from engine.schedules import AnySchedule, Constant
from engine.spec import Seed, Spec
from engine.state import EpochMetrics, Tally, TrainingState
from engine.workspace import Workspace

EVALUATION_BATCH = 250
_STATISTICS_BATCH = 1000


class TrainingConfig(Spec):
    """How a network is trained."""

    epochs: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 5
    """Passes over the training pictures."""
    batch_size: Annotated[int, Field(strict=True, ge=1, le=65_536)] = 64
    """Pictures per step; the last batch of an epoch may be smaller."""
    seed: Seed = 0
    """Decides first weights, order and every other random draw."""
    optimizer: AnyOptimizer = Adam()
    """How gradients become steps."""
    schedule: AnySchedule = Constant()
    """How the learning rate changes from step to step."""
    loss: AnyLoss = SoftmaxCrossEntropy()
    """What is minimised."""
    select: Literal["best", "last"] = "best"
    """Which epoch's weights become the model: the one with the lowest dev loss, or the last."""


class ImageSet(Protocol):
    """Labelled pictures that can be read in any order."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def read(self, indices: Indices) -> tuple[Bytes, Indices]:
        """Return pictures (n, H, W, C) as bytes and their classes (n,)."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """A data set with its three splits."""

    train: ImageSet
    dev: ImageSet
    test: ImageSet
    classes: tuple[str, ...]
    image_shape: Shape


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step, a batch of evaluation or an epoch."""

    kind: Literal["step", "evaluation", "epoch"]
    state: TrainingState
    """Live: it changes as soon as the generator goes on."""
    epoch: int
    """The epoch under way, from 1."""
    epochs: int
    step: int
    """Steps done over the whole run."""
    steps: int
    """Steps of the whole run."""
    images: int
    """Pictures seen since the report before."""
    metrics: EpochMetrics | None = None
    """With kind `epoch`."""


def check_fit(network: Network, config: TrainingConfig, data_shape: Shape, classes: int) -> Network:
    """Return the network as it is trained, without a final link that the loss brings itself.

    Raises:
        ShapeError: the pictures do not fit the input, or the output not the classes.
    """
    if tuple(data_shape) != network.input_shape:
        wanted, given = ("x".join(map(str, shape)) for shape in (network.input_shape, data_shape))
        raise ShapeError(
            f"the network takes {wanted} pictures but the data set holds {given}",
            path=("input_shape",),
            hint=f"set input_shape to {list(data_shape)}",
        )
    trained = network.without_final(config.loss.link)
    config.loss.check(trained.output_shape, classes)
    return trained


def start(network: Network, config: TrainingConfig, data: TrainingData) -> TrainingState:
    """Return the state before the first step: weights drawn, statistics of the train split taken."""
    weights = network.initial_weights(config.seed)
    slots = {
        name: {slot: np.zeros_like(weights[name]) for slot in config.optimizer.slots()}
        for name, spec in network.weight_specs.items()
        if spec.trainable
    }
    return TrainingState(weights, slots, train_statistics(data.train, data.image_shape[2]))


def train_statistics(images: ImageSet, channels: int) -> Preprocessing:
    """Return the normalisation of the training pictures; dev and test pictures have no say in it."""
    statistics = ChannelStatistics(channels)
    for first in range(0, len(images), _STATISTICS_BATCH):
        indices = np.arange(first, min(first + _STATISTICS_BATCH, len(images)))
        statistics.add(images.read(indices)[0])
    return statistics.preprocessing()


def steps_per_epoch(config: TrainingConfig, images: int) -> int:
    """Return ceil(images / batch size)."""
    return -(-images // config.batch_size)


def train(
    network: Network, config: TrainingConfig, data: TrainingData, state: TrainingState | None = None
) -> Iterator[Progress]:
    """Train, reporting after every step, every batch of evaluation and every epoch.

    Args:
        network: built from the architecture; a final link of the loss may be in it or not.
        config: how to train.
        data: pictures and classes.
        state: where to go on, changed in place; by default a new start.

    Raises:
        ShapeError: network and data do not fit.
        NonFiniteError: the loss or a gradient is NaN or infinite; `state` is that before the step.
    """
    network = check_fit(network, config, data.image_shape, len(data.classes))
    state = state or start(network, config, data)
    per_epoch = steps_per_epoch(config, len(data.train))
    total = per_epoch * config.epochs
    stepper = _Stepper(network, config, total)
    while state.epoch < config.epochs:
        epoch = state.epoch + 1
        order = draws.generator(config.seed, "order", epoch).permutation(len(data.train))
        clock = _Clock(state)
        while state.position < per_epoch:
            first = state.position * config.batch_size
            images, labels = data.train.read(order[first : first + config.batch_size])
            stepper.step(state, images, labels, len(data.classes))
            clock.lap()
            yield Progress("step", state, epoch, config.epochs, state.step, total, len(images))
            clock.skip()
        dev = Tally()
        for seen in evaluate(network, state.weights, state.preprocessing, config.loss, data.dev, dev):
            clock.lap()
            yield Progress("evaluation", state, epoch, config.epochs, state.step, total, seen)
            clock.skip()
        metrics = _end_epoch(state, dev, stepper.learning_rate(state.step - 1))
        yield Progress("epoch", state, epoch, config.epochs, state.step, total, 0, metrics)


def evaluate(
    network: Network,
    weights: dict[str, Array],
    preprocessing: Preprocessing,
    loss: Loss,
    images: ImageSet,
    tally: Tally,
) -> Iterator[int]:
    """Add the loss and the right answers on a set of pictures to `tally`, yielding after each batch."""
    network = network.without_final(loss.link)
    for first in range(0, len(images), EVALUATION_BATCH):
        indices = np.arange(first, min(first + EVALUATION_BATCH, len(images)))
        batch, labels = images.read(indices)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a diverged network has an infinite loss, no fault
            scores = network.forward(weights, preprocessing.apply(batch), Context()).output
            losses, _ = loss.forward(scores, one_hot(labels, scores.shape[1]))
        _count(tally, losses, scores, labels)
        yield len(batch)


def kept_weights(config: TrainingConfig, state: TrainingState) -> tuple[dict[str, Array], int]:
    """Return the weights that become the model, and the epoch they are from."""
    if config.select == "best" and state.best_weights is not None:
        return state.best_weights, state.best_epoch
    return state.weights, state.epoch


def one_hot(labels: Indices, classes: int) -> Array:
    """Return targets (N, K): 1 for the class of each picture, else 0."""
    targets = np.zeros((len(labels), classes), np.float32)
    targets[np.arange(len(labels)), labels] = 1
    return targets


class _Stepper:
    """One step, in memory that is used again by the next."""

    def __init__(self, network: Network, config: TrainingConfig, steps: int) -> None:
        self._network = network
        self._config = config
        self._steps = steps
        self._workspace = Workspace()

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of step `step`, from 0."""
        return self._config.optimizer.learning_rate * self._config.schedule.factor(step, self._steps)

    def step(self, state: TrainingState, images: Bytes, labels: Indices, classes: int) -> None:
        """Take one step on a batch, or raise NonFiniteError and leave the state as it was."""
        with np.errstate(over="ignore", invalid="ignore"):  # told apart below, by the values themselves
            self._step(state, images, labels, classes)

    def _step(self, state: TrainingState, images: Bytes, labels: Indices, classes: int) -> None:
        config, context = self._config, self._context(state.step)
        x = state.preprocessing.apply(images, context.buffer("x", images.shape, np.float32))
        tape = self._network.forward(state.weights, x, context)
        losses, saved = config.loss.forward(tape.output, one_hot(labels, classes))
        self._check("loss", losses, state)
        gradients = self._network.backward(tape, config.loss.backward(saved, len(images)))
        for name, gradient in gradients.items():
            self._check(f"gradient of {name}", gradient, state)
        rate = self.learning_rate(state.step)
        for name, gradient in gradients.items():
            config.optimizer.update(state.weights[name], gradient, state.slots[name], rate, state.step + 1)
        for name, value in context.updates.items():
            state.weights[name][...] = value
        state.step += 1
        state.position += 1
        _count(state.tally, losses, tape.output, labels)

    def _context(self, step: int) -> Context:
        return Context(
            training=True, seed=self._config.seed, step=step, node="input", workspace=self._workspace
        )

    @staticmethod
    def _check(what: str, values: Array, state: TrainingState) -> None:
        # a float64 sum is finite exactly when all float32 terms are
        if not np.isfinite(values.sum(dtype=np.float64)):
            raise NonFiniteError(
                f"the {what} became NaN or infinite in step {state.step + 1} (epoch {state.epoch + 1})",
                hint="use a smaller learning rate, or batch_norm layers",
            )


class _Clock:
    """Adds up the time spent on an epoch, without what the caller does between two reports."""

    def __init__(self, state: TrainingState) -> None:
        self._state = state
        self.skip()

    def skip(self) -> None:
        """Start counting here."""
        self._since = time.perf_counter()

    def lap(self) -> None:
        """Add the time since the last call."""
        self._state.seconds += time.perf_counter() - self._since
        self.skip()


def _count(tally: Tally, losses: Array, scores: Array, labels: Indices) -> None:
    tally.loss += float(losses.sum(dtype=np.float64))
    tally.correct += int(np.count_nonzero(scores.argmax(axis=1) == labels))
    tally.images += len(labels)


def _end_epoch(state: TrainingState, dev: Tally, learning_rate: float) -> EpochMetrics:
    evaluated = dev.images > 0
    metrics = EpochMetrics(
        epoch=state.epoch + 1,
        train_loss=state.tally.mean_loss,
        train_accuracy=state.tally.accuracy,
        dev_loss=dev.mean_loss if evaluated else None,
        dev_accuracy=dev.accuracy if evaluated else None,
        learning_rate=learning_rate,
        seconds=round(state.seconds, 3),
    )
    if _is_best(metrics, state):
        state.best_weights = {name: weight.copy() for name, weight in state.weights.items()}
        state.best_epoch = metrics.epoch
    state.history.append(metrics)
    state.epoch += 1
    state.position = 0
    state.tally = Tally()
    state.seconds = 0.0
    return metrics


def _is_best(metrics: EpochMetrics, state: TrainingState) -> bool:
    """Without dev pictures every epoch is taken for better than the one before."""
    if state.best_weights is None or metrics.dev_loss is None:
        return True
    best = state.history[state.best_epoch - 1].dev_loss
    return best is None or math.isnan(best) or metrics.dev_loss < best
