"""Lookahead: another optimizer goes ahead, and the weights follow a part of the way."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engine.arrays import Array
from engine.choices import OneOf
from engine.recipe.optimizers.base import Optimizer
from engine.recipe.optimizers.elementwise import SGD, Adam, AdamW, RMSProp
from engine.recipe.optimizers.layerwise import LARS
from engine.spec import PositiveInt
from engine.workspace import FRESH, Buffers

_SLOW = "slow"

Share = Annotated[float, Field(strict=True, gt=0, le=1)]


class Lookahead(Optimizer):
    """Lets another optimizer take some steps ahead, then goes a part of that way and starts again from there.

    Between two such moments the weights are those of the optimizer that is ahead.
    """

    type: Literal["lookahead"] = "lookahead"
    inner: Annotated[Optimizer, OneOf((SGD, RMSProp, Adam, AdamW, LARS))] = Adam()
    """The optimizer that goes ahead; its learning rate is that of the run."""
    every: PositiveInt = 5
    """Steps that it goes ahead, k in the paper."""
    share: Share = 0.5
    """How much of the way the weights follow, alpha in the paper."""

    examples = (
        {"type": "lookahead"},
        {
            "type": "lookahead",
            "inner": {"type": "rmsprop", "momentum": 0.9, "centred": True},
            "every": 2,
            "share": 0.8,
        },
    )
    formula = "w := inner(w); every k steps: slow := slow + share * (w - slow), w := slow"
    source = "Zhang, Lucas, Hinton & Ba 2019, Lookahead optimizer: k steps forward, 1 step back, algorithm 1"

    @property
    def elementwise(self) -> bool:
        return self.inner.elementwise

    def rules(self) -> tuple[str, ...]:
        return (self.type, *self.inner.rules())

    def rate(self) -> float:
        return self.inner.rate()

    def slots(self) -> tuple[str, ...]:
        return (*self.inner.slots(), _SLOW)

    def first_slots(self, weight: Array) -> dict[str, Array]:
        return {**self.inner.first_slots(weight), _SLOW: weight.copy()}

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
        own = {name: slots[name] for name in self.inner.slots()}
        self.inner.step(weight, gradient, own, learning_rate, step, decays=decays, buffers=buffers)
        if step % self.every == 0:
            slow = slots[_SLOW]
            weight -= slow
            weight *= self.share
            slow += weight
            np.copyto(weight, slow)
