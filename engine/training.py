"""The learning algorithm: forward propagation, the loss, backpropagation, a descent step, again.

`train` is a generator over a `TrainingState` that is complete: it can be dropped between any two
steps, and going on from a stored state gives the same bytes as never having stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from engine import augmentations, draws
from engine.arrays import Array, Bytes, Indices, Shape
from engine.config import TrainingConfig
from engine.descent import Batch, Stepper, count
from engine.errors import EngineError, ShapeError
from engine.layers import Context
from engine.losses import Loss
from engine.model_file import Model
from engine.network import Network
from engine.preprocessing import ChannelStatistics, Preprocessing
from engine.state import EpochMetrics, Tally, TrainingState
from engine.transfer import freeze, take

__all__ = [
    "ImageSet",
    "Progress",
    "TrainingConfig",
    "TrainingData",
    "as_targets",
    "check_config",
    "check_fit",
    "evaluate",
    "kept_weights",
    "one_hot",
    "start",
    "steps_per_epoch",
    "train",
    "train_statistics",
]

EVALUATION_BATCH = 250
_STATISTICS_BATCH = 1000


class ImageSet(Protocol):
    """Labelled pictures that can be read in any order."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def read(self, indices: Indices) -> tuple[Bytes, Array]:
        """Return pictures (n, H, W, C) as bytes and their classes (n,), or targets (n, K) for labels or numbers."""
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


def check_config(network: Network, config: TrainingConfig, data_shape: Shape, classes: int) -> None:
    """Check what the configuration says about these pictures, classes and layers.

    Raises:
        ShapeError, GraphError: something does not fit; the path is that in the configuration.
    """
    try:
        config.loss.check_classes(classes)
    except EngineError as error:
        raise error.within("loss") from None
    try:
        augmentations.check(config.augmentations, data_shape)
    except EngineError as error:
        raise error.within("augmentations") from None
    freeze(network, config.freeze)


def start(
    network: Network, config: TrainingConfig, data: TrainingData, initial: Model | None = None
) -> TrainingState:
    """Return the state before the first step.

    Args:
        network: built from the architecture.
        config: how to train.
        data: pictures and classes; the statistics of the train split become the normalisation.
        initial: a model to begin with: every array whose name and shape agree is copied, the others are
            drawn (`state.taken`, `state.drawn`). Its normalisation comes with it, for its weights know no other.

    Raises:
        ShapeError: no array of `initial` fits.
    """
    network = freeze(network, config.freeze)
    weights = network.initial_weights(config.seed)
    taken = () if initial is None else take(weights, initial.weights)
    slots = {
        name: {slot: np.zeros_like(weights[name]) for slot in config.optimizer.slots()}
        for name, spec in network.weight_specs.items()
        if spec.trainable
    }
    if initial is not None and len(initial.preprocessing.mean) == data.image_shape[2]:
        preprocessing = initial.preprocessing
    else:
        preprocessing = train_statistics(data.train, data.image_shape[2])
    return TrainingState(weights, slots, preprocessing, taken=taken)


def train_statistics(images: ImageSet, channels: int) -> Preprocessing:
    """Return the normalisation of the training pictures; dev and test pictures have no say in it."""
    statistics = ChannelStatistics(channels)
    for first in range(0, len(images), _STATISTICS_BATCH):
        indices = np.arange(first, min(first + _STATISTICS_BATCH, len(images)))
        statistics.add(images.read(indices)[0])
    return statistics.preprocessing()


