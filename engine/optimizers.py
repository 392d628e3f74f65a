"""Optimizers: the descent method G of the article, theta := G(theta).

An optimizer is a rule for one array. It keeps as many slots (running averages) as it needs, each
of the array's own shape; whoever trains maps it over all weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Union

import numpy as np
from pydantic import Field

from engine.arrays import Array
from engine.spec import Flag, Fraction, PositiveFloat, Spec


class Optimizer(Spec):
    """The contract of an optimizer."""

    type: str
    learning_rate: PositiveFloat
    """Size of a step, before the schedule."""

    formula: ClassVar[str]
    source: ClassVar[str]

    def slots(self) -> tuple[str, ...]:
        """Return the names of the arrays kept for each weight, which start at 0."""
        return ()

    def update(
        self, weight: Array, gradient: Array, slots: dict[str, Array], learning_rate: float, step: int
    ) -> None:
        """Change `weight` and `slots` in place.

        Args:
            weight: any shape.
            gradient: of the same shape; left as it is.
            slots: this weight's slots by name.
            learning_rate: of this step, the schedule applied.
            step: number of this step, from 1.
        """
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum."""

    type: Literal["sgd"] = "sgd"
    learning_rate: PositiveFloat = 0.01
    """Size of a step, before the schedule."""
    momentum: Fraction = 0.9
    """Share of the last step that is kept."""
    nesterov: Flag = False
    """Whether the gradient looks one step of momentum ahead."""

    formula: ClassVar = "v := momentum * v + g; w := w - learning_rate * v"
    source: ClassVar = (
        "Sutskever et al. 2013, On the importance of initialization and momentum, section 2 (as in PyTorch)"
    )

    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def update(
        self, weight: Array, gradient: Array, slots: dict[str, Array], learning_rate: float, step: int
    ) -> None:
        rate = weight.dtype.type(learning_rate)
        if not self.momentum:
            weight -= rate * gradient
            return
        velocity = slots["velocity"]
        velocity *= self.momentum
        velocity += gradient
        ahead = gradient + self.momentum * velocity if self.nesterov else velocity
        weight -= rate * ahead


Beta = Annotated[float, Field(strict=True, ge=0, lt=1)]


class Adam(Optimizer):
    """Steps scaled for each weight by running averages of its gradient and of its square."""

    type: Literal["adam"] = "adam"
    learning_rate: PositiveFloat = 0.001
    """Size of a step, before the schedule."""
    beta_1: Beta = 0.9
    """Share of the old average of gradients that is kept."""
    beta_2: Beta = 0.999
    """Share of the old average of squared gradients that is kept."""
    epsilon: PositiveFloat = 1e-8
    """Keeps the division finite."""

    formula: ClassVar = (
        "m := b1*m + (1-b1)*g; v := b2*v + (1-b2)*g^2; "
        "w := w - learning_rate * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + epsilon)"
    )
    source: ClassVar = "Kingma & Ba 2014, Adam, algorithm 1"

    def slots(self) -> tuple[str, ...]:
        return ("mean", "square")

    def update(
        self, weight: Array, gradient: Array, slots: dict[str, Array], learning_rate: float, step: int
    ) -> None:
        mean, square = slots["mean"], slots["square"]
        mean *= self.beta_1
        mean += (1 - self.beta_1) * gradient
        square *= self.beta_2
        square += (1 - self.beta_2) * np.square(gradient)
        denominator = np.sqrt(square)
        denominator *= 1 / np.sqrt(1 - self.beta_2**step)
        denominator += self.epsilon
        np.divide(mean, denominator, out=denominator)
        denominator *= learning_rate / (1 - self.beta_1**step)
        weight -= denominator


OPTIMIZERS: tuple[type[Optimizer], ...] = (SGD, Adam)

if TYPE_CHECKING:
    AnyOptimizer = Optimizer
else:
    AnyOptimizer = Annotated[Union[OPTIMIZERS], Field(discriminator="type")]  # noqa: UP007
