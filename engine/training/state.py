"""Everything that a training run is, between two steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from engine.arrays import Array
from engine.inputs.preprocessing import Preprocessing
from engine.training.norms import GradientTally


class EpochMetrics(BaseModel):
    """How an epoch went; losses are means per picture, accuracies shares of pictures."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    """From 1."""
    train_loss: float
    """Mean over the epoch's batches, each before its step, as they were augmented."""
    train_accuracy: float | None
    """None where predictions are not right or wrong: numbers, not classes."""
    dev_loss: float | None
    """After the epoch; None where the data set has no dev pictures."""
    dev_accuracy: float | None
    learning_rate: float
    """Of the epoch's last step."""
    seconds: float
    """Training and evaluation, without pauses between attempts."""


@dataclass
class Tally:
    """Sums over the pictures seen so far in an epoch."""

    loss: float = 0.0
    correct: int = 0
    images: int = 0
    judged: int = 0
    """Pictures whose prediction is either right or wrong."""

    def add(self, other: Tally) -> None:
        """Count what another has counted."""
        self.loss += other.loss
        self.correct += other.correct
        self.images += other.images
        self.judged += other.judged

    @property
    def mean_loss(self) -> float:
        """Mean loss per picture."""
        return self.loss / max(self.images, 1)

    @property
    def accuracy(self) -> float | None:
        """Share of pictures whose prediction was right; None where that is no question of yes or no."""
        return None if self.images and not self.judged else self.correct / max(self.judged, 1)


class Stage(NamedTuple):
    """A part of a run that is trained in its own way: the head first, then more of the network."""

    number: int = 0
    """Which one, from 0."""
    epoch: int = 0
    """Epochs completed before it."""
    step: int = 0
    """Steps done before it."""


@dataclass
class TrainingState:
    """Weights, optimizer slots, sampler position, best so far; changed in place by `train`.

    Every random draw is keyed by (seed, epoch, step, sample), so positions are all the randomness
    there is to remember.
    """

    weights: dict[str, Array] = field(repr=False)
    slots: dict[str, dict[str, Array]] = field(repr=False)
    """Optimizer slots: weight name -> slot name -> array."""
    preprocessing: Preprocessing
    epoch: int = 0
    """Epochs completed."""
    position: int = 0
    """Steps done in the epoch under way."""
    step: int = 0
    """Steps done over the whole run."""
    stage: Stage = field(default_factory=Stage)
    """The stage under way; schedule, patience and optimizer count from its beginning."""
    tally: Tally = field(default_factory=Tally)
    gradients: GradientTally = field(default_factory=GradientTally)
    """How long they were in the epoch under way."""
    seconds: float = 0.0
    """Spent on the epoch under way."""
    history: list[EpochMetrics] = field(default_factory=list)
    average: dict[str, Array] | None = field(default=None, repr=False)
    """Running average of the weights, where the configuration asks for one."""
    best_weights: dict[str, Array] | None = field(default=None, repr=False)
    """Evaluated weights after `best_epoch`; None until an epoch has ended."""
    best_epoch: int = 0
    taken: tuple[str, ...] = ()
    """Names of the weights that came from another model; the others were drawn."""
    pins: dict[str, str] = field(default_factory=dict)
    """What the run computes with (`engine.environment.pins`), set by whoever drives it."""

    @property
    def evaluated_weights(self) -> dict[str, Array]:
        """The weights that are evaluated and kept: the average where there is one."""
        return self.weights if self.average is None else self.average

    @property
    def drawn(self) -> tuple[str, ...]:
        """Names of the weights that did not come from another model."""
        return tuple(name for name in self.weights if name not in set(self.taken))

    def document(self) -> dict[str, Any]:
        """Return all but the arrays, JSON-ready."""
        return {
            "preprocessing": self.preprocessing.model_dump(mode="json"),
            "epoch": self.epoch,
            "position": self.position,
            "step": self.step,
            "stage": list(self.stage),
            "tally": [self.tally.loss, self.tally.correct, self.tally.images, self.tally.judged],
            "gradients": self.gradients.document(),
            "seconds": self.seconds,
            "history": [metrics.model_dump(mode="json") for metrics in self.history],
            "best_epoch": self.best_epoch,
            "taken": list(self.taken),
            "pins": self.pins,
        }