def steps_per_epoch(config: TrainingConfig, images: int) -> int:
    """Return ceil(images / pictures of a step)."""
    return -(-images // (config.batch_size * config.accumulate))


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
        ShapeError, GraphError: network, configuration and data do not fit.
        NonFiniteError: the loss or a gradient is NaN or infinite; `state` is that before the step.
    """
    check_config(network, config, data.image_shape, len(data.classes))
    state = state or start(network, config, data)
    if config.weight_average is not None and state.average is None:
        state.average = {name: weight.copy() for name, weight in state.weights.items()}
    network = freeze(check_fit(network, config, data.image_shape, len(data.classes)), config.freeze)
    per_epoch = steps_per_epoch(config, len(data.train))
    total = per_epoch * config.epochs
    stepper = Stepper(network, config, per_epoch)
    feed = _Feed(config, data, stepper.context(node="input/augmentation"))
    while state.epoch < config.epochs:
        epoch = state.epoch + 1
        feed.shuffle(epoch)
        clock = _Clock(state)
        while state.position < per_epoch:
            pictures = feed.pictures(state.position)
            stepper.step(state, feed.batches(state.position), pictures)
            clock.lap()
            yield Progress("step", state, epoch, config.epochs, state.step, total, pictures)
            clock.skip()
        dev = Tally()
        weights = state.evaluated_weights
        for seen in evaluate(network, weights, state.preprocessing, config.loss, data.dev, dev):
            clock.lap()
            yield Progress("evaluation", state, epoch, config.epochs, state.step, total, seen)
            clock.skip()
        metrics = _end_epoch(state, dev, stepper.learning_rate(state, state.step - 1))
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
            targets = as_targets(labels, scores.shape[1])
            losses, _ = loss.forward(scores, targets)
        count(tally, loss, losses, scores, targets, one_class=labels.ndim == 1)
        yield len(batch)


def kept_weights(config: TrainingConfig, state: TrainingState) -> tuple[dict[str, Array], int]:
    """Return the weights that become the model, and the epoch they are from."""
    if config.select == "best" and state.best_weights is not None:
        return state.best_weights, state.best_epoch
    return state.evaluated_weights, state.epoch


def one_hot(labels: Indices, classes: int) -> Array:
    """Return targets (N, K): 1 for the class of each picture, else 0."""
    targets = np.zeros((len(labels), classes), np.float32)
    targets[np.arange(len(labels)), labels] = 1
    return targets


def as_targets(labels: Array, classes: int) -> Array:
    """Return targets (N, K) in float32, from classes (N,) or from targets."""
    return one_hot(labels, classes) if labels.ndim == 1 else labels.astype(np.float32, copy=False)


class _Feed:
    """The batches of an epoch, in its order, augmented."""

    def __init__(self, config: TrainingConfig, data: TrainingData, context: Context) -> None:
        self._config = config
        self._data = data
        self._context = context
        self._pipeline = augmentations.Pipeline(config.augmentations, config.seed)
        self._per_step = config.batch_size * config.accumulate
        self._epoch = 0
        self._order: Indices = np.arange(0)

    def shuffle(self, epoch: int) -> None:
        """Draw the order of an epoch."""
        self._epoch = epoch
        count = len(self._data.train)
        self._order = draws.generator(self._config.seed, "order", epoch).permutation(count)

    def pictures(self, position: int) -> int:
        """Return how many pictures the step at `position`, from 0, of the epoch sees."""
        return min(self._per_step, len(self._order) - position * self._per_step)

    def batches(self, position: int) -> Iterator[Batch]:
        """Yield the batches of that step."""
        first = position * self._per_step
        last = first + self.pictures(position)
        for begin in range(first, last, self._config.batch_size):
            end = min(begin + self._config.batch_size, last)
            # the partners of the last ones come after them in the epoch's order, which closes in a circle
            places = np.arange(begin, end + self._pipeline.partners) % len(self._order)
            samples = self._order[places]
            images, labels = self._data.train.read(samples)
            images, targets = self._pipeline.apply(
                images,
                as_targets(labels, len(self._data.classes)),
                samples,
                self._epoch,
                self._context,
            )
            yield Batch(images, targets, labels.ndim == 1, begin - first)


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
        state.best_weights = {name: weight.copy() for name, weight in state.evaluated_weights.items()}
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
