"""One step of training: forward propagation, the loss, backpropagation, a descent step."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from engine.arrays import Array
from engine.errors import NonFiniteError
from engine.execution.flat import Flat
from engine.execution.protocol import Execution
from engine.graph.network import Network
from engine.inputs.batch import Batch
from engine.layers import Context
from engine.ops.reduction import length
from engine.recipe.config import GradientClip, TrainingConfig
from engine.recipe.losses import Loss, right_class
from engine.recipe.schedules import Moment
from engine.training.norms import NodeNorms, node_lengths
from engine.training.state import Tally, TrainingState
from engine.training.transfer import factors
from engine.workspace import Workspace

_NORM_EPSILON = 1e-6  # as in PyTorch's clip_grad_norm_
_MEASURED_PICTURES = 64
"""Steps on fewer pictures are so short that not the gradient of each is measured, but one for so many pictures."""


class Stepper:
    """Takes steps, in memory that is used again by the next."""

    def __init__(
        self, network: Network, config: TrainingConfig, per_epoch: int, execution: Execution
    ) -> None:
        self._execution = execution
        self._config = config
        self._per_epoch = per_epoch
        self._specs = network.weight_specs
        self._weights = Flat(self._specs)
        self._slots = {name: Flat(self._specs) for name in config.optimizer.slots()}
        self._factors = factors(network, config.learning_rate_factors)
        self._runs = self._weights.runs(self._treatment)
        self._measured = -(-_MEASURED_PICTURES // (config.batch_size * config.accumulate))
        self._sums: Flat | None = None
        self._workspace = Workspace()

    def _treatment(self, name: str) -> tuple[bool, float, str]:
        """Return how the optimizer treats a weight: those treated alike are one array to it, if the rule allows."""
        alone = "" if self._config.optimizer.elementwise else name
        return self._specs[name].decays, self._factors.get(name, 1.0), alone

    def context(self, step: int = 0, first: int = 0, node: str = "input") -> Context:
        """Return the context of a training pass, with this stepper's memory."""
        return Context(
            statistics="batch",
            records=True,
            seed=self._config.seed,
            step=step,
            first_sample=first,
            node=node,
            workspace=self._workspace,
        )

    def learning_rate(self, state: TrainingState, step: int) -> float:
        """Return the learning rate of step `step`, from 0, of the epoch under way."""
        stage = state.stage
        losses = [
            metrics.train_loss if metrics.dev_loss is None else metrics.dev_loss
            for metrics in state.history[stage.epoch :]
        ]
        steps = self._per_epoch * (self._config.epochs - stage.epoch)
        moment = Moment(step - stage.step, steps, self._per_epoch, losses)
        return self._config.optimizer.rate() * self._config.schedule.factor(moment)

    def norms(self, state: TrainingState) -> dict[str, NodeNorms]:
        """Return the norms of the epoch under way, by the nodes that are trained, in their order."""
        trained = {name: state.weights[name] for name, spec in self._specs.items() if spec.trainable}
        return state.gradients.norms(node_lengths(trained, self.context(node="norms")))

    def step(self, state: TrainingState, batches: Iterable[Batch], pictures: int) -> None:
        """Take one step on `pictures` pictures, or raise NonFiniteError and leave the state as it was."""
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below, in the values themselves
            self._step(state, batches, pictures)

    def _step(self, state: TrainingState, batches: Iterable[Batch], pictures: int) -> None:
        config = self._config
        self._adopt(state)
        gradients: Flat | None = None
        updates: dict[str, Array] = {}
        seen = Tally()
        for batch in batches:
            context = self.context(state.step, batch.first)
            done = self._execution.train({**state.weights, **updates}, batch, pictures, context)
            _check("loss", done.losses, state)
            if not _is_finite(done.gradients.memory):
                for name, gradient in done.gradients.items():
                    _check(f"gradient of {name}", gradient, state)
            gradients = done.gradients if len(batch) == pictures else self._sum(gradients, done.gradients)
            updates |= done.updates
            count(seen, config.loss, done.losses, done.scores, done.targets, one_class=batch.one_class)
        if gradients is not None:
            if state.position % self._measured == 0:
                state.gradients.add(node_lengths(gradients, self.context(node="norms")))
            if config.clip is not None:
                self._clip(gradients.memory, config.clip)
            self._descend(state, gradients)
        for name, value in updates.items():
            state.weights[name][...] = value
        state.step += 1
        state.position += 1
        if config.weight_average is not None:
            self._average(state, config.weight_average.decay)
        state.tally.add(seen)

    def _adopt(self, state: TrainingState) -> None:
        """Move what is trained into memory in one run, unless it is there already."""
        if all(state.weights[name] is weight for name, weight in self._weights.items()):
            return
        for name in self._weights:
            np.copyto(self._weights[name], state.weights[name])
            state.weights[name] = self._weights[name]
            for slot, flat in self._slots.items():
                np.copyto(flat[name], state.slots[name][slot])
                state.slots[name][slot] = flat[name]

    def _descend(self, state: TrainingState, gradients: Flat) -> None:
        """Let the optimizer take its step."""
        rate = self.learning_rate(state, state.step)
        room = self.context(node="descent")
        for part, (decays, factor, _) in self._runs:
            self._config.optimizer.step(
                self._weights.memory[part],
                gradients.memory[part],
                {name: slot.memory[part] for name, slot in self._slots.items()},
                rate * factor,
                state.step - state.stage.step + 1,
                decays=decays,
                buffers=room,
            )

    def _sum(self, sums: Flat | None, found: Flat) -> Flat:
        """Add the gradients of one batch to those before it, in memory of their own."""
        if sums is None:
            if self._sums is None:
                self._sums = Flat(self._specs)
            np.copyto(self._sums.memory, found.memory)
            return self._sums
        sums.memory += found.memory
        return sums

    def _clip(self, gradients: Array, clip: GradientClip) -> None:
        if clip.value is not None:
            np.clip(gradients, -clip.value, clip.value, out=gradients)
        if clip.norm is not None:
            factor = clip.norm / (length(gradients, self.context(node="descent")) + _NORM_EPSILON)
            if factor < 1:
                np.multiply(gradients, factor, out=gradients)

    def _average(self, state: TrainingState, decay: float) -> None:
        """Move the average towards the weights by 1 - min(decay, (1 + t) / (10 + t))."""
        average = state.evaluated_weights
        share = 1 - min(decay, (1 + state.step) / (10 + state.step))
        room = self.context(node="descent")
        for name, weight in state.weights.items():
            way = room.scratch("way", weight.shape, weight.dtype)
            np.subtract(weight, average[name], out=way)
            way *= share
            average[name] += way


def count(tally: Tally, loss: Loss, losses: Array, scores: Array, targets: Array, *, one_class: bool) -> None:
    """Add the losses (N,) and right predictions of a batch to `tally`."""
    right = right_class(scores, targets) if one_class else loss.right(scores, targets)
    tally.add(
        Tally(
            loss=float(losses.sum(dtype=np.float64)),
            correct=0 if right is None else int(np.count_nonzero(right)),
            images=len(losses),
            judged=0 if right is None else len(right),
        )
    )


def _check(what: str, values: Array, state: TrainingState) -> None:
    if not _is_finite(values):
        raise NonFiniteError(
            f"the {what} became NaN or infinite in step {state.step + 1} (epoch {state.epoch + 1})",
            hint="use a smaller learning rate, clip gradients, or use batch_norm layers",
        )


def _is_finite(values: Array) -> bool:
    # a float64 sum is finite exactly when all float32 terms are
    return bool(np.isfinite(values.sum(dtype=np.float64)))
