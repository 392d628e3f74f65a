"""What a caller decides about training; the engine and the HTTP bodies of jobs share it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from engine.augmentations import AnyAugmentation
from engine.recipe.losses import AnyLoss, SoftmaxCrossEntropy
from engine.recipe.optimizers import Adam, AnyOptimizer
from engine.recipe.schedules import AnySchedule, Constant
from engine.spec import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Seed, Spec

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class GradientClip(Spec):
    """How large gradients may be; with both given, single numbers are cut first."""

    norm: PositiveFloat | None = None
    """The largest length of all gradients together, seen as one vector; a longer one is shortened, its direction kept.
    Pascanu et al. 2013, On the difficulty of training recurrent neural networks, section 3.2."""
    value: PositiveFloat | None = None
    """The largest size of a single number; larger ones are cut off."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.norm is None and self.value is None:
            raise ValueError("give norm, value or both")
        return self


class WeightAverage(Spec):
    """A running average of the weights over the steps, which is steadier than the weights themselves."""

    decay: Fraction = 0.999
    """Share of the old average that a step leaves. In step t it is at most (1 + t) / (10 + t), so that the first
    weights are soon forgotten. Polyak & Juditsky 1992; with the form of TensorFlow's ExponentialMovingAverage."""


class EarlyStopping(Spec):
    """When a run ends before its last epoch: the dev loss has not become better for some time.

    Prechelt 1998, Early stopping - but when?; needs dev pictures.
    """

    patience: PositiveInt = 5
    """Epochs without a better dev loss after which the run ends."""
    min_delta: NonNegativeFloat = 0.0
    """How much lower than the best one a dev loss must be to count as better."""


class TrainingConfig(Spec):
    """How a network is trained."""

    epochs: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 5
    """Passes over the training pictures."""
    batch_size: Annotated[int, Field(strict=True, ge=1, le=65_536)] = 64
    """Pictures that go through the network together; the last batch of an epoch may be smaller."""
    accumulate: Annotated[int, Field(strict=True, ge=1, le=65_536)] = 1
    """Batches whose gradients are added up for one step: as batch_size * accumulate pictures, in less memory."""
    seed: Seed = 0
    """Decides first weights, order and every other random draw."""
    optimizer: AnyOptimizer = Adam()
    """How gradients become steps."""
    schedule: AnySchedule = Constant()
    """How the learning rate changes from step to step."""
    loss: AnyLoss = SoftmaxCrossEntropy()
    """What is minimised."""
    augmentations: Annotated[tuple[AnyAugmentation, ...], Field(max_length=64)] = ()
    """How training pictures are varied, one after another; anew in every epoch."""
    clip: GradientClip | None = None
    """How large gradients may be; by default any size."""
    weight_average: WeightAverage | None = None
    """A running average of the weights that is evaluated, and becomes the model, in place of the weights themselves."""
    freeze: Annotated[tuple[Pattern, ...], Field(max_length=1000)] = ()
    """Names of nodes whose weights stay as they are, with * for any characters: `conv2d_*`, `residual_1/*`."""
    learning_rate_factors: Annotated[dict[Pattern, PositiveFloat], Field(max_length=1000)] = Field(
        default_factory=dict, examples=[{"conv2d_*": 0.1}]
    )
    """By names of nodes, with * for any characters: what the learning rate of their weights is multiplied by. A name in
    full comes before a pattern; no two patterns may fit one node."""
    early_stopping: EarlyStopping | None = None
    """When to end before the last epoch; by default never."""
    select: Literal["best", "accuracy", "last"] = "best"
    """Which epoch's weights become the model: the one with the lowest dev loss (`best`); the one with the highest dev
    `accuracy`, of equals that with the lower loss, both as means over it and the two epochs before, since single
    figures of few pictures jump; or the `last`."""
