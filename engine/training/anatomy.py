"""One step of training taken apart: what a batch gives, node by node, and how the optimizer changes the weights.

It is the step that a training job takes, through the same preparation, loss, clipping and optimizer, run by the plain
executor, which shows every node's output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from engine import draws
from engine.arrays import Array, Weights, elements
from engine.execution.protocol import Execution, Pass, PlainExecution
from engine.graph.differences import differences, shared_out, smooth
from engine.graph.network import Network, NodeRun
from engine.graph.operation import Work
from engine.inputs.batch import Batch
from engine.inputs.preparation import Preparation
from engine.layers import Context
from engine.model.activations import Spread, spread
from engine.recipe.config import TrainingConfig
from engine.training.descent import Stepper
from engine.training.norms import node_lengths
from engine.training.state import TrainingState

_FLOOR = 1e-3
"""Differences are relative to a gradient, and at least to this share of the largest that is checked: of one that is 0,
as of a bias before batch norm, all that is left is rounding."""
_PER_NODE = 30_000
"""Operations that take as long as what is done for a node beside its arithmetic: some 15 to 80 microseconds."""


@dataclass(frozen=True)
class NodeStep:
    """What the step did in one node; lengths are Euclidean, of all trained weights of the node as one vector."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    activation: Spread
    """Of its output, for all pictures, before the step."""
    parameters: int
    """Numbers that are trained; where there are none, what follows is None."""
    gradient: float | None = None
    """Before clipping."""
    weight: float | None = None
    """Before the step."""
    update: float | None = None
    """Of the change."""
    zero_gradients: float | None = None
    """Share of the gradient's numbers that are exactly 0."""


@dataclass(frozen=True)
class Anatomy:
    """A step; arrays by the full names of weights."""

    losses: Array
    """(N,), before the step."""
    losses_after: Array
    """(N,), of the same pictures with the new weights."""
    scores: Array
    """(N, K), before the step and before the loss's link."""
    learning_rate: float
    nodes: tuple[NodeStep, ...]
    before: dict[str, Array] = field(repr=False)
    gradients: dict[str, Array] = field(repr=False)
    """Of the mean loss, before clipping; of trained weights alone."""
    after: dict[str, Array] = field(repr=False)


class Slope(NamedTuple):
    """One number of a weight, and how the mean loss changes with it."""

    weight: str
    position: tuple[int, ...]
    numeric: float
    """The central difference."""
    gradient: float
    difference: float
    """Between the two, relative to the larger one."""


class GradientCheck(NamedTuple):
    """Gradients of weights compared with central differences, in float64."""

    entries: int
    """How many were compared."""
    kinks: int
    """How many more have no gradient: the slopes on their two sides differ."""
    largest: Slope | None
    """The one that differs most; None where none was compared."""


@dataclass(frozen=True)
class _Watched(Network):
    """A network that notes how the outputs of its nodes are spread."""

    seen: dict[str, Spread] = field(default_factory=dict, compare=False)

    def run(self, weights: Weights, x: Array, context: Context) -> Iterator[NodeRun]:
        for done in super().run(weights, x, context):
            self.seen[done.node.name] = spread(done.output)
            yield done


