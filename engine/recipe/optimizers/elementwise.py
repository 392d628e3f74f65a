"""Rules that change every number by itself: gradient descent, and steps scaled by running averages."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from engine.arrays import Array
from engine.recipe.optimizers.base import Rule
from engine.spec import Flag, Fraction, NonNegativeFloat, PositiveFloat
from engine.workspace import FRESH, Buffers


class SGD(Rule):
    """Stochastic gradient descent, with momentum."""

    type: Literal["sgd"] = "sgd"
    learning_rate: PositiveFloat = 0.01
    """Size of a step, before the schedule."""
    momentum: Fraction = 0.9
    """Share of the last step that is kept."""
    nesterov: Flag = False
    """Whether the gradient looks one step of momentum ahead."""

    examples = (
        {"type": "sgd"},
        {"type": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0005},
        {"type": "sgd", "momentum": 0.0, "weight_decay": 0.01, "decoupled": True},
    )
    formula = "v := momentum * v + g; w := w - learning_rate * v"
    source = (
        "Sutskever et al. 2013, On the importance of initialization and momentum, section 2 (as in PyTorch)"
    )

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov looks ahead along the momentum: give a momentum above 0")
        return self

    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def update(
        self,
        weight: Array,
        gradient: Array,
        slots: dict[str, Array],
        learning_rate: float,
        step: int,
        buffers: Buffers = FRESH,
    ) -> None:
        change = buffers.scratch("change", weight.shape, weight.dtype)
        if not self.momentum:
            np.multiply(gradient, learning_rate, out=change)
        else:
            velocity = slots["velocity"]
            velocity *= self.momentum
            velocity += gradient
            if self.nesterov:
                np.multiply(velocity, self.momentum, out=change)
                change += gradient
                change *= learning_rate
            else:
                np.multiply(velocity, learning_rate, out=change)
        weight -= change


class RMSProp(Rule):
    """Steps divided, for each weight, by how large its gradients have been lately."""

    type: Literal["rmsprop"] = "rmsprop"
    learning_rate: PositiveFloat = 0.001
    """Size of a step, before the schedule."""
    smoothing: Fraction = 0.99
    """Share of the old average of squared gradients that is kept."""
    epsilon: PositiveFloat = 1e-8
    """Keeps the division finite."""
    momentum: Fraction = 0.0
    """Share of the last step that is kept."""
    centred: Flag = False
    """Whether the mean of the gradients is taken out of their size, which leaves their variance."""

    examples = (
        {"type": "rmsprop"},
        {"type": "rmsprop", "momentum": 0.9, "centred": True, "weight_decay": 0.0001},
    )
    formula = (
        "s := smoothing * s + (1 - smoothing) * g^2; v := momentum * v + g / (sqrt(s) + epsilon); "
        "w := w - learning_rate * v"
    )
    source = "Tieleman & Hinton 2012, Coursera lecture 6.5; centred: Graves 2013, equation 40"

    def slots(self) -> tuple[str, ...]:
        centred = ("mean",) if self.centred else ()
        return ("square", *centred, "velocity") if self.momentum else ("square", *centred)

    def update(
        self,
        weight: Array,
        gradient: Array,
        slots: dict[str, Array],
        learning_rate: float,
        step: int,
        buffers: Buffers = FRESH,
    ) -> None:
        change = buffers.scratch("change", weight.shape, weight.dtype)
        _average_square(slots["square"], gradient, self.smoothing, change)
        if self.centred:
            _average(slots["mean"], gradient, self.smoothing, change)
            np.square(slots["mean"], out=change)
            np.subtract(slots["square"], change, out=change)
            np.maximum(change, 0, out=change)  # a variance, but for rounding
            np.sqrt(change, out=change)
        else:
            np.sqrt(slots["square"], out=change)
        change += self.epsilon
        np.divide(gradient, change, out=change)
        if self.momentum:
            velocity = slots["velocity"]
            velocity *= self.momentum
            velocity += change
            np.multiply(velocity, learning_rate, out=change)
        else:
            change *= learning_rate
        weight -= change


Beta = Annotated[float, Field(strict=True, ge=0, lt=1)]


class _Moments(Rule):
    """What Adam and AdamW share: all but how weights decay."""

    learning_rate: PositiveFloat = 0.001
    """Size of a step, before the schedule."""
    beta_1: Beta = 0.9
    """Share of the old average of gradients that is kept."""
    beta_2: Beta = 0.999
    """Share of the old average of squared gradients that is kept."""
    epsilon: PositiveFloat = 1e-8
    """Keeps the division finite."""

    formula = (
        "m := b1*m + (1-b1)*g; v := b2*v + (1-b2)*g^2; "
        "w := w - learning_rate * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + epsilon)"
    )

    def slots(self) -> tuple[str, ...]:
        return ("mean", "square")

    def update(
        self,
        weight: Array,
        gradient: Array,
        slots: dict[str, Array],
        learning_rate: float,
        step: int,
        buffers: Buffers = FRESH,
    ) -> None:
        change = buffers.scratch("change", weight.shape, weight.dtype)
        _average(slots["mean"], gradient, self.beta_1, change)
        _average_square(slots["square"], gradient, self.beta_2, change)
        np.sqrt(slots["square"], out=change)
        change *= 1 / math.sqrt(1 - self.beta_2**step)
        change += self.epsilon
        np.divide(slots["mean"], change, out=change)
        change *= learning_rate / (1 - self.beta_1**step)
        weight -= change


class Adam(_Moments):
    """Steps scaled for each weight by running averages of its gradient and of its square."""

    type: Literal["adam"] = "adam"

    examples = (
        {"type": "adam"},
        {"type": "adam", "learning_rate": 0.002, "beta_1": 0.8, "weight_decay": 0.001},
    )
    source = "Kingma & Ba 2014, Adam, algorithm 1"


class AdamW(_Moments):
    """Adam whose weight decay is apart from its averages, so that all weights decay alike."""

    type: Literal["adamw"] = "adamw"
    weight_decay: NonNegativeFloat = 0.01
    """How strongly weights are drawn to 0; biases and the weights of normalisation are not."""
    decoupled: Literal[True] = True
    """Always true: this is what AdamW is."""

    examples = (
        {"type": "adamw"},
        {"type": "adamw", "learning_rate": 0.003, "weight_decay": 0.05},
    )
    formula = f"w := w - learning_rate * weight_decay * w; {_Moments.formula}"
    source = "Loshchilov & Hutter 2017, Decoupled weight decay regularization, algorithm 2"


def _average(mean: Array, values: Array, kept: float, scratch: Array) -> None:
    """Set mean := kept * mean + (1 - kept) * values."""
    np.multiply(values, 1 - kept, out=scratch)
    mean *= kept
    mean += scratch


def _average_square(square: Array, values: Array, kept: float, scratch: Array) -> None:
    """Set square := kept * square + (1 - kept) * values^2."""
    np.square(values, out=scratch)
    scratch *= 1 - kept
    square *= kept
    square += scratch
