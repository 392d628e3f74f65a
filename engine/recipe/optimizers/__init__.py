"""Every optimizer there is: the one list that all else is computed from."""

from __future__ import annotations

import functools
from typing import Annotated

from engine.choices import OneOf
from engine.recipe.optimizers.base import Optimizer
from engine.recipe.optimizers.elementwise import SGD, Adam, AdamW, RMSProp
from engine.recipe.optimizers.layerwise import LARS
from engine.recipe.optimizers.lookahead import Lookahead

OPTIMIZERS: tuple[type[Optimizer], ...] = (SGD, RMSProp, Adam, AdamW, LARS, Lookahead)

AnyOptimizer = Annotated[Optimizer, OneOf(OPTIMIZERS)]


@functools.cache
def most_slots() -> int:
    """Return how many arrays the largest optimizer keeps for each weight."""
    records = [kind.model_validate(example) for kind in OPTIMIZERS for example in kind.examples]
    return max(len(record.slots()) for record in records)


__all__ = [
    "LARS",
    "OPTIMIZERS",
    "SGD",
    "Adam",
    "AdamW",
    "AnyOptimizer",
    "Lookahead",
    "Optimizer",
    "RMSProp",
    "most_slots",
]