class _Kept:
    """Runs batches by another execution, and keeps a copy of what the last one gave."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self.pins = execution.pins
        self.scores = execution.scores
        self.losses: Array = np.empty(0)
        self.output: Array = np.empty(0)
        self.gradients: dict[str, Array] = {}

    def reads(self, pictures: int) -> int:
        """Return how many pictures of a batch are read here."""
        return self._execution.reads(pictures)

    def train(self, weights: Weights, batch: Batch, pictures: int, context: Context) -> Pass:
        """Run a batch; the gradients are copied before anybody clips them."""
        done = self._execution.train(weights, batch, pictures, context)
        self.losses, self.output = done.losses.copy(), done.scores.copy()
        self.gradients = {name: gradient.copy() for name, gradient in done.gradients.items()}
        return done


def step_work(network: Network, config: TrainingConfig, pictures: int) -> Work:
    """Return what a step takes: bytes as `numbers`, and operations; a check of gradients is not in them."""
    one = Work.of(network, pictures, records=True)
    weights = sum(elements(spec.shape) for spec in network.weight_specs.values())
    # before, drawn, in one run of memory, after, the gradient twice, and the slots twice
    numbers = one.numbers + weights * (6 + 2 * len(config.optimizer.slots()))
    # forward, back at twice the price, and forward with the new weights
    return Work(numbers * 4, one.operations * 4)


def check_work(network: Network, pictures: int, entries: int) -> Work:
    """Return what a check of so many gradients takes: bytes as `numbers`, and operations."""
    if not entries:
        return Work(0, 0)
    one = Work.of(network, pictures, records=True)
    # in float64, which takes twice as long
    forward = 2 * one.operations + _PER_NODE * len(network.nodes)
    # two passes for each, one more, and forward and back
    return Work(one.numbers * 8, forward * (2 * entries + 4))


def dissect(
    network: Network, config: TrainingConfig, state: TrainingState, batch: Batch, preparation: Preparation
) -> Anatomy:
    """Take one step, the first of an epoch, and say what it did.

    Args:
        network: as it is trained: frozen, without a final link of the loss.
        config: how; its `batch_size` is that of the batch.
        state: before the step; changed in place.
        batch: the pictures.
        preparation: how they are prepared.

    Raises:
        NonFiniteError: the loss or a gradient is NaN or infinite.
    """
    watched = _Watched(network.input_shape, network.nodes)
    kept = _Kept(PlainExecution(watched, config.loss, preparation))
    stepper = Stepper(network, config, per_epoch=1, execution=kept)
    before = {name: array.copy() for name, array in state.weights.items()}
    rate = stepper.learning_rate(state, state.step)
    stepper.step(state, [batch], len(batch))
    x, targets = preparation.training(batch)
    with np.errstate(all="ignore"):
        output = network.forward(state.weights, x, _context(config)).output
        losses_after, _ = config.loss.forward(output, targets)
    return Anatomy(
        losses=kept.losses,
        losses_after=losses_after,
        scores=kept.output,
        learning_rate=rate,
        nodes=_nodes(network, watched.seen, before, kept.gradients, state.weights),
        before=before,
        gradients=kept.gradients,
        after=state.weights,
    )


def check_gradients(
    network: Network,
    config: TrainingConfig,
    weights: Weights,
    batch: Batch,
    preparation: Preparation,
    entries: int,
    seed: int = 0,
) -> Iterator[GradientCheck | None]:
    """Compare gradients of the mean loss with central differences, in float64 (Press et al., Numerical recipes, 5.7).

    Yields None after each number, so that it can be dropped there, and at last what was found.

    Args:
        network: as it is trained.
        config: how.
        weights: at which the gradients are taken.
        batch: the pictures.
        preparation: how they are prepared.
        entries: how many numbers, shared out evenly over the arrays that are trained, drawn within each.
        seed: of that draw.
    """
    x32, targets32 = preparation.training(batch)
    x, targets = x32.astype(np.float64), targets32.astype(np.float64)
    wide = {name: array.astype(np.float64) for name, array in weights.items()}

    def losses(*, records: bool = False) -> Array:
        with np.errstate(all="ignore"):
            tape = network.forward(wide, x, _context(config, records=records))
            found, saved = config.loss.forward(tape.output, targets)
            if records:
                slopes.update(network.backward(tape, config.loss.backward(saved, len(batch))))
        return found

    slopes: dict[str, Array] = {}
    losses(records=True)
    names = list(slopes)
    counts = shared_out([wide[name].size for name in names], entries)
    places = [
        draws.generator(seed, "check", name).choice(wide[name].size, count, replace=False)
        for name, count in zip(names, counts, strict=True)
    ]
    dy = np.full(len(batch), 1 / len(batch))
    arrays = [wide[name] for name in names]
    found = []
    for each in differences(losses, arrays, [slopes[name] for name in names], dy, places):
        found.append(each)
        yield None
    compared = smooth(found)
    floor = _FLOOR * max((abs(each.numeric) for each in compared), default=0.0)
    rows = []
    for each in compared:
        larger = max(abs(each.numeric), abs(each.gradient), floor)
        position = np.unravel_index(each.place, arrays[each.array].shape)
        rows.append(
            Slope(
                names[each.array],
                tuple(int(place) for place in position),
                each.numeric,
                each.gradient,
                abs(each.numeric - each.gradient) / larger if larger else 0.0,
            )
        )
    largest = max(rows, key=lambda row: row.difference, default=None)
    yield GradientCheck(len(rows), len(found) - len(rows), largest)


def _context(config: TrainingConfig, *, records: bool = False) -> Context:
    """Return the context of the first step: what it draws, it draws again."""
    return Context(statistics="batch", records=records, seed=config.seed)


def _nodes(
    network: Network, seen: dict[str, Spread], before: Weights, gradients: Weights, after: Weights
) -> tuple[NodeStep, ...]:
    lengths = node_lengths(gradients)
    weights = node_lengths({name: before[name] for name in gradients})
    updates = node_lengths({name: after[name] - before[name] for name in gradients})
    steps = []
    for node in network.nodes:
        own = [gradients[name] for name in node.weight_names if name in gradients]
        size = sum(gradient.size for gradient in own)
        zeros = sum(gradient.size - np.count_nonzero(gradient) for gradient in own)
        steps.append(
            NodeStep(
                name=node.name,
                type=node.layer.type,
                output_shape=node.output_shape,
                activation=seen[node.name],
                parameters=size,
                gradient=lengths.get(node.name),
                weight=weights.get(node.name),
                update=updates.get(node.name),
                zero_gradients=zeros / size if size else None,
            )
        )
    return tuple(steps)
