"""LARS: a rule that looks at a layer's weight as a whole."""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.arrays import Array
from engine.ops.reduction import length
from engine.recipe.optimizers.base import Rule
from engine.spec import Fraction, PositiveFloat
from engine.workspace import FRESH, Buffers


class LARS(Rule):
    """Gradient descent with momentum, whose steps are for each layer in proportion to the length of its weight.

    It keeps training with very large batches from diverging. Biases and the weights of normalisation take the plain
    steps of SGD, as in the TensorFlow and MLPerf implementations, for they are short or start at 0.
    """

    type: Literal["lars"] = "lars"
    learning_rate: PositiveFloat = 1.0
    """Size of a step, before the schedule and before what the layer's trust makes of it."""
    trust: PositiveFloat = 0.001
    """How far a layer may go in a step, as a share of the length of its weight; eta in the paper."""
    momentum: Fraction = 0.9
    """Share of the last step that is kept."""
    decoupled: Literal[False] = False
    """Always false: the decay is part of what the steps are in proportion to."""

    examples = (
        {"type": "lars"},
        {"type": "lars", "learning_rate": 2.0, "trust": 0.01, "momentum": 0.5, "weight_decay": 0.0005},
    )
    formula = (
        "l = trust * |w| / (|g| + weight_decay * |w|); "
        "v := momentum * v + learning_rate * l * (g + weight_decay * w); w := w - v"
    )
    source = "You, Gitman & Ginsburg 2017, Large batch training of convolutional networks, algorithm 1"

    @property
    def elementwise(self) -> bool:
        return False

    def slots(self) -> tuple[str, ...]:
        return ("velocity",)

    def step(
        self,
        weight: Array,
        gradient: Array,
        slots: dict[str, Array],
        learning_rate: float,
        step: int,
        *,
        decays: bool = True,
        buffers: Buffers = FRESH,
    ) -> None:
        rate = learning_rate
        if decays:
            w, g = length(weight, buffers), length(gradient, buffers)
            if w and g:  # a weight of zeros would never leave them
                rate *= self.trust * w / (g + self.weight_decay * w)
        super().step(weight, gradient, slots, rate, step, decays=decays, buffers=buffers)

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
        velocity = slots["velocity"]
        velocity *= self.momentum
        np.multiply(gradient, learning_rate, out=change)
        velocity += change
        weight -= velocity
