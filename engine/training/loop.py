"""The learning algorithm: forward propagation, the loss, backpropagation, a descent step, again.

`train` is a generator over a `TrainingState` that is complete: it can be dropped between any two
steps, and going on from a stored state gives the same bytes as never having stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from engine import augmentations
from engine.arrays import Array, Indices, Shape, elements
from engine.errors import EngineError, ShapeError
from engine.execution.protocol import Execution, PlainExecution
from engine.graph.network import Network
from engine.inputs.feed import Feed, ImageSet, TrainingData, as_targets, one_hot
from engine.inputs.preparation import Preparation
from engine.inputs.preprocessing import ChannelStatistics, Preprocessing
from engine.model.model_file import Model
from engine.recipe.config import TrainingConfig
from engine.recipe.losses import Loss
from engine.recipe.targets import Target
from engine.training.descent import Stepper, count
from engine.training.norms import GradientTally, NodeNorms
from engine.training.state import EpochMetrics, Stage, Tally, TrainingState
from engine.training.transfer import factors, freeze, take

__all__ = [
    "Execute",
    "ImageSet",
    "Progress",
    "TrainingConfig",
    "TrainingData",
    "as_targets",
    "check_config",
    "check_fit",
    "evaluate",
    "evaluated_at_once",
    "first_state",
    "kept_weights",
    "next_stage",
    "one_hot",
    "out_of_patience",
    "preparation",
    "start",
    "steps_per_epoch",
    "train",
    "train_statistics",
]

Execute = Callable[[Network, Loss, Preparation], Execution]
_EVALUATION_PICTURES = 256
"""Pictures that are evaluated at once, unless they are large."""
_EVALUATION_BYTES = 8 << 20
_STATISTICS_BYTES = 2 << 20
_STEADYING_EPOCHS = 3


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
    norms: dict[str, NodeNorms] | None = None
    """With kind `epoch`, by the nodes that are trained; empty if none of its steps was measured."""


def check_fit(
    network: Network, config: TrainingConfig, data_shape: Shape, classes: int, target: Target = "class"
) -> Network:
    """Return the network as it is trained, without a final link that the loss brings itself.

    Raises:
        ShapeError: the pictures do not fit the input, or the output not the classes.
    """
    check_shape(network, data_shape)
    trained = network.without_final(config.loss.link)
    config.loss.check(trained.output_shape, classes, target)
    return trained


def check_shape(network: Network, data_shape: Shape) -> None:
    """Raise ShapeError if the pictures, [height, width, channels], do not fit the input."""
    if tuple(data_shape) != network.input_shape:
        wanted, given = ("x".join(map(str, shape)) for shape in (network.input_shape, data_shape))
        raise ShapeError(
            f"the network takes {wanted} pictures but the data set holds {given}",
            path=("input_shape",),
            hint=f"set input_shape to {list(data_shape)}",
        )


def check_config(
    network: Network,
    config: TrainingConfig,
    data_shape: Shape,
    classes: int | None,
    target: Target = "class",
) -> None:
    """Check what the configuration says about these pictures, classes (None: not known yet) and layers.

    Raises:
        EngineError: something does not fit; the path is that in the configuration.
    """
    try:
        config.loss.check_target(target)
        if classes is not None:
            config.loss.check_classes(classes)
    except EngineError as error:
        raise error.within("loss") from None
    try:
        augmentations.check(config.augmentations, data_shape)
    except EngineError as error:
        raise error.within("augmentations") from None
    factors(freeze(network, config.freeze), config.learning_rate_factors)


def start(
    network: Network,
    config: TrainingConfig,
    data: TrainingData,
    initial: Model | None = None,
    anew: Collection[str] = (),
) -> TrainingState:
    """Return the state before the first step.

    Args:
        network: built from the architecture.
        config: how to train.
        data: pictures and classes; the statistics of the train split become the normalisation.
        initial: a model to begin with: every array whose name and shape agree is copied, the others are
            drawn (`state.taken`, `state.drawn`). Its normalisation comes with it, for its weights know no other.
        anew: names of nodes whose weights are drawn, whatever the model has: those of a new head.

    Raises:
        ShapeError: no array of `initial` fits.
    """
    if initial is not None and len(initial.preprocessing.mean) == data.image_shape[2]:
        preprocessing = initial.preprocessing
    else:
        preprocessing = train_statistics(data.train, data.image_shape[2])
    return first_state(network, config, preprocessing, initial, anew)


def first_state(
    network: Network,
    config: TrainingConfig,
    preprocessing: Preprocessing,
    initial: Model | None = None,
    anew: Collection[str] = (),
) -> TrainingState:
    """Return the state before the first step of a run whose pictures are normalised like this; see `start`."""
    network = freeze(network, config.freeze)
    weights = network.initial_weights(config.seed)
    taken = () if initial is None else take(weights, initial.weights, anew)
    slots = {
        name: config.optimizer.first_slots(weights[name])
        for name, spec in network.weight_specs.items()
        if spec.trainable
    }
    return TrainingState(weights, slots, preprocessing, taken=taken)


def preparation(config: TrainingConfig, preprocessing: Preprocessing) -> Preparation:
    """Return how a run prepares its pictures."""
    return Preparation(
        augmentations=tuple(config.augmentations), seed=config.seed, preprocessing=preprocessing
    )


def train_statistics(images: ImageSet, channels: int) -> Preprocessing:
    """Return the normalisation of the training pictures; dev and test pictures have no say in it."""
    statistics = ChannelStatistics(channels)
    for indices in _batches(images, len(images), _STATISTICS_BYTES):
        statistics.add(images.read(indices)[0])
    return statistics.preprocessing()


def evaluated_at_once(shape: Shape) -> int:
    """Return how many pictures (H, W, C) `evaluate` runs at once."""
    return max(1, min(_EVALUATION_PICTURES, _EVALUATION_BYTES // elements(shape)))


def _batches(images: ImageSet, most: int, most_bytes: int) -> Iterator[Indices]:
    """Yield the places of all pictures in order, as many at once as `most` and as bytes allow."""
    if not len(images):
        return
    size = images.read(np.zeros(1, np.int64))[0].nbytes
    at_once = max(1, min(most, most_bytes // size))
    for first in range(0, len(images), at_once):
        yield np.arange(first, min(first + at_once, len(images)))


def steps_per_epoch(config: TrainingConfig, images: int) -> int:
    """Return ceil(images / pictures of a step)."""
    return -(-images // (config.batch_size * config.accumulate))


def train(
    network: Network,
    config: TrainingConfig,
    data: TrainingData,
    state: TrainingState | None = None,
    execute: Execute = PlainExecution,
) -> Iterator[Progress]:
    """Train, reporting after every step, every batch of evaluation and every epoch.

    Args:
        network: built from the architecture; a final link of the loss may be in it or not.
        config: how to train.
        data: pictures and classes.
        state: where to go on, changed in place; by default a new start.
        execute: makes what runs the batches, from the network as it is trained, its loss and its preparation.

    Raises:
        EngineError: network, configuration and data do not fit.
        NonFiniteError: the loss or a gradient is NaN or infinite; `state` is that before the step.
    """
    fitting = (data.image_shape, len(data.classes), data.target)
    check_config(network, config, *fitting)
    state = state or start(network, config, data)
    if config.weight_average is not None and state.average is None:
        state.average = {name: weight.copy() for name, weight in state.weights.items()}
    network = freeze(check_fit(network, config, *fitting), config.freeze)
    per_epoch = steps_per_epoch(config, len(data.train))
    total = per_epoch * config.epochs
    execution = execute(network, config.loss, preparation(config, state.preprocessing))
    stepper = Stepper(network, config, per_epoch, execution)
    feed = Feed(config, data)
    while state.epoch < config.epochs and not out_of_patience(config, state.history[state.stage.epoch :]):
        epoch = state.epoch + 1
        feed.shuffle(epoch)
        clock = _Clock(state)
        while state.position < per_epoch:
            pictures = feed.pictures(state.position)
            stepper.step(state, feed.batches(state.position, execution.reads), pictures)
            clock.lap()
            yield Progress("step", state, epoch, config.epochs, state.step, total, pictures)
            clock.skip()
        dev = Tally()
        weights = state.evaluated_weights
        for seen in evaluate(execution, weights, config.loss, data.dev, dev):
            clock.lap()
            yield Progress("evaluation", state, epoch, config.epochs, state.step, total, seen)
            clock.skip()
        norms = stepper.norms(state)
        metrics = _end_epoch(config, state, dev, stepper.learning_rate(state, state.step - 1))
        yield Progress("epoch", state, epoch, config.epochs, state.step, total, 0, metrics, norms)


def out_of_patience(config: TrainingConfig, history: Sequence[EpochMetrics]) -> bool:
    """Tell whether the dev loss has not become better for as many epochs as the configuration allows."""
    if config.early_stopping is None:
        return False
    best, since = math.inf, 0
    for metrics in history:
        if metrics.dev_loss is None:
            return False
        better = metrics.dev_loss < best - config.early_stopping.min_delta
        best, since = (metrics.dev_loss, 0) if better else (best, since + 1)
    return since >= config.early_stopping.patience


def evaluate(
    execution: Execution,
    weights: dict[str, Array],
    loss: Loss,
    images: ImageSet,
    tally: Tally,
) -> Iterator[int]:
    """Add the loss and the right answers on a set of pictures to `tally`, yielding after each batch."""
    for indices in _batches(images, _EVALUATION_PICTURES, _EVALUATION_BYTES):
        batch, labels = images.read(indices)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a diverged network has an infinite loss, no fault
            scores = execution.scores(weights, batch)
            targets = as_targets(labels, scores.shape[1])
            losses, _ = loss.forward(scores, targets)
        count(tally, loss, losses, scores, targets, one_class=labels.ndim == 1)
        yield len(batch)


def next_stage(
    network: Network, before: TrainingConfig, after: TrainingConfig, state: TrainingState
) -> TrainingState:
    """Return the state before the first step of the stage that follows: the weights that were kept, a new optimizer.

    What was best before stays best until an epoch is better.

    Args:
        network: built from the architecture.
        before: how the stage was trained that is over.
        after: how the next one is; its `epochs` are those of the run so far and its own.
        state: at the end of the stage that is over.
    """
    kept, _ = kept_weights(before, state)
    weights = {name: weight.copy() for name, weight in kept.items()}
    trained = freeze(network, after.freeze).weight_specs
    slots = {
        name: after.optimizer.first_slots(weights[name]) for name, spec in trained.items() if spec.trainable
    }
    stage = Stage(state.stage.number + 1, state.epoch, state.step)
    return replace(state, weights=weights, slots=slots, average=None, stage=stage)


def kept_weights(config: TrainingConfig, state: TrainingState) -> tuple[dict[str, Array], int]:
    """Return the weights that become the model, and the epoch they are from."""
    if config.select != "last" and state.best_weights is not None:
        return state.best_weights, state.best_epoch
    return state.evaluated_weights, state.epoch


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


def _end_epoch(
    config: TrainingConfig, state: TrainingState, dev: Tally, learning_rate: float
) -> EpochMetrics:
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
    if _is_best(config, metrics, state):
        state.best_weights = {name: weight.copy() for name, weight in state.evaluated_weights.items()}
        state.best_epoch = metrics.epoch
    state.history.append(metrics)
    state.epoch += 1
    state.position = 0
    state.tally = Tally()
    state.gradients = GradientTally()
    state.seconds = 0.0
    return metrics


def _is_best(config: TrainingConfig, metrics: EpochMetrics, state: TrainingState) -> bool:
    """Without dev pictures every epoch is taken for better than the one before."""
    if state.best_weights is None or metrics.dev_loss is None:
        return True
    if config.select == "accuracy" and metrics.dev_accuracy is not None:
        return _steadied([*state.history, metrics]) > _steadied(state.history[: state.best_epoch])
    best = state.history[state.best_epoch - 1].dev_loss
    return best is None or math.isnan(best) or metrics.dev_loss < best


def _steadied(history: Sequence[EpochMetrics]) -> tuple[float, float]:
    """Return the mean dev accuracy of the last epochs, and how low their mean dev loss is."""
    recent = history[-_STEADYING_EPOCHS:]
    accuracies = [epoch.dev_accuracy for epoch in recent if epoch.dev_accuracy is not None]
    losses = [epoch.dev_loss for epoch in recent if epoch.dev_loss is not None]
    return sum(accuracies) / max(len(accuracies), 1), -sum(losses) / max(len(losses), 1)
