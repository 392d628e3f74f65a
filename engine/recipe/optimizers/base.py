"""The optimizer contract: the descent method G of the article, theta := G(theta).

An optimizer is a rule for one array, the weight of one layer. It keeps as many slots as it needs, each of the
array's own shape, and changes weight and slots in place:

    rate()                                   size of a step, before the schedule and the layer's own factor
    slots()                                  names of the slots
    first_slots(weight)                      the slots before the first step, zeros if nothing else is said
    step(weight, gradient, slots, ...)       weight decay, then the rule
    elementwise                              whether every number is changed by itself

Whoever trains maps it over all weights. Where a rule is elementwise, weights that are treated alike lie in one
run of memory and are given as one array: the same bits, with fewer calls. What holds for every rule alike
(clipping, averaging, accumulation, schedules, factors) is not here but in the training configuration.

A new optimizer is one class in one of the files beside this one, named in `engine.recipe.optimizers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from engine.arrays import Array
from engine.spec import Flag, NonNegativeFloat, PositiveFloat, Spec
from engine.workspace import FRESH, Buffers

_CHUNK = 1 << 15  # numbers worked on at a time: weight, gradient, slots and scratch stay in the cache


class Optimizer(Spec):
    """The contract; see the top of this file."""

    type: str

    examples: ClassVar[tuple[dict[str, Any], ...]]
    formula: ClassVar[str]
    source: ClassVar[str]

    @property
    def elementwise(self) -> bool:
        """Whether every number is changed by itself, whatever array it is in."""
        return True

    def rules(self) -> tuple[str, ...]:
        """Return the types at work, the outermost first: where they agree, slots mean the same."""
        return (self.type,)

    def rate(self) -> float:
        """Return the size of a step, before the schedule and the layer's own factor."""
        raise NotImplementedError

    def slots(self) -> tuple[str, ...]:
        """Return the names of the arrays kept for each weight."""
        return ()

    def first_slots(self, weight: Array) -> dict[str, Array]:
        """Return the slots of a weight before the first step, by name."""
        return {name: np.zeros_like(weight) for name in self.slots()}

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
        """Change `weight` and `slots` in place.

        Args:
            weight: any shape.
            gradient: of the same shape; left as it is.
            slots: this weight's slots by name.
            learning_rate: of this step and this weight.
            step: number of this step, from 1.
            decays: whether weight decay applies to this weight; it does not to biases and to normalisation.
            buffers: where there is room to work in.
        """
        raise NotImplementedError


class Rule(Optimizer):
    """What rules share that go along the gradient: a learning rate and weight decay."""

    learning_rate: PositiveFloat
    """Size of a step, before the schedule."""
    weight_decay: NonNegativeFloat = 0.0
    """How strongly weights are drawn to 0; biases and the weights of normalisation are not."""
    decoupled: Flag = False
    """How weight decay works: true shrinks the weights themselves, w := w - learning_rate * weight_decay * w,
    false adds weight_decay * w to the gradient, where running averages see it."""

    def rate(self) -> float:
        return self.learning_rate

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
        """Let the weights decay, then apply the rule; arguments as in the contract."""
        decay = self.weight_decay if decays else 0.0
        for w, g, kept in _chunks(weight, gradient, slots):
            direction = g
            if decay and self.decoupled:
                np.multiply(w, 1 - learning_rate * decay, out=w)
            elif decay:
                direction = buffers.scratch("decayed", w.shape, w.dtype)
                np.multiply(w, decay, out=direction)
                direction += g
            self.update(w, direction, kept, learning_rate, step, buffers)

    def update(
        self,
        weight: Array,
        gradient: Array,
        slots: dict[str, Array],
        learning_rate: float,
        step: int,
        buffers: Buffers = FRESH,
    ) -> None:
        """Apply the rule alone to a piece of an array, number by number; arguments as in `step`."""
        raise NotImplementedError


def _chunks(
    weight: Array, gradient: Array, slots: dict[str, Array]
) -> Iterator[tuple[Array, Array, dict[str, Array]]]:
    """Cut the arrays into pieces that lie together in the cache."""
    if weight.size <= _CHUNK or not all(array.flags.c_contiguous for array in (weight, *slots.values())):
        yield weight, gradient, slots
        return
    weights, gradients = weight.reshape(-1), gradient.reshape(-1)
    flat = {name: array.reshape(-1) for name, array in slots.items()}
    for first in range(0, weight.size, _CHUNK):
        piece = slice(first, first + _CHUNK)
        yield weights[piece], gradients[piece], {name: array[piece] for name, array in flat.items()}
