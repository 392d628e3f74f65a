"""One step of training: forward propagation, the loss, backpropagation, a descent step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from engine.arrays import Array
from engine.batch import Batch
from engine.config import GradientClip, TrainingConfig
from engine.errors import NonFiniteError
from engine.execution import Execution
from engine.layers import Context
from engine.losses import Loss, right_class
from engine.network import Network
from engine.schedules import Moment
from engine.state import Tally, TrainingState
from engine.workspace import Workspace

_CHUNK = 1 << 15
_NORM_EPSILON = 1e-6  # as in PyTorch's clip_grad_norm_


class Stepper:
    """Takes steps, in memory that is used again by the next."""

    def __init__(
        self, network: Network, config: TrainingConfig, per_epoch: int, execution: Execution
    ) -> None:
        self._execution = execution
        self._config = config
        self._per_epoch = per_epoch
        self._specs = network.weight_specs
        self._workspace = Workspace()

    def context(self, step: int = 0, first: int = 0, node: str = "input") -> Context:
        """Return the context of a training pass, with this stepper's memory."""
        return Context(
            training=True,
            seed=self._config.seed,
            step=step,
            first_sample=first,
            node=node,
            workspace=self._workspace,
        )

    def learning_rate(self, state: TrainingState, step: int) -> float:
        """Return the learning rate of step `step`, from 0, of the epoch under way."""
        losses = [
            metrics.train_loss if metrics.dev_loss is None else metrics.dev_loss for metrics in state.history
        ]
        moment = Moment(step, self._per_epoch * self._config.epochs, self._per_epoch, losses)
        return self._config.optimizer.learning_rate * self._config.schedule.factor(moment)

    def step(self, state: TrainingState, batches: Iterable[Batch], pictures: int) -> None:
        """Take one step on `pictures` pictures, or raise NonFiniteError and leave the state as it was."""
        with np.errstate(over="ignore", invalid="ignore"):  # told apart below, by the values themselves
            self._step(state, batches, pictures)

    def _step(self, state: TrainingState, batches: Iterable[Batch], pictures: int) -> None:
        config = self._config
        gradients: dict[str, Array] = {}
        updates: dict[str, Array] = {}
        seen = Tally()
        for batch in batches:
            context = self.context(state.step, batch.first)
            done = self._execution.train({**state.weights, **updates}, batch, pictures, context)
            _check("loss", done.losses, state)
            found = done.gradients
            for name, gradient in found.items():
                _check(f"gradient of {name}", gradient, state)
            gradients = found if len(batch) == pictures else self._sum(gradients, found)
            updates |= done.updates
            count(seen, config.loss, done.losses, done.scores, done.targets, one_class=batch.one_class)
        if config.clip is not None:
            self._clip(gradients, config.clip)
        rate = self.learning_rate(state, state.step)
        room = self.context(node="descent")
        for name, gradient in gradients.items():
            config.optimizer.step(
                state.weights[name],
                gradient,
                state.slots[name],
                rate,
                state.step + 1,
                decays=self._specs[name].decays,
                buffers=room,
            )
        for name, value in updates.items():
            state.weights[name][...] = value
        state.step += 1
        state.position += 1
        if config.weight_average is not None:
            self._average(state, config.weight_average.decay)
        state.tally.add(seen)

    def _sum(self, sums: dict[str, Array], found: dict[str, Array]) -> dict[str, Array]:
        """Add the gradients of one batch to those before it, in memory of their own."""
        room = self.context(node="descent")
        for name, gradient in found.items():
            if name in sums:
                sums[name] += gradient
            else:
                sums[name] = room.buffer(f"sum {name}", gradient.shape, gradient.dtype)
                np.copyto(sums[name], gradient)
        return sums

    def _clip(self, gradients: dict[str, Array], clip: GradientClip) -> None:
        if clip.value is not None:
            for gradient in gradients.values():
                np.clip(gradient, -clip.value, clip.value, out=gradient)
        if clip.norm is not None:
            factor = clip.norm / (self._norm(gradients) + _NORM_EPSILON)
            if factor < 1:
                for gradient in gradients.values():
                    np.multiply(gradient, factor, out=gradient)

    def _norm(self, gradients: dict[str, Array]) -> float:
        """Return the length of all gradients together, summed in float64."""
        wide = self.context(node="descent").scratch("wide", (_CHUNK,), np.float64)
        total = 0.0
        for gradient in gradients.values():
            flat = gradient.reshape(-1)
            for first in range(0, len(flat), _CHUNK):
                piece = wide[: min(_CHUNK, len(flat) - first)]
                np.copyto(piece, flat[first : first + _CHUNK])
                total += float(piece @ piece)
        return math.sqrt(total)

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
    # a float64 sum is finite exactly when all float32 terms are
    if not np.isfinite(values.sum(dtype=np.float64)):
        raise NonFiniteError(
            f"the {what} became NaN or infinite in step {state.step + 1} (epoch {state.epoch + 1})",
            hint="use a smaller learning rate, clip gradients, or use batch_norm layers",
        )
